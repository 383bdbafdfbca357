import type { RunRef } from "./run-repository.js";

/** Shows, again and again, that this worker's runs are alive. */
export interface Leases {
  /** Keeps the run's lease until the returned function is called; `onLost` when the run is none any more. */
  hold(run: RunRef, onLost: () => void): () => void;
  stop(): void;
}

/**
 * Renews all leases of a worker with one statement.
 *
 * @param deps.renew extends the leases of these runs and returns those that still are runs.
 */
export function createLeases(deps: {
  renew: (runs: readonly RunRef[]) => Promise<readonly RunRef[]>;
  everyMs: number;
  onError: (error: unknown) => void;
}): Leases {
  const held = new Map<string, { readonly run: RunRef; readonly onLost: () => void }>();
  const keyOf = (run: RunRef) => `${run.jobId} ${run.attempt}`;
  let renewing = false;

  async function renewAll(): Promise<void> {
    if (renewing || held.size === 0) return;
    renewing = true;
    const asked = [...held.values()];
    try {
      const alive = new Set((await deps.renew(asked.map(({ run }) => run))).map(keyOf));
      for (const { run, onLost } of asked) if (!alive.has(keyOf(run)) && held.has(keyOf(run))) onLost();
    } catch (error) {
      deps.onError(error);
    } finally {
      renewing = false;
    }
  }

  const timer = setInterval(() => void renewAll(), deps.everyMs);
  return {
    hold(run, onLost) {
      held.set(keyOf(run), { run, onLost });
      return () => held.delete(keyOf(run));
    },
    stop() {
      clearInterval(timer);
    },
  };
}
