import type { DomainEvent, EventType } from "../events/catalog.js";
import type { EventConsumer } from "../events/dispatcher.js";
import type { Clock } from "../platform/clock.js";
import type { Database } from "../platform/database/database.js";
import type { JobQueue } from "../platform/job-queue/job-queue.js";
import type { Logger } from "../platform/observability/logger.js";
import type { QueueRepository } from "./queue-repository.js";

/** Decides which jobs are in the queue: never more of one user's than the user may run at once. */
export interface JobScheduler {
  /** Hands the owner's next jobs over, as many as there are free slots. Safe to call at any time, also twice. */
  admit(ownerId: string): Promise<void>;
  /** {@link admit} in the background, as a short cut; when it fails, the consumer or the sweep does it. */
  admitSoon(ownerId: string): void;
  /** Hands over what is new and fills slots that were freed, whatever process died after the COMMIT. */
  readonly consumer: EventConsumer;
  /** Hands over again what the queue may have lost, and fills slots that were forgotten. */
  sweep(): Promise<void>;
}

/** Events after which one of the owner's slots may be free, or a job new. */
const CONSUMED: ReadonlySet<EventType> = new Set<EventType>([
  "job_created",
  "job_retried",
  "job_retrying",
  "job_completed",
  "job_failed",
  "job_cancelled",
]);
/** A job that was handed over so long ago and is due should run by now. */
const OVERDUE_MS = 15_000;
/** Jobs and owners that one sweep looks after. */
const SWEEP_LIMIT = 1_000;

/** The scheduler over the rows of `jobs`. */
export function createJobScheduler(deps: {
  database: Database;
  queue: JobQueue;
  repository: QueueRepository;
  clock: Clock;
  logger: Logger;
  runningPerUser: number;
}): JobScheduler {
  const { database, queue, repository, clock, logger, runningPerUser } = deps;
  const now = () => new Date(clock.now());

  async function admit(ownerId: string): Promise<void> {
    const jobs = await repository.next(database, ownerId, runningPerUser, now());
    if (jobs.length === 0) return;
    for (const job of jobs) await queue.enqueue(job);
    // Only now: what was not marked is handed over again, and the queue takes a second time for the first.
    await repository.markEnqueued(database, jobs, now());
  }

  async function admitAll(jobIds?: readonly string[]): Promise<void> {
    const how = { slots: runningPerUser, now: now(), limit: SWEEP_LIMIT };
    for (const ownerId of await repository.waitingOwners(database, how, jobIds)) await admit(ownerId);
  }

  async function handle(events: readonly DomainEvent[]): Promise<void> {
    const jobIds = events
      .filter(({ type }) => CONSUMED.has(type))
      .map(({ payload }) => String(payload.jobId));
    if (jobIds.length === 0) return;
    const delayed = await repository.delayed(database, jobIds, now());
    for (const job of delayed) await queue.enqueue(job, { delayMs: job.delayMs });
    if (delayed.length > 0) await repository.markEnqueued(database, delayed, now());
    await admitAll(jobIds);
  }

  return {
    admit,
    admitSoon(ownerId) {
      admit(ownerId).catch((error: unknown) => {
        logger.debug("a job was not handed to the queue at once; it will be", { error });
      });
    },
    consumer: { name: "jobs", handle },
    async sweep() {
      const at = now();
      const before = new Date(at.getTime() - OVERDUE_MS);
      const overdue = await repository.takeOverdue(database, before, at, SWEEP_LIMIT);
      for (const job of overdue) await queue.enqueue(job);
      await admitAll();
    },
  };
}
