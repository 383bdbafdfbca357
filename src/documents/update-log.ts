import { AppError } from "../errors.js";
import type { Clock } from "../platform/clock.js";
import type { Database } from "../platform/database/database.js";
import type { Logger } from "../platform/observability/logger.js";
import type { LogRepository, NewUpdate } from "./log-repository.js";

/** The log every edit goes through. What it has acknowledged is on disk. */
export interface UpdateLog {
  /**
   * Queues one update. Resolves with its seq after COMMIT and never before; waits as long as the database is away. Rejects
   * with `not_found` when the document is gone.
   */
  append(update: NewUpdate): Promise<number>;
  /** False when so much waits for the database that nothing more may be taken. */
  accepts(bytes: number): boolean;
  /** Updates, and their bytes, that wait for COMMIT. */
  readonly waiting: number;
  readonly waitingBytes: number;
  /** True while appends fail because the database is away. */
  readonly stalled: boolean;
  /** Waits until nothing is queued, at most `ms`; false when something still is. */
  drained(ms: number): Promise<boolean>;
  /** Gives up what is still queued: nobody was told that it is kept. */
  close(): void;
}

interface Entry extends NewUpdate {
  readonly resolve: (seq: number) => void;
  readonly reject: (error: unknown) => void;
}

/** One commit takes at most this much. */
const BATCH_ROWS = 500;
const BATCH_BYTES = 256 * 1024;
/** Bytes kept in memory while the database is away. */
const DEFAULT_CAP_BYTES = 64 * 1024 * 1024;
const RETRY_MS = [50, 100, 250, 500, 1_000];

/**
 * Group commit: everything that arrives while a commit is on its way goes into the next one, over all documents; on an
 * idle log everything of one turn of the event loop goes together.
 */
export function createUpdateLog(deps: {
  database: Database;
  repository: LogRepository;
  clock: Clock;
  logger: Logger;
  capBytes?: number;
  /** Updates in one commit, for metrics. */
  observe?: (batchSize: number) => void;
}): UpdateLog {
  const { database, repository, clock, logger, capBytes = DEFAULT_CAP_BYTES } = deps;
  let queue: Entry[] = [];
  let waiting = 0;
  let waitingBytes = 0;
  let stalled = false;
  let closed = false;
  let running = false;

  function take(): Entry[] {
    let bytes = 0;
    let rows = 0;
    while (rows < queue.length && rows < BATCH_ROWS) {
      bytes += queue[rows]?.update.byteLength ?? 0;
      if (rows > 0 && bytes > BATCH_BYTES) break;
      rows += 1;
    }
    const batch = queue.slice(0, rows);
    queue = queue.slice(rows);
    return batch;
  }

  async function run(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (queue.length > 0 && !closed) await commit(take());
    running = false;
  }

  async function commit(batch: readonly Entry[]): Promise<void> {
    for (let attempt = 0; !closed; attempt++) {
      try {
        const seqs = await repository.appendAll(database, batch, new Date(clock.now()));
        if (stalled) logger.info("edits are being kept again");
        stalled = false;
        deps.observe?.(batch.length);
        batch.forEach((entry, i) => settle(entry, seqs[i] ?? new AppError("not_found")));
        return;
      } catch (error) {
        if (!isAway(error)) {
          await isolate(batch, error);
          return;
        }
        // Also after a COMMIT whose answer was lost: an update that is in the log twice changes nothing.
        if (!stalled) logger.warn("edits cannot be kept; none is acknowledged until they can", { error });
        stalled = true;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]));
      }
    }
    for (const entry of batch) settle(entry, new AppError("shutting_down"));
  }

  /** One entry the database refuses must not hold up the others. */
  async function isolate(batch: readonly Entry[], error: unknown): Promise<void> {
    const [only] = batch;
    if (only && batch.length === 1) {
      logger.error("an edit was refused by the database", { documentId: only.documentId, error });
      settle(only, error);
      return;
    }
    for (const entry of batch) await commit([entry]);
  }

  function settle(entry: Entry, outcome: unknown): void {
    waiting -= 1;
    waitingBytes -= entry.update.byteLength;
    if (typeof outcome === "number") entry.resolve(outcome);
    else entry.reject(outcome);
  }

  return {
    append(update) {
      if (closed) return Promise.reject(new AppError("shutting_down"));
      return new Promise((resolve, reject) => {
        queue.push({ ...update, resolve, reject });
        waiting += 1;
        waitingBytes += update.update.byteLength;
        if (running) return;
        running = true;
        void run();
      });
    },
    accepts: (bytes) => !closed && waitingBytes + bytes <= capBytes,
    get waiting() {
      return waiting;
    },
    get waitingBytes() {
      return waitingBytes;
    },
    get stalled() {
      return stalled;
    },
    async drained(ms) {
      const deadline = performance.now() + ms;
      while (waitingBytes > 0 && performance.now() < deadline)
        await new Promise((resolve) => setTimeout(resolve, 10));
      return waitingBytes === 0;
    },
    close() {
      closed = true;
      for (const entry of queue) settle(entry, new AppError("shutting_down"));
      queue = [];
    },
  };
}

function isAway(error: unknown): boolean {
  return (
    error instanceof AppError && (error.code === "dependency_unavailable" || error.code === "overloaded")
  );
}
