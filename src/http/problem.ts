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
  // The router's, for a path that cannot be decoded.
  const { status } = (error ?? {}) as { status?: unknown };
  if (status === 400) return new AppError("bad_request", { cause: error });
  return new AppError("internal_error", { cause: error });
}

/** The path of a request target, as a problem shows it: without query and host, and not longer than needed. */
function pathOf(target: string | undefined): string {
  const path = target?.replace(/^\w+:\/\/[^/?]*/, "").split(/[?#]/)[0] ?? "";
  return path.startsWith("/") ? path.slice(0, 300) : "/";
}

/** The problem document for an error; `target` is what the request line asks for. */
export function toProblem(
  error: AppError,
  request: { readonly requestId: string; readonly target: string | undefined },
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
      instance: pathOf(request.target),
      code: error.code,
      requestId: request.requestId,
      errors: error.errors ?? [],
    },
  };
}

/** Headers of every answer, also of those the application has no part in. */
export const SECURITY_HEADERS = {
  "Content-Security-Policy": "default-src 'none';frame-ancestors 'none'",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
} as const;

/** The headers of an answer that is a problem. */
export function problemHeaders(problem: Problem): Record<string, string> {
  return {
    ...problem.headers,
    ...SECURITY_HEADERS,
    "Cache-Control": "no-store",
    "Content-Type": "application/problem+json; charset=utf-8",
    "X-Request-Id": problem.body.requestId,
  };
}

/** A problem as a whole HTTP/1.1 answer that ends its connection, for a socket without a response object. */
export function problemMessage(problem: Problem): string {
  const body = JSON.stringify(problem.body);
  const headers = {
    ...problemHeaders(problem),
    "Content-Length": String(Buffer.byteLength(body)),
    Connection: "close",
  };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ""}\r\n${head.join("")}\r\n${body}`;
}

/** The problem of a failed Zod parse: one entry per fault with an RFC 6901 pointer below `root`. */
export function validationProblem(error: z.ZodError, root: "" | "?" | ":" = ""): AppError {
  return new AppError("validation_failed", {
    errors: error.issues.flatMap((issue) => fieldErrors(issue, root)),
  });
}

function fieldErrors(issue: z.core.$ZodIssue, root: string): FieldError[] {
  const path = issue.path.map((part) => escaped(String(part)));
  const at = (parts: readonly string[]) =>
    root === "" ? parts.map((part) => `/${part}`).join("") : `${root}${parts.join(".")}`;
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      pointer: at([...path, escaped(key.slice(0, 100))]),
      code: "unknown_member",
      message: "This member is not known here.",
    }));
  }
  return [{ pointer: at(path), code: issue.code, message: issue.message }];
}

/** One part of a JSON pointer (RFC 6901, section 3). */
function escaped(part: string): string {
  return part.replaceAll("~", "~0").replaceAll("/", "~1");
}
