import { expect, it } from "@jest/globals";
import { isCron, isTimeZone, nextTime } from "./cron.js";

const after = (text: string) => Date.parse(text);
const next = (cron: string, zone: string, from: string) =>
  new Date(nextTime(cron, zone, after(from))).toISOString();

it.each(["* * * * *", "*/5 * * * *", "0 9 * * 1-5", "0 9 * * MON,FRI", "0 0 29 2 *", "0 0 L * *"])(
  "[JOB110] takes %s",
  (cron) => {
    expect(isCron(cron)).toBe(true);
  },
);

it.each([
  "",
  "* * * *",
  "0 * * * * *",
  "60 * * * *",
  "* 24 * * *",
  "0 0 0 * *",
  "0 0 30 2 *",
  "a b c d e",
  "*/0 * * * *",
  "5-1 * * * *",
  "1,,2 * * * *",
  "@daily",
  "H * * * *",
  "  * * * * *",
  "* * * * *\n",
  `${"1,".repeat(200)}1 * * * *`,
])("[JOB110] refuses %j", (cron) => {
  expect(isCron(cron)).toBe(false);
});

it("[JOB110] knows time zones by their names", () => {
  expect(["UTC", "Europe/Zurich", "America/New_York"].map(isTimeZone)).toEqual([true, true, true]);
  expect(["", "Europe/Nowhere", "CEST "].map(isTimeZone)).toEqual([false, false, false]);
});

it("[JOB111] finds the next time in the time zone, over both changes of the clock", () => {
  expect(next("*/5 * * * *", "UTC", "2026-03-27T12:00:00Z")).toBe("2026-03-27T12:05:00.000Z");
  expect(next("0 9 * * *", "Europe/Zurich", "2026-03-28T12:00:00Z")).toBe("2026-03-29T07:00:00.000Z");
  expect(next("0 9 * * *", "Europe/Zurich", "2026-10-24T12:00:00Z")).toBe("2026-10-25T08:00:00.000Z");
  // 02:30 does not exist on that day, and exists twice on the other.
  expect(next("30 2 * * *", "Europe/Zurich", "2026-03-28T12:00:00Z")).toBe("2026-03-29T01:30:00.000Z");
  const first = nextTime("30 2 * * *", "Europe/Zurich", after("2026-10-24T12:00:00Z"));
  expect(new Date(first).toISOString()).toBe("2026-10-25T00:30:00.000Z");
  expect(new Date(nextTime("30 2 * * *", "Europe/Zurich", first)).toISOString()).toBe(
    "2026-10-26T01:30:00.000Z",
  );
});
