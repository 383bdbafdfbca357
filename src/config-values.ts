import { isIP } from "node:net";
import { z } from "zod";

/** A non-empty string. */
export const text = z.string().min(1);

/** A TCP port; 0 lets the system choose. */
export const port = number(0, 65_535);

/** A points-per-window limit; 0 switches the policy off. */
export const rateLimit = number(0, 1_000_000_000);

/** A whole number in a range, written in digits. */
export function number(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/, "must be a whole number")
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be between ${min} and ${max}`);
}

/** `true` or `false` (also 1/0, yes/no, on/off). */
export const flag = z
  .string()
  .toLowerCase()
  .refine((value) => /^(true|false|1|0|yes|no|on|off)$/.test(value), "must be true or false")
  .transform((value) => /^(true|1|yes|on)$/.test(value));

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** A length of time such as `15m`, `7d`, `900s`; a bare number is seconds (as JWT libraries read it). Gives ms. */
export const duration = z
  .string()
  .regex(/^\d{1,9}(ms|s|m|h|d|w)?$/, "must be a length of time such as 15m or 7d")
  .transform((value) => Number.parseInt(value, 10) * (UNITS[value.replace(/^\d+/, "") || "s"] ?? 1_000))
  .refine((value) => value >= 1_000, "must be at least one second")
  .refine((value) => value <= 10 * 365 * 86_400_000, "must be at most ten years");

/** Comma-separated values. */
export function list<T extends z.ZodType<unknown, string>>(item: T) {
  return z
    .string()
    .transform((value) =>
      value
        .split(",")
        .map((part) => part.trim())
        .filter((part) => part.length > 0),
    )
    .pipe(z.array(item));
}

/** The address of a server, such as `redis://user:password@host:6379/0`; more the adapter reads. */
export function address(...schemes: readonly string[]) {
  const form = new RegExp(`^(?:${schemes.map((scheme) => scheme.replace("+", "\\+")).join("|")})://\\S+$`);
  const names = schemes.map((scheme) => `${scheme}://`).join(" or ");
  return z.string().regex(form, `must begin with ${names}, without spaces`);
}

/** `host:port`, an IPv6 host in brackets. */
export const hostAndPort = z
  .string()
  .regex(/^(\[[\da-f:.]+\]|[^\s:[\]]+):\d{1,5}$/i, "must look like host:port");

/** An origin as browsers send it: scheme, host, and a port that is not the scheme's own. */
export const origin = z
  .string()
  .refine((value) => value !== "*", { message: "must not be * : requests carry credentials", abort: true })
  .transform((value) => value.replace(/\/$/, ""))
  .refine(isOrigin, "must look like https://app.example.org, without a path");

/** What stands in front of us: a count of proxies, or their addresses, networks, and names of networks. */
export const proxies = z
  .string()
  .refine(
    (value) => /^\d{1,2}$/.test(value) || value.split(",").every((part) => isNetwork(part.trim())),
    "must be a number of proxies or their addresses; true would trust every client's headers",
  );

function isOrigin(value: string): boolean {
  return /^https?:/.test(value) && URL.canParse(value) && new URL(value).origin === value;
}

function isNetwork(value: string): boolean {
  if (["loopback", "linklocal", "uniquelocal"].includes(value)) return true;
  const [ip = "", prefix, rest] = value.split("/");
  const family = isIP(ip);
  if (family === 0 || rest !== undefined) return false;
  // A mapped address with a short prefix would mean the whole IPv4 internet.
  if (family === 6 && ip.includes(".") && prefix !== undefined) return false;
  return (
    prefix === undefined ||
    (/^\d{1,3}$/.test(prefix) && Number(prefix) >= 1 && Number(prefix) <= (family === 4 ? 32 : 128))
  );
}
