import { AtelierError, endsSession } from "./errors.js";
import type { Operations } from "./generated/api.js";
import { OPERATIONS } from "./generated/operations.js";
import type { Http, HttpAnswer } from "./http.js";
import { randomId } from "./random-id.js";
import type { RawContent, RawReply } from "./raw.js";
import type { Session } from "./session.js";

/** What every call takes besides its input. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for one try; default 30 s, five minutes for raw content. */
  readonly timeoutMs?: number | undefined;
  /** How often it is tried again; default as the client has it. */
  readonly retries?: number | undefined;
  /** Made for you on every POST that creates; give your own to make a call safe across program runs. */
  readonly idempotencyKey?: string | undefined;
  /** `version` you last read: the call is refused with `version_mismatch` when it has changed since. */
  readonly ifMatch?: number | undefined;
}

type Given<T> = T extends undefined ? unknown : T;
type Member<Name extends string, T> = [T] extends [undefined]
  ? { readonly [K in Name]?: undefined }
  : undefined extends T
    ? { readonly [K in Name]?: T }
    : { readonly [K in Name]: T };

/** Name of an operation of the OpenAPI document. */
export type OperationId = keyof Operations & keyof typeof OPERATIONS;

/** What an operation takes; `query` may always be left out. */
export type CallInput<Id extends OperationId> = Member<"params", Operations[Id]["params"]> &
  Member<"body", Operations[Id]["body"]> & {
    readonly query?: Given<Operations[Id]["query"]> | undefined;
    /** Media type of a raw body. */
    readonly contentType?: string;
  } & CallOptions;

/** Calls operations of the API, signed in as the session is. */
export interface Caller {
  /** @throws AtelierError by the service's codes; the signal's reason when aborted. */
  call<Id extends OperationId>(id: Id, input: CallInput<Id>): Promise<Operations[Id]["reply"]>;
  /** A stream of an operation that answers as long as there is something to say. */
  open(path: string, accept: string, options: CallOptions): Promise<Response>;
}

interface LooseInput extends CallOptions {
  readonly params?: Readonly<Record<string, string>> | undefined;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>> | undefined;
  readonly body?: unknown;
  readonly contentType?: string;
}

const RAW_TIMEOUT_MS = 300_000;

/** Calls over `http` with tokens of `session`: a refused token is renewed once, a definite `session_*` ends the session. */
export function createCaller(http: Http, session: Session): Caller {
  async function signedIn<T>(work: (headers: Record<string, string>) => Promise<T>): Promise<T> {
    let rejected: string | undefined;
    for (;;) {
      const token = await session.accessToken(rejected);
      try {
        return await work({ authorization: `Bearer ${token}` });
      } catch (error) {
        if (!(error instanceof AtelierError) || error.status !== 401) throw error;
        if (endsSession(error)) {
          await session.refused(token, error);
          throw error;
        }
        const stale = ["token_expired", "invalid_token", "unauthenticated"].includes(error.code);
        if (!stale || rejected !== undefined) throw error;
        rejected = token;
      }
    }
  }

  async function perform(id: OperationId, input: LooseInput): Promise<unknown> {
    const [method = "", template = "", flags = ""] = OPERATIONS[id].split(" ");
    const raw = isRaw(input);
    const keyed = flags.includes("k");
    const headers: Record<string, string> = {};
    if (input.body !== undefined)
      headers["content-type"] = raw ? (input.contentType ?? "application/octet-stream") : "application/json";
    if (keyed) headers["idempotency-key"] = input.idempotencyKey ?? randomId();
    if (input.ifMatch !== undefined) headers["if-match"] = `"v${input.ifMatch}"`;
    const request = {
      method,
      path: pathOf(template, input),
      content:
        input.body === undefined ? undefined : raw ? (input.body as RawContent) : JSON.stringify(input.body),
      repeatable:
        keyed ||
        method === "GET" ||
        ((method === "PUT" || method === "DELETE") && input.ifMatch === undefined),
      signal: input.signal,
      retries: input.retries,
      timeoutMs: input.timeoutMs ?? (raw || flags.includes("r") ? RAW_TIMEOUT_MS : undefined),
    };
    const answer = flags.includes("p")
      ? await http.send({ ...request, headers })
      : await signedIn((authorization) =>
          http.send({ ...request, headers: { ...headers, ...authorization } }),
        );
    return flags.includes("r") ? rawReply(answer) : json(answer);
  }

  return {
    call: (id, input) => perform(id, input as LooseInput) as Promise<never>,
    open: (path, accept, { signal }) =>
      signedIn((authorization) =>
        http.open({ method: "GET", path, headers: { accept, ...authorization }, signal }),
      ),
  };
}

function isRaw({ body, contentType }: LooseInput): boolean {
  return contentType !== undefined && body !== undefined;
}

function pathOf(template: string, { params, query }: LooseInput): string {
  const path = template.replace(/\{(\w+)\}/g, (_all, name: string) =>
    (params?.[name] ?? "").split("/").map(encodeURIComponent).join("/"),
  );
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== undefined) search.set(name, String(value));
  return search.size > 0 ? `${path}?${search.toString()}` : path;
}

function json({ bytes, headers, status }: HttpAnswer): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  } catch (cause) {
    const requestId = headers.get("x-request-id") ?? undefined;
    throw new AtelierError("unreadable_answer", "The answer is not JSON.", { status, requestId, cause });
  }
}

function rawReply({ bytes, headers }: HttpAnswer): RawReply {
  return {
    contentType: headers.get("content-type") ?? "application/octet-stream",
    bytes,
    etag: headers.get("etag"),
    text: () => new TextDecoder().decode(bytes),
  };
}
