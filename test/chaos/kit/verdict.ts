/** What the checker counts; each must be 0. */
export const COUNTS = ["LOST", "DUP", "GHOST", "REORDER", "DIVERGED"] as const;

/** One of {@link COUNTS}. */
export type Count = (typeof COUNTS)[number];

/** What came of one experiment. */
export interface Verdict {
  readonly counts: Readonly<Record<Count, number>>;
  /** What was acknowledged or answered, and therefore looked for. */
  readonly checked: number;
  /** Faults that were made. */
  readonly faults: number;
  /** Promises that did not hold, besides what is counted. */
  readonly broken: readonly string[];
  /** What was measured. */
  readonly facts: readonly string[];
}

/** Gathers a verdict while an experiment goes on. */
export class Findings {
  readonly counts: Record<Count, number> = { LOST: 0, DUP: 0, GHOST: 0, REORDER: 0, DIVERGED: 0 };
  readonly broken: string[] = [];
  readonly facts: string[] = [];
  checked = 0;
  faults = 0;

  /** Counts `how` many; `what` says which, for the first few. */
  count(kind: Count, how: number, what: string): void {
    this.counts[kind] += how;
    if (how > 0 && this.broken.length < 20) this.broken.push(`${kind} ${how}: ${what}`);
  }

  /** Notes a promise that did not hold. */
  expect(holds: boolean, otherwise: string): void {
    if (!holds && this.broken.length < 20) this.broken.push(otherwise);
  }

  fact(text: string): void {
    this.facts.push(text);
  }

  verdict(): Verdict {
    const { counts, checked, faults, broken, facts } = this;
    return { counts, checked, faults, broken, facts };
  }
}

/** True when everything that was promised held, and there was something to look for. */
export function holds(verdict: Verdict): boolean {
  return (
    COUNTS.every((count) => verdict.counts[count] === 0) && verdict.broken.length === 0 && verdict.checked > 0
  );
}
