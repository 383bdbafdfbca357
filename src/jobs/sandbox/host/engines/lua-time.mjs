// The calendar of Lua's `os.date` and `os.time`. There is one time zone here: UTC.

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = "January February March April May June July August September October November December".split(
  " ",
);
const DAY_MS = 86_400_000;
const SHORTHANDS = Object.freeze({
  c: "%a %b %e %H:%M:%S %Y",
  D: "%m/%d/%y",
  F: "%Y-%m-%d",
  h: "%b",
  r: "%I:%M:%S %p",
  R: "%H:%M",
  T: "%H:%M:%S",
  x: "%m/%d/%y",
  X: "%H:%M:%S",
});

/**
 * The fields of a `struct tm`: second, minute, hour, day of month, month, years since 1900, day of week, day of year,
 * daylight saving, offset.
 * @param {number} seconds since 1970
 */
export function timeParts(seconds) {
  const date = new Date(seconds * 1000);
  const year = date.getUTCFullYear();
  const dayOfYear = Math.floor((date.getTime() - Date.UTC(year, 0, 1)) / DAY_MS);
  const clock = [date.getUTCSeconds(), date.getUTCMinutes(), date.getUTCHours()];
  return [
    ...clock,
    date.getUTCDate(),
    date.getUTCMonth(),
    year - 1900,
    date.getUTCDay(),
    dayOfYear,
    0,
    0,
  ].map((part) => (Number.isFinite(part) ? part : 0));
}

/**
 * `strftime`.
 * @param {string} format
 * @param {readonly number[]} parts as of `timeParts`
 * @returns {string}
 */
export function formatTime(format, parts) {
  const [second = 0, minute = 0, hour = 0, day = 0, month = 0, years = 0, weekDay = 0, yearDay = 0] = parts;
  const year = years + 1900;
  const week = isoWeek(year, month, day);
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  /** @type {Record<string, () => string>} */
  const fields = {
    a: () => (DAYS[weekDay] ?? "?").slice(0, 3),
    A: () => DAYS[weekDay] ?? "?",
    b: () => (MONTHS[month] ?? "?").slice(0, 3),
    B: () => MONTHS[month] ?? "?",
    C: () => two(Math.floor(year / 100)),
    d: () => two(day),
    e: () => String(day).padStart(2, " "),
    g: () => two(week.year % 100),
    G: () => String(week.year),
    H: () => two(hour),
    I: () => two(hour % 12 || 12),
    j: () => String(yearDay + 1).padStart(3, "0"),
    m: () => two(month + 1),
    M: () => two(minute),
    n: () => "\n",
    p: () => (hour < 12 ? "AM" : "PM"),
    S: () => two(second),
    t: () => "\t",
    u: () => String(weekDay || 7),
    U: () => two(Math.floor((yearDay + 7 - weekDay) / 7)),
    V: () => two(week.number),
    w: () => String(weekDay),
    W: () => two(Math.floor((yearDay + 7 - ((weekDay + 6) % 7)) / 7)),
    y: () => two(((year % 100) + 100) % 100),
    Y: () => String(year),
    z: () => "+0000",
    Z: () => "UTC",
    "%": () => "%",
  };
  const long = format.replace(/%([cDFhrRTxX])/g, (_, name) => SHORTHANDS[/** @type {"c"} */ (name)]);
  return long.replace(/%[EO]?(.)/gs, (whole, name) => fields[name]?.() ?? whole);
}

/** A week begins on Monday and belongs to the year of its Thursday. @param {number} year @param {number} month @param {number} day */
function isoWeek(year, month, day) {
  const date = new Date(Date.UTC(year, month, day));
  const thursday = new Date(date.getTime() + (3 - ((date.getUTCDay() + 6) % 7)) * DAY_MS);
  const first = Date.UTC(thursday.getUTCFullYear(), 0, 1);
  return {
    year: thursday.getUTCFullYear(),
    number: Math.floor((thursday.getTime() - first) / (7 * DAY_MS)) + 1,
  };
}
