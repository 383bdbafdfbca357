/** Connection exceptions, insufficient resources, operator intervention, system errors (PostgreSQL, appendix A). */
const UNAVAILABLE_CLASSES = new Set(["08", "53", "58"]);
const UNAVAILABLE_STATES = new Set([
  "57014",
  "57P01",
  "57P02",
  "57P03",
  "57P04",
  "57P05",
  "25P03",
  "25P04",
  "25006",
]);
/** A time-out leaves a healthy session behind; every other unavailability ends or dooms it. */
const SESSION_SURVIVES = new Set(["57014"]);
const RETRYABLE_STATES = new Set(["40001", "40P01"]);

const SOCKET_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
  "EACCES",
]);
/** The driver gives these no code. */
const DRIVER_MESSAGES = [
  "Query read timeout",
  "Connection terminated",
  "timeout exceeded when trying to connect",
  "timeout expired",
  "Client has encountered a connection error",
  "Client was closed",
  "Cannot use a pool after calling end",
];

/** A text member of whatever was thrown; not by `instanceof`, which another realm's errors would fail. */
function textOf(error: unknown, member: "code" | "message"): string {
  if (typeof error !== "object" || error === null) return "";
  const text = (error as Readonly<Record<string, unknown>>)[member];
  return typeof text === "string" ? text : "";
}

/** True when the server ended the statement because two transactions met; the whole transaction can run again. */
export function isSerializationFailure(error: unknown): boolean {
  return RETRYABLE_STATES.has(textOf(error, "code"));
}

/** True when `error` means that the database is away, overloaded or did not answer in time. */
export function isUnavailable(error: unknown): boolean {
  const code = textOf(error, "code");
  const message = textOf(error, "message");
  return (
    UNAVAILABLE_CLASSES.has(code.slice(0, 2)) ||
    UNAVAILABLE_STATES.has(code) ||
    SOCKET_CODES.has(code) ||
    DRIVER_MESSAGES.some((start) => message.startsWith(start))
  );
}

/** True when the session that met `error` must not serve another statement. */
export function breaksSession(error: unknown): boolean {
  return isUnavailable(error) && !SESSION_SURVIVES.has(textOf(error, "code"));
}
