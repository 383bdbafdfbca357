import { v7 } from "uuid";
import { AppError } from "../errors.js";
import type { Outbox } from "../events/outbox.js";
import type { Page } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Sql, Tx } from "../platform/database/database.js";
import type { JobQueue } from "../platform/job-queue/job-queue.js";
import type { PubSub } from "../platform/pubsub/pubsub.js";
import type { Access } from "../projects/access.js";
import type { WorkspaceAccess } from "../workspaces/access.js";
import type { Artifact } from "./artifact-schema.js";
import type { Artifacts, OpenArtifact } from "./artifacts.js";
import { CANCEL_CHANNEL, encodeCancel } from "./cancellation.js";
import type { JobBell } from "./job-bell.js";
import type { JobReads } from "./job-events.js";
import type { JobLogEntry } from "./job-output.js";
import type { JobTypes } from "./job-type.js";
import type { JobRepository, JobScope, NewJob } from "./repository.js";
import type { JobScheduler } from "./scheduler.js";
import type { Schedules } from "./schedules.js";
import {
  type Job,
  type JobLog,
  type JobStatus,
  type JobSubmission,
  type JobSummary,
  MAX_DELAY_MS,
} from "./schema.js";
import type { JobRow, JobSummaryRow } from "./tables.js";

/** Use cases of jobs. `actor` is the id of the account that asks. */
export interface JobService extends JobReads {
  submit(tx: Tx, actor: string, submission: JobSubmission, requestId: string): Promise<Job>;
  get(actor: string, jobId: string): Promise<Job>;
  /** Newest first: the jobs of a project, or without one the actor's own. */
  list(
    actor: string,
    filter: {
      readonly status?: JobStatus | undefined;
      readonly type?: string | undefined;
      readonly projectId?: string | undefined;
    },
    page: Page<{ id: string }>,
  ): Promise<{ jobs: JobSummary[]; nextCursor: string | null }>;
  /** Ends a job that has not ended; one that is cancelled already stays so. */
  cancel(actor: string, jobId: string): Promise<Job>;
  /** {@link JobService.cancel} as part of something else. */
  cancelIn(tx: Tx, actor: string, jobId: string): Promise<Job>;
  /** Makes a failed or cancelled job wait again. */
  retry(tx: Tx, actor: string, jobId: string): Promise<Job>;
  /** The log after the entry `after`. */
  logs(
    actor: string,
    jobId: string,
    after: number,
    limit: number,
  ): Promise<{ logs: JobLog[]; nextAfter: number }>;
  /** A file the job made. */
  artifact(actor: string, jobId: string, name: string): Promise<OpenArtifact>;
}

/** What {@link createJobService} needs. */
export interface JobServiceDeps {
  readonly database: Database;
  readonly repository: JobRepository;
  readonly types: JobTypes;
  readonly artifacts: Pick<Artifacts, "list" | "open" | "drop">;
  readonly outbox: Outbox;
  readonly queue: Pick<JobQueue, "remove">;
  readonly pubsub: Pick<PubSub, "publish">;
  readonly scheduler: Pick<JobScheduler, "admitSoon">;
  readonly schedules: Pick<Schedules, "add">;
  readonly bell: Pick<JobBell, "ring">;
  readonly access: Access;
  readonly workspaceAccess: WorkspaceAccess;
  readonly clock: Clock;
  /** Jobs of one user that may wait. */
  readonly queuedPerUser: number;
}

/** PostgreSQL's codes. */
const FOREIGN_KEY = "23503";
const UNIQUE = "23505";
const DEFAULT_PRIORITY = 50;
/** When a place in the queue may be free again, in seconds; nobody knows. */
const QUOTA_RETRY_AFTER = "10";

/** The job use cases over these parts. */
export function createJobService(deps: JobServiceDeps): JobService {
  const { database, repository, types, artifacts, outbox, scheduler, schedules, bell, access, clock } = deps;

  /** Lets those see a job who may; for others it is not there. */
  async function see<J extends JobScope>(sql: Sql, actor: string, job: J | undefined): Promise<J> {
    if (!job) throw new AppError("not_found");
    if (job.project_id !== null) await access.require(sql, actor, job.project_id, "job.read");
    else if (job.owner_id !== actor) throw new AppError("not_found");
    return job;
  }

  const find = async (sql: Sql, actor: string, jobId: string) =>
    see(sql, actor, await repository.find(sql, jobId));

  const whole = async (sql: Sql, row: JobRow) => jobOf(row, await artifacts.list(sql, row.id));

  function enabledType(name: string) {
    const type = types.get(name);
    if (!type?.enabled)
      throw new AppError("feature_disabled", { detail: `Jobs of the type ${name} are switched off.` });
    return type;
  }

  async function takePlace(tx: Tx, ownerId: string): Promise<void> {
    await repository.lockOwner(tx, ownerId);
    if ((await repository.countQueued(tx, ownerId)) < deps.queuedPerUser) return;
    throw new AppError("quota_exceeded", {
      detail: `At most ${deps.queuedPerUser} jobs of one user may wait.`,
      headers: { "Retry-After": QUOTA_RETRY_AFTER },
      extensions: { quota: "queued_jobs", limit: deps.queuedPerUser },
    });
  }

  async function projectOf(tx: Tx, actor: string, submission: JobSubmission): Promise<string | null> {
    const { projectId, workspaceId } = submission;
    if (workspaceId === undefined) {
      if (projectId !== undefined) await access.requireForWrite(tx, actor, projectId, "job.run");
      return projectId ?? null;
    }
    const grant = await deps.workspaceAccess.requireForWrite(tx, actor, workspaceId, "job.run");
    if (projectId !== undefined && projectId !== grant.projectId) throw new AppError("not_found");
    return grant.projectId;
  }

  async function written<R>(write: Promise<R>): Promise<R> {
    try {
      return await write;
    } catch (error) {
      // The workspace was deleted a moment ago.
      if (isViolation(error, FOREIGN_KEY)) throw new AppError("not_found", { cause: error });
      throw error;
    }
  }

  function startOf(submission: JobSubmission, now: number): number {
    const { delayMs = 0, runAt } = submission.options ?? {};
    if (runAt === undefined) return now + delayMs;
    const at = Date.parse(runAt);
    if (at - now > MAX_DELAY_MS) {
      throw new AppError("validation_failed", {
        errors: [{ pointer: "/options/runAt", code: "too_big", message: "must be at most 30 days ahead" }],
      });
    }
    return Math.max(now, at);
  }

  async function logsAfter(jobId: string, seq: number, limit: number): Promise<JobLog[]> {
    const entries = await repository.logs(database, jobId, seq, limit);
    return entries.map(({ at, ...entry }: JobLogEntry) => ({ ...entry, at: new Date(at).toISOString() }));
  }

  async function cancelIn(tx: Tx, actor: string, jobId: string): Promise<Job> {
    const job = await find(tx, actor, jobId);
    // Who may no longer run jobs here may still stop one of their own.
    if (job.project_id !== null && job.owner_id !== actor) {
      await access.requireForWrite(tx, actor, job.project_id, "job.run");
    }
    if (job.status === "cancelled") return whole(tx, job);
    const cancelled = await repository.cancel(tx, jobId, new Date(clock.now()));
    if (!cancelled) {
      const now = await repository.find(tx, jobId);
      if (now?.status === "cancelled") return whole(tx, now);
      throw new AppError(now ? "job_not_cancellable" : "not_found");
    }
    await outbox.append(tx, {
      type: "job_cancelled",
      payload: { jobId, jobType: cancelled.type },
      projectId: cancelled.project_id,
      userId: actor,
    });
    tx.afterCommit(async () => {
      bell.ring(jobId);
      const run = { jobId, attempt: cancelled.attempt };
      // Best effort: a delivery of a cancelled job does nothing, and a run hears of it by its lease.
      await Promise.allSettled([
        deps.queue.remove({ jobId, generation: cancelled.generation }),
        deps.pubsub.publish(CANCEL_CHANNEL, encodeCancel(run)),
      ]);
      scheduler.admitSoon(cancelled.owner_id);
    });
    return whole(tx, cancelled);
  }

  return {
    async submit(tx, actor, submission, requestId) {
      const type = enabledType(submission.type);
      const projectId = await projectOf(tx, actor, submission);
      const workspaceId = submission.workspaceId ?? null;
      await type.check?.(tx, submission.payload, { ownerId: actor, projectId, workspaceId });
      const now = clock.now();
      const asked = {
        id: v7(),
        ownerId: actor,
        projectId,
        workspaceId,
        type: type.name,
        payload: submission.payload,
        priority: submission.options?.priority ?? DEFAULT_PRIORITY,
        maxAttempts: submission.options?.maxAttempts ?? type.attempts,
        requestId,
        now: new Date(now),
      };
      const { cron, timeZone = "UTC" } = submission.options ?? {};
      let start: Pick<NewJob, "scheduleId" | "runAt">;
      if (cron === undefined) {
        start = { scheduleId: null, runAt: new Date(startOf(submission, now)) };
        await takePlace(tx, actor);
      } else start = await written(schedules.add(tx, asked, { cron, timeZone }));
      const job = await written(repository.insert(tx, { ...asked, ...start }));
      await outbox.append(tx, {
        type: "job_created",
        payload: { jobId: job.id, jobType: job.type },
        projectId,
        userId: actor,
      });
      if (start.runAt.getTime() <= now) tx.afterCommit(() => scheduler.admitSoon(actor));
      return jobOf(job, []);
    },
    get: async (actor, jobId) => whole(database, await find(database, actor, jobId)),
    async list(actor, filter, page) {
      if (filter.projectId !== undefined) await access.require(database, actor, filter.projectId, "job.read");
      const rows = await repository.pageOf(
        database,
        { projectId: filter.projectId, userId: actor, status: filter.status, type: filter.type },
        page.limit + 1,
        page.after,
      );
      const shown = rows.slice(0, page.limit);
      const last = rows.length > page.limit ? shown.at(-1) : undefined;
      return { jobs: shown.map(summaryOf), nextCursor: page.next(last && { id: last.id }) };
    },
    cancel: (actor, jobId) => database.transaction((tx) => cancelIn(tx, actor, jobId)),
    cancelIn,
    async retry(tx, actor, jobId) {
      const job = await find(tx, actor, jobId);
      if (job.project_id !== null) await access.requireForWrite(tx, actor, job.project_id, "job.run");
      enabledType(job.type);
      if (job.status !== "failed" && job.status !== "cancelled") throw new AppError("job_not_retryable");
      await takePlace(tx, job.owner_id);
      const retried = await repository.retry(tx, jobId, new Date(clock.now())).catch((error: unknown) => {
        if (!isViolation(error, UNIQUE)) throw error;
        throw new AppError("job_not_retryable", { detail: "The next run of its repetition waits already." });
      });
      if (!retried) throw new AppError("job_not_retryable");
      await artifacts.drop(tx, jobId);
      await outbox.append(tx, {
        type: "job_retried",
        payload: { jobId, jobType: job.type },
        projectId: job.project_id,
        userId: actor,
      });
      tx.afterCommit(() => {
        bell.ring(jobId);
        scheduler.admitSoon(job.owner_id);
      });
      return jobOf(retried, []);
    },
    async logs(actor, jobId, after, limit) {
      await see(database, actor, await repository.scopeOf(database, jobId));
      const logs = await logsAfter(jobId, after, limit);
      return { logs, nextAfter: logs.at(-1)?.seq ?? after };
    },
    logsAfter,
    glance: async (actor, jobId) =>
      summaryOf(await see(database, actor, await repository.glance(database, jobId))),
    async summary(jobId) {
      const row = await repository.glance(database, jobId);
      return row && summaryOf(row);
    },
    async artifact(actor, jobId, name) {
      await see(database, actor, await repository.scopeOf(database, jobId));
      return artifacts.open(jobId, name);
    },
  };
}

function isViolation(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function summaryOf(row: JobSummaryRow): JobSummary {
  const waits = row.status === "pending" || row.status === "retrying";
  return {
    id: row.id,
    type: row.type,
    status: row.status,
    ownerId: row.owner_id,
    projectId: row.project_id,
    workspaceId: row.workspace_id,
    scheduleId: row.schedule_id,
    priority: row.priority,
    attempt: row.attempt,
    maxAttempts: row.max_attempts,
    progress: row.progress,
    progressMessage: row.progress_message,
    error: row.error,
    runAt: row.run_at.toISOString(),
    queuedSince: waits ? row.queued_at.toISOString() : null,
    createdAt: row.created_at.toISOString(),
    startedAt: row.started_at?.toISOString() ?? null,
    finishedAt: row.finished_at?.toISOString() ?? null,
    requestId: row.request_id,
    version: row.version,
  };
}

function jobOf(row: JobRow, artifacts: readonly Artifact[]): Job {
  return { ...summaryOf(row), payload: row.payload, result: row.result, artifacts };
}
