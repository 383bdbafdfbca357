import type { ErrorCode, Problem } from "./generated/api.js";

/** Codes the client itself gives: the service did not answer, or not in a form that can be read. */
export type LocalErrorCode =
  | "network_error"
  | "timeout"
  | "unreadable_answer"
  | "closed"
  | "too_much_waiting";

/** What went wrong, as one word: a code of the service's catalogue, or one of the client; newer services may know more. */
export type AtelierErrorCode = ErrorCode | LocalErrorCode | (string & {});

/** One fault of a request's input. */
export type Fault = Problem["errors"][number];

/** Whatever the service or the way to it refuses; tell errors apart by `code`, show `message`. */
export class AtelierError extends Error {
  override readonly name = "AtelierError";
  readonly code: AtelierErrorCode;
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** Id of the request in the service's logs; undefined when it never got there. */
  readonly requestId: string | undefined;
  /** Seconds to wait before trying again; undefined when the service named none. */
  readonly retryAfter: number | undefined;
  /** Which members of the input were wrong, by JSON pointer. */
  readonly errors: readonly Fault[];

  constructor(
    code: AtelierErrorCode,
    message: string,
    more: {
      readonly status?: number;
      readonly requestId?: string | undefined;
      readonly retryAfter?: number | undefined;
      readonly errors?: readonly Fault[] | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.status = more.status ?? 0;
    this.requestId = more.requestId;
    this.retryAfter = more.retryAfter;
    this.errors = more.errors ?? [];
  }
}

/** True for an {@link AtelierError}, and of this code when one is given. */
export function isAtelierError(error: unknown, code?: AtelierErrorCode): error is AtelierError {
  return error instanceof AtelierError && (code === undefined || error.code === code);
}

/** True for the codes that say for certain that a session is over; nothing else may sign anybody out. */
export function endsSession(error: unknown): boolean {
  return (
    error instanceof AtelierError &&
    error.status === 401 &&
    (error.code.startsWith("session_") || error.code === "refresh_reused")
  );
}

/** True when trying again later may help: no answer, too many requests, or a part of the service away. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof AtelierError)) return false;
  return error.status === 0
    ? error.code === "network_error" || error.code === "timeout"
    : error.status === 429 || error.status >= 500;
}

/** The error of an answer that is no success. */
export function errorOf(status: number, headers: Headers, text: string): AtelierError {
  const retryAfter = Number.parseFloat(headers.get("retry-after") ?? "");
  const known = {
    status,
    requestId: headers.get("x-request-id") ?? undefined,
    retryAfter: Number.isFinite(retryAfter) ? retryAfter : undefined,
  };
  let problem: Partial<Problem> | undefined;
  try {
    problem = JSON.parse(text) as Partial<Problem>;
  } catch {
    // Something between us and the service answered.
  }
  if (typeof problem?.code !== "string")
    return new AtelierError("unreadable_answer", `The service answered with status ${status}.`, known);
  return new AtelierError(problem.code, problem.detail ?? problem.title ?? problem.code, {
    ...known,
    errors: problem.errors,
  });
}
