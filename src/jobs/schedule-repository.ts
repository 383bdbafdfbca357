import { sql as raw } from "kysely";
import type { Sql, Tx } from "../platform/database/database.js";
import type { JobTables, ScheduleRow } from "./tables.js";

/** A repetition about to be written. */
export type NewSchedule = Omit<ScheduleRow, "ended_at" | "ended_reason">;

/** A repetition and its run that has not ended. */
export type ScheduleView = Omit<ScheduleRow, "payload" | "request_id"> & {
  readonly job_id: string | null;
  /** When that run starts; null when it runs already. */
  readonly next_run_at: Date | null;
};

/** The SQL of repetitions. */
export interface ScheduleRepository {
  insert(tx: Tx, schedule: NewSchedule): Promise<void>;
  /** How many of the owner's repeat. */
  countActive(tx: Tx, ownerId: string): Promise<number>;
  find(sql: Sql, scheduleId: string): Promise<ScheduleRow | undefined>;
  /** Newest first: those of a project, or this user's own that the user may see. */
  pageOf(
    sql: Sql,
    filter: { readonly projectId: string | undefined; readonly userId: string },
    limit: number,
    after: { readonly id: string } | undefined,
  ): Promise<ScheduleView[]>;
  /** Holds on to one that repeats; undefined when it does not. */
  lock(tx: Tx, scheduleId: string): Promise<ScheduleRow | undefined>;
  /** Its run that has not ended. */
  currentJob(
    sql: Sql,
    scheduleId: string,
  ): Promise<{ readonly id: string; readonly running: boolean } | undefined>;
  end(tx: Tx, scheduleId: string, reason: "cancelled" | "forbidden", now: Date): Promise<void>;
  /** Those these jobs are runs of. */
  ofJobs(sql: Sql, jobIds: readonly string[]): Promise<string[]>;
  /** Those that repeat and have no run that has not ended. */
  idle(sql: Sql, limit: number): Promise<string[]>;
}

const ACTIVE = ["pending", "retrying", "processing"] as const;

/** Repetitions in the `Database`. */
export function createScheduleRepository(): ScheduleRepository {
  const schedules = (sql: Sql) => sql.tables<JobTables>().selectFrom("job_schedules");
  return {
    async insert(tx, schedule) {
      await tx
        .tables<JobTables>()
        .insertInto("job_schedules")
        .values({ ...schedule, payload: JSON.stringify(schedule.payload) })
        .execute();
    },
    async countActive(tx, ownerId) {
      const row = await schedules(tx)
        .select((q) => q.fn.countAll<string>().as("n"))
        .where("owner_id", "=", ownerId)
        .where("ended_at", "is", null)
        .executeTakeFirstOrThrow();
      return Number(row.n);
    },
    find: (sql, scheduleId) => schedules(sql).selectAll().where("id", "=", scheduleId).executeTakeFirst(),
    pageOf(sql, filter, limit, after) {
      let query = sql
        .tables<JobTables>()
        .selectFrom("job_schedules as s")
        .leftJoin("jobs as j", (join) =>
          join.onRef("j.schedule_id", "=", "s.id").on("j.status", "in", [...ACTIVE]),
        )
        .select([
          "s.id",
          "s.owner_id",
          "s.project_id",
          "s.workspace_id",
          "s.type",
          "s.priority",
          "s.max_attempts",
          "s.cron",
          "s.time_zone",
          "s.ended_reason",
          "s.created_at",
          "s.ended_at",
          "j.id as job_id",
          raw<Date | null>`case when j.status in ('pending', 'retrying') then j.run_at end`.as("next_run_at"),
        ])
        .orderBy("s.id", "desc")
        .limit(limit);
      if (after) query = query.where("s.id", "<", after.id);
      if (filter.projectId) return query.where("s.project_id", "=", filter.projectId).execute();
      return query
        .where("s.owner_id", "=", filter.userId)
        .where((q) =>
          q.or([
            q("s.project_id", "is", null),
            q.exists(
              q
                .selectFrom("project_members as m")
                .select("m.user_id")
                .whereRef("m.project_id", "=", "s.project_id")
                .where("m.user_id", "=", filter.userId),
            ),
          ]),
        )
        .execute();
    },
    lock: (tx, scheduleId) =>
      schedules(tx)
        .selectAll()
        .where("id", "=", scheduleId)
        .where("ended_at", "is", null)
        .forUpdate()
        .executeTakeFirst(),
    currentJob: (sql, scheduleId) =>
      sql
        .tables<JobTables>()
        .selectFrom("jobs")
        .select(["id", raw<boolean>`status = 'processing'`.as("running")])
        .where("schedule_id", "=", scheduleId)
        .where("status", "in", [...ACTIVE])
        .executeTakeFirst(),
    async end(tx, scheduleId, reason, now) {
      await tx
        .tables<JobTables>()
        .updateTable("job_schedules")
        .set({ ended_at: now, ended_reason: reason })
        .where("id", "=", scheduleId)
        .where("ended_at", "is", null)
        .execute();
    },
    async ofJobs(sql, jobIds) {
      const rows = await sql
        .tables<JobTables>()
        .selectFrom("jobs")
        .select("schedule_id")
        .distinct()
        .where("id", "in", [...jobIds])
        .where("schedule_id", "is not", null)
        .execute();
      return rows.map((row) => row.schedule_id ?? "");
    },
    async idle(sql, limit) {
      const rows = await sql
        .tables<JobTables>()
        .selectFrom("job_schedules as s")
        .select("s.id")
        .where("s.ended_at", "is", null)
        .where((q) =>
          q.not(
            q.exists(
              q
                .selectFrom("jobs as j")
                .select("j.id")
                .whereRef("j.schedule_id", "=", "s.id")
                .where("j.status", "in", [...ACTIVE]),
            ),
          ),
        )
        .limit(limit)
        .execute();
      return rows.map((row) => row.id);
    },
  };
}
