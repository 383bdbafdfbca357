/** Thrown by a row that cannot be measured here; the reason is shown in its place. */
export class Skipped extends Error {}

/** Time and repeats of one row. */
export class Rounds {
  #started = performance.now();

  /**
   * @param {number} repeats
   * @param {number} budgetMs no round begins that would not end within it
   */
  constructor(repeats, budgetMs) {
    this.repeats = repeats;
    this.budgetMs = budgetMs;
  }

  /** Milliseconds that are left. */
  get left() {
    return this.budgetMs - (performance.now() - this.#started);
  }

  /**
   * Measures every side in turn (A/B/A/B), `repeats` times or as often as the time allows.
   *
   * @template Side, Result
   * @param {readonly Side[]} sides
   * @param {(side: Side, round: number) => Promise<Result>} measure
   * @returns {Promise<Map<Side, Result[]>>}
   */
  async interleave(sides, measure, repeats = this.repeats) {
    const results = new Map(sides.map((side) => [side, []]));
    let longest = 0;
    for (let round = 0; round < repeats; round += 1) {
      if (round > 0 && this.left < longest * 1.1) break;
      const started = performance.now();
      for (const side of sides) results.get(side).push(await measure(side, round));
      longest = Math.max(longest, performance.now() - started);
    }
    return results;
  }
}

/** Stops everything of a row that was started, whatever came of it. */
export async function using(parts, work) {
  const started = [];
  try {
    for (const start of parts) started.push(await start());
    return await work(...started);
  } finally {
    await Promise.all(started.map((part) => part.stop()));
  }
}
