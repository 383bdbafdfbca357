import { AppError, type ErrorCode } from "../errors.js";

/** Codes that ask the client to authenticate. */
type RefusalCode = Extract<
  ErrorCode,
  | "unauthenticated"
  | "invalid_token"
  | "token_expired"
  | "invalid_credentials"
  | "session_revoked"
  | "session_expired"
  | "refresh_reused"
>;

/** A 401 with the challenge that RFC 9110 (section 15.5.2) and RFC 6750 (section 3) ask for. */
export function refusal(code: RefusalCode, cause?: unknown): AppError {
  const tokenless = code === "unauthenticated" || code === "invalid_credentials";
  return new AppError(code, {
    headers: { "WWW-Authenticate": tokenless ? "Bearer" : 'Bearer error="invalid_token"' },
    cause,
  });
}
