import { v7 } from "uuid";
import { AppError } from "../errors.js";
import type { DomainEvent, EventType } from "../events/catalog.js";
import type { Outbox } from "../events/outbox.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Tx } from "../platform/database/database.js";
import type { Logger } from "../platform/observability/logger.js";
import type { RateLimiter, RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";
import { nextTime } from "./cron.js";
import type { JobRepository, NewJob } from "./repository.js";
import type { MayRun } from "./rights.js";
import type { ScheduleRepository } from "./schedule-repository.js";

/** Keeps repeated jobs repeating: one run at a time, the next one made when it has ended. */
export interface Schedules {
  /**
   * Writes the repetition of a job that is about to be written; returns its id and when its first run starts.
   *
   * @throws AppError `quota_exceeded`.
   */
  add(
    tx: Tx,
    job: Omit<NewJob, "runAt" | "scheduleId">,
    repetition: { readonly cron: string; readonly timeZone: string },
  ): Promise<{ readonly scheduleId: string; readonly runAt: Date }>;
  /** Makes the next runs of those whose runs have ended. */
  handle(events: readonly DomainEvent[]): Promise<void>;
  /** The same for those that were forgotten. */
  sweep(): Promise<void>;
}

const ENDS: ReadonlySet<EventType> = new Set<EventType>(["job_completed", "job_failed", "job_cancelled"]);
const SWEEP_LIMIT = 200;

/** Repetitions over the rows of `job_schedules`. */
export function createSchedules(deps: {
  database: Database;
  repository: JobRepository;
  schedules: ScheduleRepository;
  mayRun: MayRun;
  outbox: Outbox;
  rateLimiter: Pick<RateLimiter, "consume">;
  /** Runs of one user; those of repetitions count too. */
  runsPolicy: RateLimitPolicy;
  schedulesPerUser: number;
  clock: Clock;
  logger: Logger;
}): Schedules {
  const { database, repository, schedules, mayRun, outbox, clock } = deps;

  /** From when on another run fits into what the owner may run. */
  async function earliest(ownerId: string): Promise<number> {
    const now = clock.now();
    if (deps.runsPolicy.limit === 0) return now;
    const verdict = await deps.rateLimiter.consume(deps.runsPolicy, ownerId);
    return verdict.allowed ? now : now + verdict.resetMs;
  }

  async function advance(scheduleId: string): Promise<void> {
    const seen = await schedules.find(database, scheduleId);
    if (!seen || seen.ended_at !== null) return;
    if (await schedules.currentJob(database, scheduleId)) return;
    const from = await earliest(seen.owner_id);
    await database.transaction(async (tx) => {
      // Rights first: whoever changes them waits for nothing that is held here.
      const allowed = await mayRun(tx, { ownerId: seen.owner_id, projectId: seen.project_id });
      const schedule = await schedules.lock(tx, scheduleId);
      if (!schedule || (await schedules.currentJob(tx, scheduleId))) return;
      const now = new Date(clock.now());
      if (!allowed) return schedules.end(tx, scheduleId, "forbidden", now);
      const job = await repository.insert(tx, {
        id: v7(),
        ownerId: schedule.owner_id,
        projectId: schedule.project_id,
        workspaceId: schedule.workspace_id,
        scheduleId,
        type: schedule.type,
        payload: schedule.payload,
        priority: schedule.priority,
        maxAttempts: schedule.max_attempts,
        runAt: new Date(nextTime(schedule.cron, schedule.time_zone, from)),
        requestId: schedule.request_id,
        now,
      });
      await outbox.append(tx, {
        type: "job_created",
        payload: { jobId: job.id, jobType: job.type },
        projectId: job.project_id,
        userId: job.owner_id,
      });
    });
  }

  return {
    async add(tx, job, { cron, timeZone }) {
      await repository.lockOwner(tx, job.ownerId);
      if ((await schedules.countActive(tx, job.ownerId)) >= deps.schedulesPerUser) {
        throw new AppError("quota_exceeded", {
          detail: `At most ${deps.schedulesPerUser} jobs of one user may repeat.`,
          headers: { "Retry-After": "60" },
          extensions: { quota: "job_schedules", limit: deps.schedulesPerUser },
        });
      }
      const id = v7();
      await schedules.insert(tx, {
        id,
        owner_id: job.ownerId,
        project_id: job.projectId,
        workspace_id: job.workspaceId,
        type: job.type,
        payload: job.payload,
        priority: job.priority,
        max_attempts: job.maxAttempts,
        cron,
        time_zone: timeZone,
        request_id: job.requestId,
        created_at: job.now,
      });
      return { scheduleId: id, runAt: new Date(nextTime(cron, timeZone, job.now.getTime())) };
    },
    async handle(events) {
      const jobIds = events.filter(({ type }) => ENDS.has(type)).map(({ payload }) => String(payload.jobId));
      if (jobIds.length === 0) return;
      for (const scheduleId of await schedules.ofJobs(database, jobIds)) await advance(scheduleId);
    },
    async sweep() {
      for (const scheduleId of await schedules.idle(database, SWEEP_LIMIT)) {
        await advance(scheduleId).catch((error: unknown) =>
          deps.logger.warn("the next run of a repeated job was not made", { scheduleId, error }),
        );
      }
    },
  };
}
