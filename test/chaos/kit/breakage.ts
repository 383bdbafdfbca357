import type { Count } from "./verdict.js";

/** Defects a node can be given on purpose, and the count each must raise: an experiment that does not see them is blind. */
export const BREAKAGES = {
  "ack-before-commit": "LOST",
  "viewers-write": "GHOST",
  "no-repair": "DIVERGED",
} as const satisfies Record<string, Count>;

/** One of {@link BREAKAGES}. */
export type BreakName = keyof typeof BREAKAGES;

/** The option of node that makes the defect. */
export function breakOption(name: BreakName): string {
  const hooks = new URL("break-hooks.mjs", import.meta.url);
  hooks.searchParams.set("name", name);
  return `--import=${hooks.href}`;
}
