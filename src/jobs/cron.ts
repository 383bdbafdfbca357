import { CronExpressionParser } from "cron-parser";

/** Five fields of digits, names, `*`, `/`, `-`, `,`, `?`, `L` and `#`; no seconds, no aliases, nothing random. */
const FIVE_FIELDS = /^[\w*/,#?-]{1,60}(?: [\w*/,#?-]{1,60}){4}$/;

/** True for a cron expression of five fields that has a next time: `0 9 * * 1-5`. */
export function isCron(text: string): boolean {
  if (!FIVE_FIELDS.test(text) || /\bH/.test(text)) return false;
  try {
    CronExpressionParser.parse(text, { tz: "UTC" }).next();
    return true;
  } catch {
    return false;
  }
}

/** True for the name of a time zone, such as `Europe/Zurich`. */
export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

/**
 * The first time after `after`, both in ms since the Unix epoch. A time of day that a clock change leaves out comes an hour
 * later; one it brings twice is taken once.
 *
 * @throws Error for what {@link isCron} or {@link isTimeZone} refuse.
 */
export function nextTime(cron: string, timeZone: string, after: number): number {
  return CronExpressionParser.parse(cron, { tz: timeZone, currentDate: new Date(after) })
    .next()
    .getTime();
}
