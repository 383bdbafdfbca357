import { describe, it } from "@jest/globals";

/**
 * One contract suite for one adapter. An adapter that cannot be reached here shows as a skipped test with its name and
 * the reason, never silently.
 */
export function describeAdapter(name: string, missing: string | undefined, suite: () => void): void {
  if (missing === undefined) describe(name, suite);
  else describe(name, () => it.skip(`not run on ${name}: ${missing}`, () => undefined));
}

/** Resolves when `condition` holds; asks again after every turn of the event loop and a short rest. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** The error that `promise` rejects with, and how long that took. */
export async function failureOf(promise: Promise<unknown>): Promise<{ code: unknown; ms: number }> {
  const begun = performance.now();
  const code = await promise.then(
    () => "no error",
    (error: { code?: unknown }) => error.code,
  );
  return { code, ms: performance.now() - begun };
}
