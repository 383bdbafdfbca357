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
  .refine((value) => value >= 1_000, "must be at least one second");

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
