import { AppError, type FieldError } from "../errors.js";

/** Deepest nesting of arrays and objects that is read. */
export const MAX_JSON_DEPTH = 32;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/**
 * Reads one JSON text. Refuses what JSON.parse would take but no honest client sends: invalid UTF-8, more than
 * {@link MAX_JSON_DEPTH} levels, repeated member names, `__proto__`, NUL, lone surrogates, numbers beyond a double.
 *
 * @throws AppError `invalid_json`, `too_deep` or `validation_failed` with pointers.
 */
export function parseJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch (cause) {
    throw malformed("The body is not valid UTF-8.", cause);
  }
  return parseJsonText(text);
}

/** {@link parseJson} for text that is decoded already (a WebSocket text frame). */
export function parseJsonText(text: string): unknown {
  const duplicate = scan(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw malformed(text.trim() === "" ? "The body is empty." : "The body is not JSON.", cause);
  }
  if (duplicate) throw malformed("A member name is repeated.");
  const errors: FieldError[] = [];
  inspect(value, "", errors);
  if (errors.length > 0) throw new AppError("validation_failed", { errors });
  return value;
}

/** The fault is in the document as a whole, so its pointer is the empty one (RFC 6901, section 5). */
function malformed(message: string, cause?: unknown): AppError {
  return new AppError("invalid_json", {
    detail: message,
    errors: [{ pointer: "", code: "invalid_json", message }],
    cause,
  });
}

function tooDeep(): AppError {
  const message = `Arrays and objects nest at most ${MAX_JSON_DEPTH} deep.`;
  return new AppError("too_deep", { errors: [{ pointer: "", code: "too_deep", message }] });
}

/** One pass over the raw text before it is parsed: depth and repeated names. True when a name is repeated. */
function scan(text: string): boolean {
  const names: (Set<string> | null)[] = [];
  let duplicate = false;
  let last = "";
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: {
        const start = i + 1;
        for (i = start; i < text.length && text.charCodeAt(i) !== 0x22; i++)
          if (text.charCodeAt(i) === 0x5c) i++;
        last = plainName(text.slice(start, i));
        break;
      }
      case 0x3a: {
        const seen = names[names.length - 1];
        if (seen?.has(last)) duplicate = true;
        seen?.add(last);
        break;
      }
      case 0x7b:
        names.push(new Set());
        if (names.length > MAX_JSON_DEPTH) throw tooDeep();
        break;
      case 0x5b:
        names.push(null);
        if (names.length > MAX_JSON_DEPTH) throw tooDeep();
        break;
      case 0x7d:
      case 0x5d:
        names.pop();
        break;
    }
  }
  return duplicate;
}

/** A name as it is meant: `"\u0061"` is `"a"`. What is no string at all is found by JSON.parse. */
function plainName(raw: string): string {
  if (!raw.includes("\\")) return raw;
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    return raw;
  }
}

function inspect(value: unknown, pointer: string, errors: FieldError[]): void {
  if (errors.length >= 20) return;
  if (typeof value === "string") {
    const fault = textFault(value);
    if (fault) errors.push({ pointer, code: "invalid_text", message: fault });
  } else if (typeof value === "number") {
    if (!Number.isFinite(value))
      errors.push({ pointer, code: "invalid_number", message: "The number is too large." });
  } else if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) inspect(value[i], `${pointer}/${i}`, errors);
  } else if (value !== null && typeof value === "object") {
    for (const [name, member] of Object.entries(value)) {
      const at = `${pointer}/${name.slice(0, 100).replaceAll("~", "~0").replaceAll("/", "~1")}`;
      if (name === "__proto__" || textFault(name)) {
        errors.push({
          pointer: at.toWellFormed(),
          code: "invalid_name",
          message: "This member name is not allowed.",
        });
      } else inspect(member, at, errors);
    }
  }
}

/** Why a string cannot be stored as text, or undefined: PostgreSQL has no NUL, UTF-8 has no lone surrogates. */
export function textFault(value: string): string | undefined {
  if (value.includes("\u0000")) return "The text holds a NUL character.";
  if (!value.isWellFormed()) return "The text holds half a surrogate pair.";
  return undefined;
}
