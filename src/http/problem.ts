import { STATUS_CODES } from "node:http";
import type { z } from "zod";
import { AppError, ERROR_CATALOGUE, type ErrorCode, type FieldError } from "../errors.js";

/** An RFC 9457 problem as it goes over the wire. */
export interface Problem {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: {
    readonly type: string;
    readonly title: string;
    readonly status: number;
    readonly detail?: string;
    readonly instance: string;
    readonly code: ErrorCode;
    readonly requestId: string;
    readonly errors: readonly FieldError[];
  };
}

/** Turns anything thrown into an AppError; what is unknown becomes `internal_error` with the cause kept for the log. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const e = error as { type?: unknown; status?: unknown; code?: unknown } | null;
  if (e !== null && typeof e === "object") {
    // body-parser and router errors; https://www.npmjs.com/package/body-parser#errors
    if (e.type === "entity.too.large") return new AppError("payload_too_large", { cause: error });
    if (e.type === "encoding.unsupported") {
      return new AppError("unsupported_media_type", {
        detail: "This Content-Encoding is not supported.",
        cause: error,
      });
    }
    if (e.type === "request.aborted")
      return new AppError("bad_request", { detail: "The request was aborted.", cause: error });
    if (e.type === "request.size.invalid") {
      return new AppError("bad_request", { detail: "Content-Length does not match the body.", cause: error });
    }
    if (e.status === 400) return new AppError("bad_request", { cause: error });
  }
  return new AppError("internal_error", { cause: error });
}

/** The problem document for an error. */
export function toProblem(
  error: AppError,
  request: { readonly requestId: string; readonly path: string },
): Problem {
  const { status, title } = ERROR_CATALOGUE[error.code];
  return {
    status,
    headers: error.headers,
    body: {
      ...error.extensions,
      type: `urn:atelier:error:${error.code}`,
      title: title || STATUS_CODES[status] || "Error",
      status,
      ...(error.detail === undefined ? {} : { detail: error.detail }),
      instance: request.path,
      code: error.code,
      requestId: request.requestId,
      errors: error.errors ?? [],
    },
  };
}

/** The problem of a failed Zod parse: one entry per fault with an RFC 6901 pointer below `root`. */
export function validationProblem(error: z.ZodError, root: "" | "?" | ":" = ""): AppError {
  return new AppError("validation_failed", {
    errors: error.issues.flatMap((issue) => fieldErrors(issue, root)),
  });
}

function fieldErrors(issue: z.core.$ZodIssue, root: string): FieldError[] {
  const path = issue.path.map((part) => String(part).replaceAll("~", "~0").replaceAll("/", "~1"));
  const at = (parts: readonly string[]) =>
    root === "" ? parts.map((part) => `/${part}`).join("") : `${root}${parts.join(".")}`;
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      pointer: at([...path, key.slice(0, 100)]),
      code: "unknown_member",
      message: "This member is not known here.",
    }));
  }
  return [{ pointer: at(path), code: issue.code, message: issue.message }];
}
