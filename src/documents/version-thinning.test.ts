import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { type Thinnable, thinVersions } from "./version-thinning.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 5, 15, 12, 30);

/** Versions by age, each superseded by the one after it. */
function versions(ages: readonly number[], kind: Thinnable["kind"] = "automatic"): Thinnable[] {
  const times = ages.map((age) => NOW - age).sort((a, b) => a - b);
  return times.map((createdAt, i) => ({ id: `${i}`, kind, createdAt, supersededAt: times[i + 1] }));
}

function left(list: readonly Thinnable[], now = NOW): Thinnable[] {
  const drop = new Set(thinVersions(list, now).drop);
  return list.filter(({ id }) => !drop.has(id));
}

describe("thinning of versions", () => {
  it("[VER20] keeps all of the last hour, then the last of each hour for a day, then the last of each day for a month", () => {
    const every10 = Array.from({ length: 6 * 24 * 40 }, (_, i) => i * 10 * MINUTE);
    const kept = left(versions(every10));
    const age = ({ createdAt }: Thinnable) => NOW - createdAt;
    const within = (from: number, to: number) => kept.filter((v) => age(v) > from && age(v) <= to);
    expect(within(-1, HOUR)).toHaveLength(7);
    // The hours that have a version between one hour and one day old: 24 beginnings of an hour.
    expect(within(HOUR, DAY)).toHaveLength(24);
    expect(within(DAY, 31 * DAY)).toHaveLength(30);
    expect(within(31 * DAY, 40 * DAY)).toHaveLength(0);
    // The last of its hour and of its day.
    expect(within(HOUR, DAY).every((v) => new Date(v.createdAt).getUTCMinutes() >= 20)).toBe(true);
  });

  it("[VER21] the state before the first edit after a long silence stays for a month, and the newest for ever", () => {
    const silent: Thinnable[] = [
      { id: "old", kind: "automatic", createdAt: NOW - 300 * DAY, supersededAt: NOW - 2 * DAY },
      { id: "new", kind: "automatic", createdAt: NOW - 2 * DAY, supersededAt: undefined },
    ];
    expect(left(silent)).toHaveLength(2);
    expect(left(silent, NOW + 29 * DAY).map(({ id }) => id)).toEqual(["new"]);
    expect(left(silent, NOW + 2_000 * DAY).map(({ id }) => id)).toEqual(["new"]);
    expect(thinVersions(silent.slice(1), NOW).nextAt).toBeUndefined();
  });

  it("[VER21] what a restore replaced stays for a month, whatever else there is", () => {
    const list = versions([2 * HOUR, 2 * HOUR + MINUTE, 2 * HOUR + 2 * MINUTE], "before_restore");
    expect(left(list)).toHaveLength(3);
    expect(left(list, NOW + 31 * DAY)).toHaveLength(1);
  });

  it("[VER20] thinning again and again leaves what thinning once would, and never more than it says", () => {
    const ages = fc.uniqueArray(fc.integer({ min: 0, max: 45 * DAY }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(ages, (given) => {
        const list = versions(given);
        const once = left(list);
        expect(left(once)).toEqual(once);
        expect(once.at(-1)).toEqual(list.at(-1));
        expect(once.length).toBeLessThanOrEqual(
          list.filter(({ createdAt }) => NOW - createdAt <= HOUR).length + 25 + 32,
        );
        const { nextAt } = thinVersions(once, NOW);
        if (once.length > 1) expect(nextAt).toBeGreaterThan(NOW);
      }),
    );
  });
});
