const SECONDS_PER_DAY = 86_400;

/** A day in milliseconds. */
export const DAY_MS = SECONDS_PER_DAY * 1000;

/** How long activity is kept when nothing else is configured. */
export const DEFAULT_ACTIVITY_RETENTION_DAYS = 365;

/** How long the record of a connection is kept after it ended. */
export const SESSION_RETENTION_DAYS = 30;

/** How long the record of a connection is kept whose end nobody reported, counted from its start. */
export const UNENDED_SESSION_RETENTION_DAYS = 365;

/** MongoDB's largest `expireAfterSeconds`. */
const LONGEST_SECONDS = 2_147_483_647;

/** `days` (0 = for ever) as seconds of a TTL index. */
export function retentionSeconds(days: number): number | "never" {
  if (!Number.isInteger(days) || days < 0)
    throw new RangeError("a retention is a whole number of days, 0 or more");
  return days === 0 ? "never" : Math.min(days * SECONDS_PER_DAY, LONGEST_SECONDS);
}
