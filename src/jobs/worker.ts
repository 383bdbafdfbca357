import type { Outbox } from "../events/outbox.js";
import type { Clock } from "../platform/clock.js";
import type { Database } from "../platform/database/database.js";
import type { JobConsumer, JobQueue, Outcome, QueuedJob } from "../platform/job-queue/job-queue.js";
import type { Logger } from "../platform/observability/logger.js";
import type { PubSub, Unsubscribe } from "../platform/pubsub/pubsub.js";
import type { Artifacts } from "./artifacts.js";
import { CANCEL_CHANNEL, decodeCancel } from "./cancellation.js";
import type { Claims } from "./claims.js";
import type { Backoff } from "./failure.js";
import type { JobBell } from "./job-bell.js";
import type { JobOutput } from "./job-output.js";
import type { JobTypes } from "./job-type.js";
import { createLeases, type Leases } from "./leases.js";
import { type JobObservation, type RunAbort, runJob } from "./run.js";
import type { RunRepository } from "./run-repository.js";
import type { JobScheduler } from "./scheduler.js";
import type { JobRow } from "./tables.js";

/** Runs jobs. */
export interface JobWorker {
  /** Begins to take jobs; also while the queue is away, which it then waits for. */
  start(): Promise<void>;
  /** Takes no more jobs, waits up to `graceMs` for those that run, and hands the others back to start elsewhere. */
  stop(graceMs: number): Promise<void>;
}

/** How patient a worker is; tests shorten it. */
export interface WorkerTimings {
  /** A run whose lease was not renewed for so long counts as dead. */
  readonly leaseMs: number;
  readonly renewMs: number;
  readonly backoff: Backoff;
  /** How long a handler may take to notice that it was aborted. */
  readonly abortPatienceMs: number;
  /** How long the end of a run is tried to be written while the database is away. */
  readonly writePatienceMs: number;
}

/** The timings of the service. */
export const WORKER_TIMINGS: WorkerTimings = {
  leaseMs: 15_000,
  renewMs: 5_000,
  backoff: { firstMs: 1_000, mostMs: 60_000 },
  abortPatienceMs: 800,
  writePatienceMs: 30_000,
};

/** What {@link createJobWorker} needs. */
export interface JobWorkerDeps {
  readonly database: Database;
  readonly queue: JobQueue;
  readonly pubsub: PubSub;
  readonly outbox: Outbox;
  readonly types: JobTypes;
  readonly claims: Claims;
  readonly runs: RunRepository;
  readonly scheduler: Pick<JobScheduler, "admitSoon">;
  /** Rung when a job was started or a run came to its end. */
  readonly bell: Pick<JobBell, "ring">;
  readonly output: JobOutput;
  readonly artifacts: Pick<Artifacts, "store" | "drop">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly observe: (observation: JobObservation) => void;
  readonly concurrency: number;
  readonly timings: WorkerTimings;
}

/** A worker: delivery → claim → handler under a lease → result and event in one transaction. */
export function createJobWorker(deps: JobWorkerDeps): JobWorker {
  const { queue, pubsub, types, claims, runs, scheduler, bell, logger, timings } = deps;
  const running = new Map<RunAbort, JobRow>();
  const deliveries = new Set<Promise<Outcome>>();
  let leases: Leases | undefined;
  let consumer: JobConsumer | undefined;
  let unsubscribe: Unsubscribe | undefined;
  let stopping = false;
  let graceOver = false;

  function process(delivery: QueuedJob): Promise<Outcome> {
    const work = handle(delivery).finally(() => deliveries.delete(work));
    deliveries.add(work);
    return work;
  }

  async function handle(delivery: QueuedJob): Promise<Outcome> {
    // The delivery's signal is of no use: the queue also aborts when it gave the job to another worker, but the row decides.
    const claim = await claims.claim(delivery);
    if (claim.kind === "later") return { kind: "again", delayMs: claim.delayMs };
    if (claim.kind === "settled") {
      bell.ring(delivery.jobId);
      if (claim.ownerId !== undefined) scheduler.admitSoon(claim.ownerId);
      return { kind: "done" };
    }
    bell.ring(claim.job.id);
    const outcome = await run(claim.job);
    bell.ring(claim.job.id);
    if (outcome.kind === "done" || outcome.delayMs > 0) scheduler.admitSoon(claim.job.owner_id);
    return outcome;
  }

  async function run(job: JobRow): Promise<Outcome> {
    const controller = new AbortController();
    const abort: RunAbort = (reason) => {
      if (!controller.signal.aborted) controller.abort(reason);
    };
    const release = leases?.hold({ jobId: job.id, attempt: job.attempt }, () => abort("lost"));
    running.set(abort, job);
    if (graceOver) abort("stopping");
    try {
      return await runJob(deps, { job, type: types.get(job.type), signal: controller.signal, abort });
    } finally {
      running.delete(abort);
      release?.();
    }
  }

  function endGrace(): void {
    graceOver = true;
    for (const abort of running.keys()) abort("stopping");
  }

  async function onCrashed(job: QueuedJob): Promise<void> {
    while (!stopping) {
      const claim = await claims.giveUp(job);
      if (claim.kind !== "later" || claim.delayMs > timings.leaseMs * 2) {
        if (claim.kind === "settled" && claim.ownerId !== undefined) scheduler.admitSoon(claim.ownerId);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, claim.delayMs));
    }
  }

  return {
    async start() {
      leases = createLeases({
        renew: (refs) => runs.renew(deps.database, refs, timings.leaseMs),
        everyMs: timings.renewMs,
        onError: (error) => logger.warn("the leases of running jobs were not renewed", { error }),
      });
      pubsub
        .subscribe(CANCEL_CHANNEL, (message) => {
          const cancelled = decodeCancel(message);
          for (const [abort, job] of running)
            if (job.id === cancelled?.jobId && job.attempt === cancelled.attempt) abort("cancelled");
        })
        .then((end) => {
          unsubscribe = end;
        })
        .catch(() =>
          logger.warn("cancellations are not announced; running jobs see them at their next lease"),
        );
      consumer = queue.consume({ concurrency: deps.concurrency, process, onCrashed });
    },
    async stop(graceMs) {
      stopping = true;
      const grace = setTimeout(endGrace, graceMs);
      await consumer?.close(graceMs);
      clearTimeout(grace);
      endGrace();
      await Promise.allSettled(deliveries);
      leases?.stop();
      await unsubscribe?.().catch(() => undefined);
    },
  };
}
