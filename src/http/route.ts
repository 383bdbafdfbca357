import type { Readable } from "node:stream";
import type { z } from "zod";
import type { ErrorCode } from "../errors.js";
import type { Tx } from "../platform/database/database.js";
import type { RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";

/** Who makes a request: an account through one of its sessions. Roles are never part of it. */
export interface Principal {
  readonly userId: string;
  readonly sessionId: string;
  /** Rotation counter of the session when the access token was made. */
  readonly generation: number;
  /** When what it showed is no longer good, in ms since the Unix epoch; undefined for what has no end of its own. */
  readonly expiresAt?: number;
}

/** What a handler may know of the request besides its checked input. */
export interface RequestContext {
  readonly requestId: string;
  /** Address of the client as far as `TRUST_PROXY` allows to say; IPv4-mapped addresses are written as IPv4. */
  readonly ip: string;
  readonly userAgent: string;
  /** `Last-Event-ID` of a client that was cut off from a stream of events. */
  readonly lastEventId: string | undefined;
}

/** The slice of a list that is asked for. */
export interface Page<Position> {
  /** 1–100. */
  readonly limit: number;
  /** Where the previous page ended; undefined for the first. */
  readonly after: Position | undefined;
  /** The cursor for the page after `position`; null when there is none. */
  next(position: Position | undefined): string | null;
}

/** One documented answer. */
export interface ReplySpec {
  readonly description: string;
  /** Schema of the JSON body; none for an empty one. */
  readonly body?: z.ZodType;
  /** In place of a JSON body: bytes of this media type. */
  readonly bytes?: string;
  /** In place of a JSON body: text of this media type that goes on until its source or the client ends it. */
  readonly stream?: string;
  /** True when a part of the bytes may be asked for with `Range`. */
  readonly ranges?: boolean;
}

/** Begins the text of a stream; `signal` is aborted when the client has gone. */
export type OpenStream = (signal: AbortSignal) => AsyncIterable<string>;

/** Bytes as a reply's body. */
export interface RawBody {
  readonly contentType: string;
  readonly bytes: Buffer;
}

/** A body that is sent while it is read. */
export interface StreamedBody {
  readonly contentType: string;
  /** Bytes; undefined when that is not known before the end. */
  readonly size?: number;
  /** Called when the bytes, or those from `start` to `end` (both included), are really wanted. */
  open(range?: { readonly start: number; readonly end: number }): Promise<Readable>;
}

/** A request's body while it comes in. */
export interface Upload {
  /** As sent; empty when there is none. */
  readonly contentType: string;
  /** Bytes that were announced; undefined when they were not, or are compressed. */
  readonly length: number | undefined;
  /** Decompressed; fails with `payload_too_large` after the limit and `bad_request` when the client goes away. */
  readonly content: Readable;
  /** Asks again whether the sender is still signed in: an upload takes its time. @throws as authentication does. */
  confirm(): Promise<void>;
}

/** A route as plain data: it feeds Express, validation and the OpenAPI document alike. */
export interface RouteSpec {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** Below the base path, in Express form: `/projects/:projectId`. */
  readonly path: string;
  readonly operationId: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly auth: "public" | "user";
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  /** True when the body may be left out altogether. */
  readonly bodyOptional?: boolean;
  /** The body is handed on while it comes in, whatever its media type, up to `limit` bytes, as `input.upload`. */
  readonly upload?: { readonly limit: number; readonly mediaType: string };
  /** A list: `limit` and `cursor` are added to the query; `position` is what a cursor holds. */
  readonly list?: { readonly position: z.ZodType };
  /**
   * A POST that creates: it runs in one transaction (`input.tx`) in which the reply is kept for a repeated
   * `Idempotency-Key`. The handler may run again after a serialization failure.
   */
  readonly idempotent?: boolean;
  /** Replies carry an ETag; `If-Match` arrives as `input.ifMatch`, `If-None-Match` is answered with 304. */
  readonly conditional?: boolean;
  /** Limits on top of the ones every route has; the key is the user, or the address for anonymous requests. */
  readonly limits?: readonly RateLimitPolicy[];
  /** True when its own limits stand in place of the anonymous one (except in strict mode): many people share an address. */
  readonly ownLimits?: boolean;
  /** A sign-out: asked for again with a token whose session it has ended, it is done (204) rather than refused. */
  readonly signsOut?: boolean;
  readonly replies: Readonly<Record<number, ReplySpec>>;
  /** Problems beyond those every route can answer. */
  readonly problems?: readonly ErrorCode[];
}

type Parsed<T> = T extends z.ZodType ? z.output<T> : undefined;

/** The checked input of a handler. */
export interface RouteInput<S extends RouteSpec> {
  readonly params: Parsed<S["params"]>;
  readonly query: Parsed<S["query"]>;
  readonly body: S extends { bodyOptional: true } ? Parsed<S["body"]> | undefined : Parsed<S["body"]>;
  readonly upload: S extends { upload: object } ? Upload : undefined;
  readonly principal: S["auth"] extends "user" ? Principal : undefined;
  readonly page: S extends { list: { position: infer P extends z.ZodType } } ? Page<z.output<P>> : undefined;
  readonly tx: S extends { idempotent: true } ? Tx : undefined;
  /** Row version the client last read, from `If-Match`. */
  readonly ifMatch: number | undefined;
  readonly context: RequestContext;
}

interface ReplyBase<Status> {
  readonly status: Status;
  readonly headers?: Readonly<Record<string, string>>;
  /** Row version; becomes the ETag. */
  readonly version?: number;
}

/** What a handler answers: one of the replies its spec names. */
export type ReplyOf<S extends RouteSpec> = {
  [K in keyof S["replies"] & number]: S["replies"][K] extends { body: infer B extends z.ZodType }
    ? ReplyBase<K> & { readonly body: z.input<B> }
    : S["replies"][K] extends { bytes: string }
      ? ReplyBase<K> & { readonly raw: RawBody | StreamedBody; readonly body?: undefined }
      : S["replies"][K] extends { stream: string }
        ? ReplyBase<K> & { readonly stream: OpenStream; readonly body?: undefined }
        : ReplyBase<K> & { readonly body?: undefined };
}[keyof S["replies"] & number];

/** A reply once its route is forgotten. */
export interface AnyReply extends ReplyBase<number> {
  readonly body?: unknown;
  readonly raw?: RawBody | StreamedBody;
  readonly stream?: OpenStream;
}

/** The input once its route is forgotten. */
export interface AnyInput {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly upload?: Upload | undefined;
  readonly principal: Principal | undefined;
  readonly page: Page<unknown> | undefined;
  readonly tx: Tx | undefined;
  readonly ifMatch: number | undefined;
  readonly context: RequestContext;
}

/** A route ready to be bound. */
export interface Route {
  readonly spec: RouteSpec;
  readonly handle: (input: AnyInput) => Promise<AnyReply>;
}

/** What answers a request; conditional, so that the spec alone decides the types and a reply keeps its literal status. */
export type Handler<S extends RouteSpec> = S extends unknown
  ? (input: RouteInput<S>) => Promise<ReplyOf<S>>
  : never;

/** Joins a spec with its handler; the handler's input and replies are typed by the spec. */
export function defineRoute<const S extends RouteSpec>(spec: S, handler: Handler<S>): Route {
  // bind.ts checks the input against the spec's schemas before it calls, which is what makes this cast true.
  return { spec, handle: handler as Route["handle"] };
}
