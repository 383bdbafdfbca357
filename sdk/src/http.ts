import { backoffMs, sleep } from "./backoff.js";
import { AtelierError, errorOf } from "./errors.js";
import type { RawContent } from "./raw.js";

/** One request, before retries. */
export interface HttpRequest {
  readonly method: string;
  /** Below the API's base path, with its query. */
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly content?: RawContent | undefined;
  /** True when sending it twice does no more than sending it once. */
  readonly repeatable: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  readonly retries?: number | undefined;
}

/** A success, read to its end. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
}

/** Sends requests, and again where that is safe. */
export interface Http {
  /** @throws AtelierError for every answer but 2xx and for none; the signal's reason when aborted. */
  send(request: HttpRequest): Promise<HttpAnswer>;
  /** An answer whose body is read as it comes, without a time limit and without retries. */
  open(request: Omit<HttpRequest, "repeatable" | "timeoutMs">): Promise<Response>;
}

/** Requests with time-outs and retries: `Retry-After` is obeyed up to `patienceMs`, else full-jitter backoff. */
export function createHttp(options: {
  readonly base: string;
  readonly fetch: typeof fetch;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly patienceMs: number;
}): Http {
  const { base, patienceMs } = options;

  async function once(request: HttpRequest): Promise<HttpAnswer> {
    const controller = new AbortController();
    const timeoutMs = request.timeoutMs ?? options.timeoutMs;
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      controller.abort();
    }, timeoutMs);
    const abort = () => controller.abort();
    request.signal?.addEventListener("abort", abort, { once: true });
    try {
      const response = await fetchIt(request, controller.signal);
      const bytes = new Uint8Array(await response.arrayBuffer());
      return { status: response.status, headers: response.headers, bytes };
    } catch (error) {
      if (error instanceof AtelierError) throw error;
      request.signal?.throwIfAborted();
      if (timedOut) throw new AtelierError("timeout", `No answer within ${Math.round(timeoutMs / 1000)} s.`);
      throw new AtelierError("network_error", "The service cannot be reached.", { cause: error });
    } finally {
      clearTimeout(timer);
      request.signal?.removeEventListener("abort", abort);
    }
  }

  async function fetchIt(request: Omit<HttpRequest, "repeatable">, signal: AbortSignal): Promise<Response> {
    request.signal?.throwIfAborted();
    const { fetch } = options;
    const response = await fetch(`${base}${request.path}`, {
      method: request.method,
      headers: request.headers ?? {},
      body: (request.content ?? null) as BodyInit | null,
      signal,
      cache: "no-store",
    });
    if (response.ok || response.status === 304) return response;
    throw errorOf(response.status, response.headers, await response.text());
  }

  /** How long to wait before the next try, in ms; undefined to give up. */
  function pause(error: unknown, attempt: number, request: HttpRequest): number | undefined {
    if (!(error instanceof AtelierError) || attempt >= (request.retries ?? options.retries)) return undefined;
    const { status, code, retryAfter } = error;
    // Nothing was done for a 429 and for a key in progress, so trying again is safe whatever the request.
    const untouched = status === 429 || code === "idempotency_in_progress";
    const passing = status === 0 || status === 502 || status === 503 || status === 504;
    if (!untouched && !(passing && request.repeatable)) return undefined;
    if (code === "feature_disabled") return undefined;
    const wanted = retryAfter === undefined ? 0 : retryAfter * 1000;
    return wanted > patienceMs ? undefined : wanted + backoffMs(attempt, 200, 5_000);
  }

  return {
    async send(request) {
      for (let attempt = 0; ; attempt++) {
        try {
          return await once(request);
        } catch (error) {
          const wait = pause(error, attempt, request);
          // A repeated DELETE whose first answer was lost finds nothing: it is done.
          if (
            attempt > 0 &&
            request.method === "DELETE" &&
            error instanceof AtelierError &&
            error.status === 404
          )
            return { status: 204, headers: new Headers(), bytes: new Uint8Array() };
          if (wait === undefined) throw error;
          await sleep(wait, request.signal);
        }
      }
    },
    async open(request) {
      try {
        return await fetchIt(request, request.signal ?? new AbortController().signal);
      } catch (error) {
        if (error instanceof AtelierError) throw error;
        request.signal?.throwIfAborted();
        throw new AtelierError("network_error", "The service cannot be reached.", { cause: error });
      }
    },
  };
}
