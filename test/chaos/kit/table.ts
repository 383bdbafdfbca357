import { COUNTS, holds, type Verdict } from "./verdict.js";

/** How one experiment ended: with a verdict, by an error, or not begun. */
export interface Outcome {
  readonly name: string;
  readonly seconds: number;
  readonly verdict?: Verdict;
  readonly failure?: string;
  readonly skipped?: string;
}

/** Prints one line per experiment. */
export function printTable(outcomes: readonly Outcome[], say: (line: string) => void): void {
  const head = ["experiment", "faults", "checked", ...COUNTS, "seconds", "verdict"];
  const rows = outcomes.map(({ name, seconds, verdict, failure, skipped }) => [
    name,
    ...(verdict
      ? [verdict.faults, verdict.checked, ...COUNTS.map((count) => verdict.counts[count])].map(String)
      : ["", "", ...COUNTS.map(() => "")]),
    seconds.toFixed(0),
    word(verdict, failure, skipped),
  ]);
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) =>
        i === 0 || i === cells.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
      )
      .join("  ");
  say("");
  for (const row of [head, ...rows]) say(line(row).trimEnd());
  say("");
}

function word(
  verdict: Verdict | undefined,
  failure: string | undefined,
  skipped: string | undefined,
): string {
  if (skipped !== undefined) return `skipped: ${skipped}`;
  if (!verdict) return `FAILED: ${failure ?? ""}`;
  return holds(verdict) ? "holds" : `FAILED: ${verdict.broken[0] ?? "nothing was checked"}`;
}
