const SECRET_NAME = /pass(word|wd)?|secret|token|ticket|authorization|cookie|api[-_]?key|credential/i;
/** JWTs, our own tokens, passwords and tokens in URLs. */
const SECRET_TEXT: readonly [RegExp, string][] = [
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, "[redacted]"],
  [/\b(rt1|inv1|rst1|vfy1|wst1)\.[\w.-]+/g, "$1.[redacted]"],
  [/([?&#](?:token|ticket|access_token)=)[^&\s"']+/gi, "$1[redacted]"],
  [/(\b[a-z][a-z\d+.-]*:\/\/[^\s/:@]*:)[^\s/@]+@/gi, "$1[redacted]@"],
  [/(\bBearer\s+)[\w~+/.=-]+/gi, "$1[redacted]"],
];
const MAX_TEXT = 8_192;
const MAX_DEPTH = 6;
const MAX_MEMBERS = 100;

/** A copy of a value that may be logged: secrets out, long texts cut, errors and cycles made plain. */
export function redact(value: unknown, depth = 0, seen: readonly object[] = []): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint") return String(value);
  if (value === null || typeof value !== "object") return typeof value === "function" ? "[function]" : value;
  if (seen.includes(value)) return "[circular]";
  if (depth >= MAX_DEPTH) return "[deep]";
  const inner = (next: unknown) => redact(next, depth + 1, [...seen, value]);
  if (value instanceof Error) {
    const { name, message, stack, cause } = value;
    const code = (value as { code?: unknown }).code;
    return {
      name,
      message: redactText(message),
      ...(code === undefined ? {} : { code: inner(code) }),
      ...(stack === undefined ? {} : { stack: redactText(stack) }),
      ...(cause === undefined ? {} : { cause: inner(cause) }),
    };
  }
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (Buffer.isBuffer(value)) return `[${value.length} bytes]`;
  if (Array.isArray(value)) return value.slice(0, MAX_MEMBERS).map(inner);
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, MAX_MEMBERS)
      .map(([name, member]) => [name, SECRET_NAME.test(name) && member !== undefined && member !== null ? "[redacted]" : inner(member)]),
  );
}

function redactText(text: string): string {
  let safe = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}… (${text.length} characters)` : text;
  for (const [pattern, replacement] of SECRET_TEXT) safe = safe.replace(pattern, replacement);
  return safe;
}
