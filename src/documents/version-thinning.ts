/** What thinning looks at, of one automatic version. */
export interface Thinnable {
  readonly id: string;
  readonly kind: "automatic" | "before_restore";
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
  /** When the next version of the document came; undefined for the newest. */
  readonly supersededAt: number | undefined;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MONTH = 30 * DAY;

/**
 * Which versions go: all of the last hour stay, then the last of each hour for a day, then the last of each day for a month,
 * counted in UTC. The month begins when a version was superseded, so the state before the first edit after a long silence
 * can still be had, and the newest never goes. One made before a restore stays for its month.
 */
export function thinVersions(
  versions: readonly Thinnable[],
  now: number,
): {
  readonly drop: readonly string[];
  /** When to look again; undefined when nothing more will go. */
  readonly nextAt: number | undefined;
} {
  const newestFirst = [...versions].sort((a, b) => b.createdAt - a.createdAt);
  const taken = new Set<string>();
  const drop: string[] = [];
  let nextAt: number | undefined;
  for (const { id, kind, createdAt, supersededAt } of newestFirst) {
    if (supersededAt === undefined) continue;
    const age = now - createdAt;
    const slot =
      kind === "before_restore" || age <= HOUR
        ? undefined
        : age <= DAY
          ? `hour ${Math.floor(createdAt / HOUR)}`
          : `day ${Math.floor(createdAt / DAY)}`;
    if (now - supersededAt > MONTH || (slot !== undefined && taken.has(slot))) {
      drop.push(id);
      continue;
    }
    if (slot !== undefined) taken.add(slot);
    const again = now + (age <= DAY ? HOUR : DAY);
    nextAt = nextAt === undefined ? again : Math.min(nextAt, again);
  }
  return { drop, nextAt };
}
