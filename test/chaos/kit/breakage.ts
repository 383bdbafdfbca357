import type { Count } from "./verdict.js";

/** Defects a node can be given on purpose, the experiment that must fail, and the count that must tell: else the checker is blind. */
export const BREAKAGES = {
  "ack-before-commit": { experiment: "documents", count: "LOST" },
  "viewers-write": { experiment: "documents", count: "GHOST" },
  "no-repair": { experiment: "documents", count: "DIVERGED" },
  "events-passed-over": { experiment: "events", count: "LOST" },
} as const satisfies Record<string, { readonly experiment: string; readonly count: Count }>;

/** One of {@link BREAKAGES}. */
export type BreakName = keyof typeof BREAKAGES;

/** The option of node that makes the defect. */
export function breakOption(name: BreakName): string {
  const hooks = new URL("break-hooks.mjs", import.meta.url);
  hooks.searchParams.set("name", name);
  return `--import=${hooks.href}`;
}
