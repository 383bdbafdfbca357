import { AppError } from "../../errors.js";

/** RFC 5321, section 4.5.3.1: octets of the local part and of a path without its brackets. */
const MAX_LOCAL = 64;
const MAX_ADDRESS = 254;

/**
 * An unquoted local part (RFC 5322 dot-atom) without `%` and `!`, with which old relays were told where to send a mail on,
 * and a domain of letters, digits and hyphens.
 */
const LOCAL = /^[a-z0-9#$&'*+/=?^_`{|}~-]+(?:\.[a-z0-9#$&'*+/=?^_`{|}~-]+)*$/i;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;

/**
 * True for one bare address. A list, a display name, a group, a comment, a quoted local part, an address literal, white
 * space, control characters and anything outside ASCII (an international domain comes as `xn--…`) are no bare address:
 * parsers of mail headers disagree about them, and the mail may go to somebody else.
 */
export function isBareAddress(text: string): boolean {
  if (text.length > MAX_ADDRESS) return false;
  const at = text.indexOf("@");
  const local = text.slice(0, at);
  const labels = text.slice(at + 1).split(".");
  return (
    at > 0 &&
    local.length <= MAX_LOCAL &&
    LOCAL.test(local) &&
    labels.every((label) => LABEL.test(label)) &&
    !/^\d+$/.test(labels.at(-1) ?? "")
  );
}

/** Refuses a recipient that is not one bare address; the message does not repeat it. */
export function requireBareAddress(text: string): string {
  if (!isBareAddress(text)) {
    throw new AppError("unprocessable", { detail: "A mail goes to one bare e-mail address." });
  }
  return text;
}
