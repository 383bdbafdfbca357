import { pipeline } from "node:stream/promises";
import type { NextFunction, Request, RequestHandler, Response } from "express";
import { z } from "zod";
import { AppError } from "../errors.js";
import type { Admit } from "./admission.js";
import { readBody } from "./body.js";
import { type ByteRange, rangeOf } from "./byte-range.js";
import { etagOf, isNotModified, versionOfIfMatch } from "./etag.js";
import type { Idempotency } from "./idempotency.js";
import { parseJson } from "./json-body.js";
import { type Cursors, DEFAULT_PAGE_SIZE, pageQuery } from "./pagination.js";
import { validationProblem } from "./problem.js";
import { clientAddress } from "./rate-limit.js";
import type { AnyInput, AnyReply, Page, Principal, RawBody, Route, StreamedBody } from "./route.js";
import { sendStream } from "./streaming.js";
import { openUpload } from "./upload.js";

/** What binding needs. */
export interface BindDeps {
  readonly admit: Admit;
  /** Rejects when the request's sender is signed in no more. */
  readonly confirm: (request: Request) => Promise<void>;
  readonly idempotency: Idempotency;
  readonly cursors: Cursors;
  /** Checks each reply against its documented schema and answers 500 when it does not fit; on outside production. */
  readonly checkReplies: boolean;
}

/** `X-Request-Id` and friends, put on the response's locals by the server before any route. */
export interface RequestLocals {
  requestId: string;
  /** Template of the route that matched, for logs and metrics. */
  route?: string;
  userId?: string;
}

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

/** The life line of a request: body → auth → limits → params, query and body by Zod → idempotency → handler → reply. */
export function bindRoute(route: Route, deps: BindDeps): RequestHandler {
  const { spec } = route;
  const query = spec.list
    ? pageQuery.extend((spec.query as z.ZodObject | undefined)?.shape ?? {}).strict()
    : spec.query;
  return async (request: Request, response: Response, _next: NextFunction) => {
    const locals = response.locals as RequestLocals;
    locals.route = spec.path;
    // Read first, judged last: the token is looked at when there is something to do, not half a minute before.
    // An upload is judged first instead: it may be long, and is asked about again when it is here.
    const bytes = await settle(spec.upload ? Promise.resolve(undefined) : readBody(request));
    const principal = await deps.admit(request, response, spec).catch(async (error: unknown) => {
      const ended = spec.signsOut && error instanceof AppError && error.code === "session_revoked";
      // A body may name another session, which only its holder may end.
      if (ended && !(await bytes())?.length) return "ended" as const;
      throw error;
    });
    if (principal === "ended") {
      await send(request, response, route, { status: 204 });
      return;
    }
    const params = parse(spec.params ?? z.unknown(), joined(request.params), ":");
    const parsedQuery = parse(query ?? z.strictObject({}), request.query, "?") as
      | Record<string, unknown>
      | undefined;
    const content = await bytes();
    const body = spec.upload ? undefined : parseBody(request, content, route);
    const scope = [
      spec.operationId,
      principal?.userId,
      params,
      { ...parsedQuery, limit: undefined, cursor: undefined },
    ];
    const input: AnyInput = {
      params,
      query: parsedQuery,
      body,
      upload: spec.upload && {
        contentType: request.get("content-type") ?? "",
        ...openUpload(request, spec.upload.limit),
        confirm: () => deps.confirm(request),
      },
      principal,
      page: spec.list ? pageOf(parsedQuery ?? {}, JSON.stringify(scope), spec.list.position) : undefined,
      tx: undefined,
      ifMatch: spec.conditional ? versionOfIfMatch(request.get("if-match")) : undefined,
      context: {
        requestId: locals.requestId,
        ip: clientAddress(request),
        userAgent: (request.get("user-agent") ?? "").slice(0, 400),
        lastEventId: request.get("last-event-id"),
      },
    };
    if (!spec.idempotent) {
      try {
        await send(request, response, route, await route.handle(input));
      } finally {
        input.upload?.content.destroy();
      }
      return;
    }
    const { reply, replayed } = await deps.idempotency.run(
      keyOf(request, spec.operationId, principal),
      [params ?? null, body ?? null],
      (tx) => route.handle({ ...input, tx }),
    );
    if (replayed) response.setHeader("Idempotency-Replayed", "true");
    await send(request, response, route, reply);
  };

  function pageOf(values: Record<string, unknown>, scope: string, position: z.ZodType): Page<unknown> {
    const cursor = values.cursor as string | undefined;
    return {
      limit: (values.limit as number | undefined) ?? DEFAULT_PAGE_SIZE,
      after: cursor === undefined ? undefined : deps.cursors.decode(scope, cursor, position),
      next: (last) => (last === undefined ? null : deps.cursors.encode(scope, last)),
    };
  }

  async function send(
    request: Request,
    response: Response,
    { spec: s }: Route,
    reply: AnyReply,
  ): Promise<void> {
    const documented = s.replies[reply.status];
    if (!documented)
      throw new Error(`${s.operationId} answered ${reply.status}, which its spec does not name`);
    if (deps.checkReplies && documented.body) documented.body.parse(reply.body);
    for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value);
    response.status(reply.status);
    if (reply.version !== undefined) {
      const etag = etagOf(reply.version);
      response.setHeader("ETag", etag);
      const reading = request.method === "GET" || request.method === "HEAD";
      if (reading && isNotModified(request.get("if-none-match"), etag)) {
        response.status(304).end();
        return;
      }
    }
    if (reply.raw) {
      await sendBytes(request, response, reply.raw, documented.ranges === true).catch((error: unknown) => {
        // What they say of the content is not true of the problem that comes instead.
        if (!response.headersSent)
          for (const name of ["ETag", ...Object.keys(reply.headers ?? {})]) response.removeHeader(name);
        throw error;
      });
    } else if (reply.stream) {
      response.type(documented.stream ?? "text/plain");
      await sendStream(request, response, reply.stream);
    } else if (reply.body === undefined) response.end();
    else response.type("application/json").send(JSON.stringify(reply.body));
  }
}

async function sendBytes(
  request: Request,
  response: Response,
  body: RawBody | StreamedBody,
  ranges: boolean,
): Promise<void> {
  if ("bytes" in body) {
    response.setHeader("Content-Type", body.contentType).end(body.bytes);
    return;
  }
  const { size } = body;
  const range = ranges && size !== undefined ? wantedRange(request, response, size) : undefined;
  const content = request.method === "HEAD" ? undefined : await body.open(range);
  response.setHeader("Content-Type", body.contentType);
  if (ranges) response.setHeader("Accept-Ranges", "bytes");
  if (range) response.status(206).setHeader("Content-Range", `bytes ${range.start}-${range.end}/${size}`);
  const length = range ? range.end - range.start + 1 : size;
  if (length !== undefined) response.setHeader("Content-Length", length);
  if (!content) {
    response.end();
    return;
  }
  // A content that breaks off ends the connection: what was sent must not look whole.
  await pipeline(content, response).catch((error: unknown) => {
    // A client that went away is nobody's fault.
    if (!isClosedEarly(error)) throw error;
  });
}

/** With `If-Range` a part is sent only of the content the client knows. */
function wantedRange(request: Request, response: Response, size: number): ByteRange | undefined {
  const known = request.get("if-range");
  if (known !== undefined && known !== response.getHeader("etag")) return undefined;
  return rangeOf(request.get("range"), size);
}

function isClosedEarly(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ERR_STREAM_PREMATURE_CLOSE" || code === "EPIPE" || code === "ECONNRESET";
}

function parse(schema: z.ZodType, value: unknown, root: ":" | "?" | ""): unknown {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw validationProblem(parsed.error, root);
  return parsed.data;
}

/** A wildcard of a path matches many segments; to its schema they are one text again. */
function joined(params: Readonly<Record<string, string | readonly string[]>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [
      name,
      typeof value === "string" ? value : value.join("/"),
    ]),
  );
}

/** Waits for the outcome of `work` and hands it out when asked. */
async function settle<T>(work: Promise<T>): Promise<() => Promise<T>> {
  await work.catch(() => undefined);
  return () => work;
}

function parseBody(request: Request, bytes: Buffer | undefined, { spec }: Route): unknown {
  if (!spec.body) {
    if (bytes) {
      const message = "This request takes no body.";
      throw new AppError("bad_request", {
        detail: message,
        errors: [{ pointer: "", code: "unexpected_body", message }],
      });
    }
    return undefined;
  }
  if (!bytes && spec.bodyOptional) return undefined;
  if (!isJson(request.get("content-type"))) {
    throw new AppError("unsupported_media_type", { detail: "Send the body as application/json in UTF-8." });
  }
  return parse(spec.body, parseJson(bytes ?? Buffer.alloc(0)), "");
}

function isJson(contentType: string | undefined): boolean {
  if (contentType === undefined) return false;
  const [type = "", ...parameters] = contentType.split(";").map((part) => part.trim().toLowerCase());
  const charset = parameters
    .find((parameter) => parameter.startsWith("charset="))
    ?.slice(8)
    .replaceAll('"', "");
  return /^application\/(json|[\w.+-]+\+json)$/.test(type) && (charset === undefined || charset === "utf-8");
}

function keyOf(
  request: Request,
  operationId: string,
  principal: Principal | undefined,
): readonly string[] | undefined {
  const key = request.get("idempotency-key");
  if (key === undefined) return undefined;
  if (!IDEMPOTENCY_KEY.test(key)) {
    throw new AppError("bad_request", { detail: "Idempotency-Key takes 1 to 255 visible ASCII characters." });
  }
  return [principal?.userId ?? "", operationId, key];
}
