import { pruneActivity } from "./activity/store/postgres.js";
import type { Config } from "./config.js";
import type { Features } from "./features.js";
import type { Idempotency } from "./http/idempotency.js";
import type { Clock } from "./platform/clock.js";
import type { Logger } from "./platform/observability/logger.js";
import type { Stores } from "./stores.js";

/** Deletes what is over. */
export interface Housekeeping {
  start(): void;
  stop(): void;
}

const EVERY_MS = 10 * 60_000;
/** Rows of one kind at a time. */
const LIMIT = 5_000;
/** Blobs at a time: each is a request of its own, or a file. */
const BLOB_LIMIT = 1_000;
const DAY_MS = 86_400_000;
/** Dispatched events are kept this long for looking into. */
const OUTBOX_KEEP_MS = DAY_MS;

/** Runs every ten minutes on every node; the statements are bounded and harmless to repeat. */
export function createHousekeeping(deps: {
  config: Config;
  stores: Stores;
  features: Features;
  idempotency: Idempotency;
  clock: Clock;
  logger: Logger;
}): Housekeeping {
  const { config, stores, features, idempotency, clock, logger } = deps;
  const stopped = new AbortController();
  let timer: NodeJS.Timeout | undefined;

  async function sweep(): Promise<void> {
    const now = clock.now();
    const steps: (() => Promise<unknown>)[] = [
      () => idempotency.prune(LIMIT),
      () => features.outbox.prune(new Date(now - OUTBOX_KEEP_MS), LIMIT),
      () => features.auth.prune(LIMIT),
      () => features.projects.pruneInvitations(LIMIT),
      () => features.jobs.clearArtifacts(LIMIT),
      () => features.documents.prune(BLOB_LIMIT),
    ];
    if (config.JOB_RETENTION_DAYS > 0) {
      const before = new Date(now - config.JOB_RETENTION_DAYS * DAY_MS);
      steps.push(() => features.jobs.prune(before, LIMIT, stopped.signal));
    }
    if (config.embedded.activity) {
      steps.push(() =>
        pruneActivity(stores.database, {
          now,
          retentionDays: config.ACTIVITY_RETENTION_DAYS,
          signal: stopped.signal,
        }),
      );
    }
    for (const step of steps) {
      if (stopped.signal.aborted) return;
      await step().catch((error: unknown) =>
        logger.warn("housekeeping failed; it will be tried again", { error }),
      );
    }
  }

  return {
    start() {
      timer = setInterval(() => void sweep(), EVERY_MS);
      timer.unref();
    },
    stop() {
      stopped.abort();
      clearInterval(timer);
    },
  };
}
