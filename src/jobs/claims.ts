import type { Outbox } from "../events/outbox.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Tx } from "../platform/database/database.js";
import type { QueuedJob } from "../platform/job-queue/job-queue.js";
import type { JobTypes } from "./job-type.js";
import type { JobRepository } from "./repository.js";
import type { MayRun } from "./rights.js";
import type { JobGlance, RunRepository } from "./run-repository.js";
import type { JobRow } from "./tables.js";

/** What became of a delivery. */
export type Claim =
  /** It is this worker's: run it. */
  | { readonly kind: "claimed"; readonly job: JobRow }
  /** Somebody else runs it or it is not due: look again then. */
  | { readonly kind: "later"; readonly delayMs: number }
  /** It needs no run; a slot of this owner may be free now. */
  | { readonly kind: "settled"; readonly ownerId: string | undefined };

/** Takes delivered jobs. */
export interface Claims {
  claim(delivery: QueuedJob): Promise<Claim>;
  /** Ends a job that took its workers down. */
  giveUp(delivery: QueuedJob): Promise<Claim>;
}

/** Added to every wait for something to end, so that it has ended. */
const MARGIN_MS = 50;
/** During a deployment a newer worker may know a type that this one does not; after so long nobody does. */
const UNKNOWN_TYPE_PATIENCE_MS = 10 * 60_000;
const UNKNOWN_TYPE_PAUSE_MS = 5_000;
const CRASHED = { code: "worker_crashed", message: "The worker died each time it ran the job." } as const;

/** Claims over the rows of `jobs`: a delivery is only a hint, the row decides. */
export function createClaims(deps: {
  database: Database;
  repository: JobRepository;
  runs: RunRepository;
  types: JobTypes;
  outbox: Outbox;
  mayRun: MayRun;
  clock: Clock;
  runningPerUser: number;
  leaseMs: number;
}): Claims {
  const { database, repository, runs, types, outbox, mayRun, clock } = deps;

  async function tell(
    tx: Tx,
    type: "job_started" | "job_cancelled",
    job: JobRow,
    userId: string | null,
  ): Promise<void> {
    const about = { jobId: job.id, jobType: job.type };
    const scope = { projectId: job.project_id, userId };
    await outbox.append(
      tx,
      type === "job_started"
        ? { type, payload: { ...about, attempt: job.attempt }, ...scope }
        : { type, payload: about, ...scope },
    );
  }

  async function failCrashed(tx: Tx, delivery: QueuedJob, seen: JobGlance): Promise<void> {
    if (!(await runs.failCrashed(tx, delivery, CRASHED, new Date(clock.now())))) return;
    await outbox.append(tx, {
      type: "job_failed",
      payload: {
        jobId: delivery.jobId,
        jobType: seen.type,
        attempt: seen.attempt,
        code: CRASHED.code,
      },
      projectId: seen.projectId,
      userId: seen.ownerId,
    });
  }

  /** What can be said without taking the job; undefined when it may be taken. */
  function settledOrLater(seen: JobGlance | undefined, delivery: QueuedJob): Claim | undefined {
    const active = seen && ["pending", "retrying", "processing"].includes(seen.status);
    if (!active || seen.generation !== delivery.generation) {
      return { kind: "settled", ownerId: undefined };
    }
    // A second delivery of a run that goes on, or of one that died a moment ago: only time can tell them apart.
    if (seen.aliveMs > 0) return { kind: "later", delayMs: seen.aliveMs + MARGIN_MS };
    const dueMs = seen.runAt.getTime() - clock.now();
    if (dueMs > 0) return { kind: "later", delayMs: dueMs + MARGIN_MS };
    const waitedMs = clock.now() - seen.queuedAt.getTime();
    if (!types.has(seen.type) && waitedMs < UNKNOWN_TYPE_PATIENCE_MS) {
      return { kind: "later", delayMs: UNKNOWN_TYPE_PAUSE_MS };
    }
    return undefined;
  }

  return {
    claim: (delivery) =>
      database.transaction(async (tx): Promise<Claim> => {
        const seen = await runs.lock(tx, delivery.jobId);
        const early = settledOrLater(seen, delivery);
        if (early || !seen) return early ?? { kind: "settled", ownerId: undefined };
        const settled: Claim = { kind: "settled", ownerId: seen.ownerId };
        if (!(await mayRun(tx, seen))) {
          const job = await repository.cancel(tx, delivery.jobId, new Date(clock.now()));
          // Without a project only the owner can be told of it.
          if (job) await tell(tx, "job_cancelled", job, job.project_id === null ? job.owner_id : null);
          return settled;
        }
        const job = await runs.claim(tx, delivery, {
          maxRunning: deps.runningPerUser,
          leaseMs: deps.leaseMs,
          now: new Date(clock.now()),
        });
        if (job) {
          await tell(tx, "job_started", job, job.owner_id);
          return { kind: "claimed", job };
        }
        // Something came in the way since then; this look is newer.
        const now = await runs.lock(tx, delivery.jobId);
        const other = settledOrLater(now, delivery);
        if (other || !now) return other ?? settled;
        if (now.status === "processing" && now.attempt >= now.maxAttempts)
          await failCrashed(tx, delivery, now);
        else await runs.park(tx, delivery.jobId, new Date(clock.now()));
        return settled;
      }),
    giveUp: (delivery) =>
      database.transaction(async (tx): Promise<Claim> => {
        const seen = await runs.lock(tx, delivery.jobId);
        const early = settledOrLater(seen, delivery);
        if (early || !seen) return early ?? { kind: "settled", ownerId: undefined };
        await failCrashed(tx, delivery, seen);
        return { kind: "settled", ownerId: seen.ownerId };
      }),
  };
}
