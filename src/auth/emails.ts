import { domainToASCII } from "node:url";

/** Longest address SMTP can carry (RFC 5321, section 4.5.3.1.3, without the angle brackets). */
const MAX_LENGTH = 254;
const MAX_LOCAL_LENGTH = 64;
/** Longer input is not looked at. */
const MAX_INPUT_LENGTH = 320;

/** A dot-atom (RFC 5322) without `!`, `%`, `|` and the backtick, which some mail servers read as routes or commands. */
const LOCAL = /^[a-z0-9#$&'*+/=?^_{}~-]+(?:\.[a-z0-9#$&'*+/=?^_{}~-]+)*$/;
const DOMAIN_INPUT = /^[a-z0-9.\-\u{80}-\u{10ffff}]+$/u;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * The one form under which an address is stored, compared and written to: NFKC, lower case, ASCII, domain in Punycode
 * without a final dot. Undefined when `input` is not exactly one bare address.
 *
 * Normalising comes before every check, so what was checked is what is stored: a full-width `＠` is an `@` here, and a
 * second `@` hidden in it is found.
 */
export function canonicalEmail(input: string): string | undefined {
  if (input.length > MAX_INPUT_LENGTH) return undefined;
  const text = input
    .normalize("NFKC")
    .replace(/^ +| +$/g, "")
    .toLowerCase();
  const at = text.indexOf("@");
  if (at < 1 || at !== text.lastIndexOf("@")) return undefined;
  const local = text.slice(0, at);
  const domain = canonicalDomain(text.slice(at + 1));
  if (domain === undefined || local.length > MAX_LOCAL_LENGTH || !LOCAL.test(local)) return undefined;
  const email = `${local}@${domain}`;
  return email.length > MAX_LENGTH ? undefined : email;
}

function canonicalDomain(text: string): string | undefined {
  // domainToASCII reads its input like a URL's host; whatever has a meaning there must not get in.
  if (!DOMAIN_INPUT.test(text)) return undefined;
  const domain = domainToASCII(text).replace(/\.$/, "");
  const labels = domain.split(".");
  const top = labels.at(-1) ?? "";
  if (labels.length < 2 || !labels.every((label) => LABEL.test(label)) || /^\d+$/.test(top)) return undefined;
  return domain;
}
