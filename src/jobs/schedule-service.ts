import { AppError } from "../errors.js";
import type { Page } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Tx } from "../platform/database/database.js";
import type { Access } from "../projects/access.js";
import type { ScheduleRepository, ScheduleView } from "./schedule-repository.js";
import type { JobSchedule } from "./schedule-schema.js";

/** Use cases of repetitions. `actor` is the id of the account that asks. */
export interface ScheduleService {
  /** Newest first: those of a project, or without one the actor's own. */
  list(
    actor: string,
    projectId: string | undefined,
    page: Page<{ id: string }>,
  ): Promise<{ schedules: JobSchedule[]; nextCursor: string | null }>;
  /** Ends it, and cancels its run that waits; one that runs comes to its end. Does nothing when it has ended. */
  end(actor: string, scheduleId: string): Promise<void>;
}

/**
 * The use cases over these parts.
 *
 * @param deps.cancelJob cancels a job that has not ended.
 */
export function createScheduleService(deps: {
  database: Database;
  schedules: ScheduleRepository;
  access: Access;
  cancelJob: (tx: Tx, actor: string, jobId: string) => Promise<unknown>;
  clock: Clock;
}): ScheduleService {
  const { database, schedules, access } = deps;
  return {
    async list(actor, projectId, page) {
      if (projectId !== undefined) await access.require(database, actor, projectId, "job.read");
      const filter = { projectId, userId: actor };
      const rows = await schedules.pageOf(database, filter, page.limit + 1, page.after);
      const shown = rows.slice(0, page.limit);
      const last = rows.length > page.limit ? shown.at(-1) : undefined;
      return { schedules: shown.map(scheduleOf), nextCursor: page.next(last && { id: last.id }) };
    },
    end: (actor, scheduleId) =>
      database.transaction(async (tx) => {
        const schedule = await schedules.find(tx, scheduleId);
        if (!schedule) throw new AppError("not_found");
        const own = schedule.owner_id === actor;
        if (schedule.project_id === null) {
          if (!own) throw new AppError("not_found");
        } else if (own) await access.require(tx, actor, schedule.project_id, "job.read");
        else await access.requireForWrite(tx, actor, schedule.project_id, "job.run");
        if (!(await schedules.lock(tx, scheduleId))) return;
        await schedules.end(tx, scheduleId, "cancelled", new Date(deps.clock.now()));
        const job = await schedules.currentJob(tx, scheduleId);
        if (job && !job.running) await deps.cancelJob(tx, actor, job.id);
      }),
  };
}

function scheduleOf(row: ScheduleView): JobSchedule {
  return {
    id: row.id,
    type: row.type,
    cron: row.cron,
    timeZone: row.time_zone,
    ownerId: row.owner_id,
    projectId: row.project_id,
    workspaceId: row.workspace_id,
    priority: row.priority,
    maxAttempts: row.max_attempts,
    jobId: row.job_id,
    nextRunAt: row.next_run_at?.toISOString() ?? null,
    endedReason: row.ended_reason,
    createdAt: row.created_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
  };
}
