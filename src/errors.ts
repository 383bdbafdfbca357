/** One row of the catalogue: what a code means to a client. */
interface ErrorEntry {
  /** HTTP status of a problem with this code. */
  readonly status: number;
  /** Short, fixed sentence; the `title` of the problem (RFC 9457). */
  readonly title: string;
}

/**
 * The one catalogue of error codes. HTTP problems, socket nacks and job errors take their `code` from here;
 * `docs/errors.md` is generated from it (`npm run docs:errors`).
 */
export const ERROR_CATALOGUE = {
  bad_request: { status: 400, title: "The request is malformed." },
  invalid_json: { status: 400, title: "The body is not valid JSON." },
  too_deep: { status: 400, title: "The JSON is nested too deeply." },
  validation_failed: { status: 400, title: "The request does not fit its schema." },
  invalid_cursor: { status: 400, title: "The cursor was not issued for this list." },
  unauthenticated: { status: 401, title: "Sign in to do this." },
  invalid_token: { status: 401, title: "The access token is not valid." },
  token_expired: { status: 401, title: "The access token has expired." },
  invalid_credentials: { status: 401, title: "E-mail or password is wrong." },
  session_revoked: { status: 401, title: "The session was ended." },
  session_expired: { status: 401, title: "The session has expired." },
  refresh_reused: { status: 401, title: "The refresh token was used twice; the session was ended." },
  forbidden: { status: 403, title: "Your role does not allow this." },
  wrong_password: { status: 403, title: "The current password is wrong." },
  email_not_verified: { status: 403, title: "Verify the e-mail address first." },
  invitation_for_another: { status: 403, title: "The invitation is for another account." },
  origin_refused: { status: 403, title: "This origin is not allowed." },
  not_found: { status: 404, title: "There is nothing here." },
  method_not_allowed: { status: 405, title: "The resource does not know this method." },
  request_timeout: { status: 408, title: "The request took too long to arrive." },
  conflict: { status: 409, title: "The request conflicts with the current state." },
  email_taken: { status: 409, title: "An account with this e-mail address exists." },
  already_member: { status: 409, title: "The account is a member already." },
  last_owner: { status: 409, title: "A project keeps at least one Owner." },
  idempotency_in_progress: { status: 409, title: "A request with this Idempotency-Key is still running." },
  job_not_cancellable: { status: 409, title: "The job has ended." },
  job_not_retryable: { status: 409, title: "Only a failed or cancelled job can be retried." },
  link_expired: { status: 410, title: "The link was used or has expired." },
  version_mismatch: { status: 412, title: "The resource has changed since you read it." },
  payload_too_large: { status: 413, title: "The body is too large." },
  unsupported_media_type: { status: 415, title: "The content type is not supported here." },
  range_not_satisfiable: { status: 416, title: "The content has no such part." },
  upgrade_required: { status: 426, title: "This port speaks WebSocket only." },
  idempotency_key_reused: { status: 422, title: "The Idempotency-Key was used with another request." },
  unprocessable: { status: 422, title: "The request is well-formed but cannot be carried out." },
  invalid_archive: { status: 422, title: "The archive cannot be taken in." },
  workspace_full: { status: 422, title: "The workspace has no room for this." },
  unsupported_language: { status: 422, title: "The sandbox does not run this language here." },
  rate_limited: { status: 429, title: "Too many requests." },
  quota_exceeded: { status: 429, title: "A quota is used up." },
  headers_too_large: { status: 431, title: "The request headers are too large." },
  internal_error: { status: 500, title: "Something went wrong on our side." },
  overloaded: { status: 503, title: "The server is busy; try again shortly." },
  dependency_unavailable: { status: 503, title: "A part of the service is unavailable; try again shortly." },
  feature_disabled: { status: 503, title: "This feature is switched off." },
  shutting_down: { status: 503, title: "The server is restarting; try again shortly." },
  job_timed_out: { status: 500, title: "The job ran longer than it may." },
  worker_crashed: { status: 500, title: "The worker died each time it ran the job." },
} as const satisfies Record<string, ErrorEntry>;

/** A code of the catalogue. */
export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** One fault inside a request: where (an RFC 6901 pointer such as `/name`, or `?limit`), which kind, and why. */
export interface FieldError {
  readonly pointer: string;
  readonly code: string;
  readonly message: string;
}

/** What an AppError may carry besides its code. */
export interface AppErrorDetails {
  /** A sentence for the client about this very case; never SQL, paths, stacks or secrets. */
  readonly detail?: string;
  readonly errors?: readonly FieldError[];
  /** Response headers of the problem, for example `Retry-After` (seconds) or `ETag`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Additional public members of the problem (RFC 9457, section 3.2). */
  readonly extensions?: Readonly<Record<string, unknown>>;
  /** The failure behind this one; logged, never shown. */
  readonly cause?: unknown;
}

/** The only error a feature throws on purpose. Translated once for HTTP (`http/problem.ts`) and once for sockets. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  readonly errors: readonly FieldError[] | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly extensions: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, details: AppErrorDetails = {}) {
    super(details.detail ?? ERROR_CATALOGUE[code].title, { cause: details.cause });
    this.name = "AppError";
    this.code = code;
    this.detail = details.detail;
    this.errors = details.errors;
    this.headers = details.headers ?? {};
    this.extensions = details.extensions ?? {};
  }

  /** HTTP status of this error's code. */
  get status(): number {
    return ERROR_CATALOGUE[this.code].status;
  }
}

/** The error for a store that is away: 503 with `Retry-After: 2`, never a 401 and never a pretended success. */
export function dependencyUnavailable(dependency: string, cause?: unknown): AppError {
  return new AppError("dependency_unavailable", {
    detail: `The ${dependency} is unavailable right now.`,
    headers: { "Retry-After": "2" },
    extensions: { dependency },
    cause,
  });
}
