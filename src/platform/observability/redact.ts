import { types } from "node:util";

/** What stands in a log line where a secret was. */
const REDACTED = "[redacted]";
/** Longest text of one value, and of all values of one line, in UTF-16 units. */
const MAX_TEXT = 8_192;
const MAX_LINE = 65_536;
const MAX_DEPTH = 8;
const MAX_MEMBERS = 100;
/** Values of one line altogether: members of members multiply. */
const MAX_VALUES = 2_000;

/** Names are compared without `-`, `_`, `.`, blanks and case: `X-Api-Key`, `refresh_token`, `clientSecret`, `Set-Cookie`. */
const SECRET_NAME =
  /pass(?:word|wd|phrase)|secret|token|ticket|authorization|cookie|apikey|privatekey|credential|signature|jwt/;
const SHORT_SECRET_NAMES = new Set(["pwd", "pass", "pin", "otp", "auth", "csrf", "sig"]);
/** Numbers and booleans under these names are counts and flags (`tokens: 3`, `hasCookie: true`); elsewhere they can be the secret. */
const COUNTED_NAME = /token|ticket|cookie|signature|credential/;

/**
 * Secrets in running text. Every repetition before a needed character is bounded or stops at that character, so that
 * hostile text takes time in proportion to its length.
 */
const SECRET_TEXT: readonly (readonly [RegExp, string])[] = [
  // JWS and JWE (RFC 7515, 7516): base64url of `{"`.
  [/\bey[JA][\w-]{5,}\.[\w-]*(?:\.[\w-]*)*/g, REDACTED],
  // Our own tokens: refresh, invitation, reset, verify, socket ticket.
  [/\b(rt1|inv1|rst1|vfy1|wst1)\.[\w.~+/=-]+/g, `$1.${REDACTED}`],
  [/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)/g, REDACTED],
  // bcrypt
  [/\$2[abxy]\$\d\d\$[./A-Za-z\d]{20,}/g, REDACTED],
  // Passwords in URLs; the user name stays.
  [/\b([a-z][a-z\d+.-]{0,20}:\/\/[^\s:/?#@"'<>]*):[^\s/?#"'<>]+@/gi, `$1:${REDACTED}@`],
  // Parameters of URLs, forms and headers: token=…, access_token=…, password=…
  [
    /((?:^|[^\w])[\w-]{0,30}?(?:token|ticket|secret|passw(?:or)?d|api[_-]?key|signature|session))=("?)[^\s&"'<>;,#]+/gi,
    `$1=$2${REDACTED}`,
  ],
  [/([?&#](?:code|sig|key|state|otp)=)[^\s&"'<>;,#]+/gi, `$1${REDACTED}`],
  // JSON inside a text.
  [
    /("[\w-]{0,30}(?:token|ticket|secret|password|authorization|cookie)"\s{0,5}:\s{0,5}")(?:\\.|[^"\\])*/gi,
    `$1${REDACTED}`,
  ],
  [/\b(Bearer\s{1,5})[\w.~+/=-]+/gi, `$1${REDACTED}`],
  [/\b(Basic\s{1,5})[\w+/-]{8,}={0,2}(?![\w+/-])/g, `$1${REDACTED}`],
];

/** What every secret text has in it; most texts have none of it and are done. */
const SUSPICIOUS = /ey[JA]|(?:rt|inv|rst|vfy|wst)1\.|PRIVATE KEY|\$2[abxy]|:\/\/|[="]|Bearer|Basic/i;

/** What one line may still take. */
interface Budget {
  chars: number;
  values: number;
}

function lineBudget(): Budget {
  return { chars: MAX_LINE, values: MAX_VALUES };
}

/**
 * A copy of a value that may be logged: plain JSON, secrets out, long texts and lists cut, errors with cause and stack,
 * cycles named. Never throws, whatever the value's getters do.
 */
export function redact(value: unknown): unknown {
  return copy(value, "", [], lineBudget());
}

/** A text without the secrets that can be told by their form, cut to 8,192 characters. */
export function redactText(text: string): string {
  return within(text, lineBudget());
}

function within(text: string, budget: Budget): string {
  const room = Math.max(0, Math.min(MAX_TEXT, budget.chars));
  let safe = text.length > room ? text.slice(0, room) : text;
  budget.chars -= safe.length;
  if (SUSPICIOUS.test(safe))
    for (const [pattern, replacement] of SECRET_TEXT) safe = safe.replace(pattern, replacement);
  return text.length > room ? `${safe}… (${text.length} characters)` : safe;
}

function copy(value: unknown, name: string, path: readonly object[], budget: Budget): unknown {
  if (value === null || value === undefined) return value;
  budget.values -= 1;
  if (budget.values < 0) return "[more]";
  if (isSecretName(name) && !(isCount(value) && COUNTED_NAME.test(name))) return REDACTED;
  switch (typeof value) {
    case "string":
      return within(value, budget);
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "boolean":
      return value;
    case "object":
      return copyUnlessSeen(value, path, budget);
    case "bigint":
    case "symbol":
      return within(value.toString(), budget);
    default:
      return "[function]";
  }
}

function copyUnlessSeen(value: object, path: readonly object[], budget: Budget): unknown {
  if (path.includes(value)) return "[circular]";
  if (path.length >= MAX_DEPTH) return "[deep]";
  try {
    return copyObject(value, [...path, value], budget);
  } catch {
    return "[unreadable]";
  }
}

function copyObject(value: object, path: readonly object[], budget: Budget): unknown {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "invalid date" : value.toISOString();
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (value instanceof Map) return members(value.entries(), path, budget);
  if (Array.isArray(value) || value instanceof Set) return list([...value], path, budget);
  if (types.isNativeError(value) || value instanceof Error) return members(errorEntries(value), path, budget);
  if ("toJSON" in value && typeof value.toJSON === "function") {
    return copy((value.toJSON as () => unknown)(), "", path, budget);
  }
  return members(Object.entries(value), path, budget);
}

function* errorEntries(error: Error): Generator<[string, unknown]> {
  yield ["name", error.name];
  yield ["message", error.message];
  yield* Object.entries(error).filter(([key]) => key !== "stack");
  if (error.cause !== undefined) yield ["cause", error.cause];
  if (error instanceof AggregateError) yield ["errors", error.errors];
  if (error.stack !== undefined) yield ["stack", error.stack];
}

function members(
  entries: Iterable<[unknown, unknown]>,
  path: readonly object[],
  budget: Budget,
): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  let count = 0;
  for (const [key, member] of entries) {
    count += 1;
    if (count > MAX_MEMBERS || budget.chars <= 0 || budget.values <= 0) {
      result["…"] = "more members";
      break;
    }
    const label = within(typeof key === "string" ? key : String(key), budget);
    // Not an assignment: `__proto__` would set the prototype.
    Object.defineProperty(result, label, {
      value: copy(member, normalise(label), path, budget),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return result;
}

function list(items: readonly unknown[], path: readonly object[], budget: Budget): unknown[] {
  const kept = items.slice(0, MAX_MEMBERS).map((item) => copy(item, "", path, budget));
  return items.length > MAX_MEMBERS ? [...kept, `… (${items.length} items)`] : kept;
}

function isSecretName(name: string): boolean {
  return SHORT_SECRET_NAMES.has(name) || SECRET_NAME.test(name);
}

function isCount(value: unknown): boolean {
  return typeof value === "number" || typeof value === "boolean";
}

function normalise(name: string): string {
  return name.toLowerCase().replace(/[-_.\s]/g, "");
}
