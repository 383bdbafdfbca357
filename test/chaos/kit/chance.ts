import { randomOf } from "../../kit/random.js";

/** Chances of an experiment; all of them come from one seed. */
export interface Chance {
  readonly random: () => number;
  /** A whole number from `low` to `high`. */
  between(low: number, high: number): number;
  pick<T>(list: readonly [T, ...T[]]): T;
  yes(probability: number): boolean;
  /** Waits that many milliseconds. */
  pause(lowMs: number, highMs: number): Promise<void>;
  /** Chances of its own for something that runs beside: what it does then does not depend on the others' speed. */
  branch(): Chance;
}

/** Chances from a source of numbers in [0, 1). */
export function createChance(random: () => number): Chance {
  const between = (low: number, high: number) => low + Math.floor(random() * (high - low + 1));
  return {
    random,
    between,
    pick: (list) => list[between(0, list.length - 1)] ?? list[0],
    yes: (probability) => random() < probability,
    pause: (lowMs, highMs) => new Promise((resolve) => setTimeout(resolve, between(lowMs, highMs))),
    branch: () => createChance(randomOf(Math.floor(random() * 2 ** 31))),
  };
}
