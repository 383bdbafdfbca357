import { sql as raw } from "kysely";
import type { Sql, Tx } from "../platform/database/database.js";
import type { JobLogEntry } from "./job-output.js";
import type { LogStream } from "./job-type.js";
import type { JobStatus } from "./schema.js";
import { COLUMNS, type JobRow, type JobSummaryRow, type JobTables, SUMMARY_COLUMNS } from "./tables.js";

/** A job about to be written. */
export interface NewJob {
  readonly id: string;
  readonly ownerId: string;
  readonly projectId: string | null;
  readonly workspaceId: string | null;
  /** The repetition it is a run of. */
  readonly scheduleId: string | null;
  readonly type: string;
  readonly payload: unknown;
  readonly priority: number;
  readonly maxAttempts: number;
  readonly runAt: Date;
  readonly requestId: string;
  readonly now: Date;
}

/** What decides who may see a job. */
export type JobScope = Pick<JobRow, "owner_id" | "project_id">;

/** Which jobs a list shows. */
export interface JobFilter {
  /** All jobs of the project, or … */
  readonly projectId: string | undefined;
  /** … without one, this user's own that the user may see. */
  readonly userId: string;
  readonly status: JobStatus | undefined;
  readonly type: string | undefined;
}

/** The SQL behind the routes. */
export interface JobRepository {
  /** One transaction of this user at a time from here on: quota and running count are decided one after the other. */
  lockOwner(tx: Tx, ownerId: string): Promise<void>;
  /** Jobs of the owner that wait, for a slot, a time or a worker; those of repetitions are counted apart. */
  countQueued(tx: Tx, ownerId: string): Promise<number>;
  insert(tx: Tx, job: NewJob): Promise<JobRow>;
  find(sql: Sql, jobId: string): Promise<JobRow | undefined>;
  /** The job without its large parts. */
  glance(sql: Sql, jobId: string): Promise<JobSummaryRow | undefined>;
  /** Whose it is. */
  scopeOf(sql: Sql, jobId: string): Promise<JobScope | undefined>;
  /** Newest first. */
  pageOf(
    sql: Sql,
    filter: JobFilter,
    limit: number,
    after: { readonly id: string } | undefined,
  ): Promise<JobSummaryRow[]>;
  /** Ends a job that has not ended; undefined when it had. */
  cancel(tx: Tx, jobId: string, now: Date): Promise<JobRow | undefined>;
  /** Makes a failed or cancelled job wait again with a fresh budget; undefined for others. */
  retry(tx: Tx, jobId: string, now: Date): Promise<JobRow | undefined>;
  /** The log after `seq`, in order. */
  logs(sql: Sql, jobId: string, seq: number, limit: number): Promise<JobLogEntry[]>;
}

/** Seed of the advisory locks that make one user's claims and submissions take turns. */
export const OWNER_LOCK = 8;

/** Jobs in the `Database`, as the routes use them. */
export function createJobRepository(): JobRepository {
  return {
    async lockOwner(tx, ownerId) {
      await raw`select pg_advisory_xact_lock(hashtextextended(${ownerId}, ${OWNER_LOCK}))`.execute(
        tx.tables<JobTables>(),
      );
    },
    async countQueued(tx, ownerId) {
      const { rows } = await raw<{ n: number }>`
        select count(*)::int as n from jobs
        where owner_id = ${ownerId} and status in ('pending', 'retrying') and schedule_id is null`.execute(
        tx.tables<JobTables>(),
      );
      return rows[0]?.n ?? 0;
    },
    insert: (tx, job) =>
      tx
        .tables<JobTables>()
        .insertInto("jobs")
        .values({
          id: job.id,
          owner_id: job.ownerId,
          project_id: job.projectId,
          workspace_id: job.workspaceId,
          schedule_id: job.scheduleId,
          type: job.type,
          payload: JSON.stringify(job.payload),
          priority: job.priority,
          attempt_budget: job.maxAttempts,
          max_attempts: job.maxAttempts,
          run_at: job.runAt,
          queued_at: job.now,
          request_id: job.requestId,
          created_at: job.now,
        })
        .returning(COLUMNS)
        .executeTakeFirstOrThrow(),
    find: (sql, jobId) =>
      sql.tables<JobTables>().selectFrom("jobs").select(COLUMNS).where("id", "=", jobId).executeTakeFirst(),
    glance: (sql, jobId) =>
      sql
        .tables<JobTables>()
        .selectFrom("jobs")
        .select(SUMMARY_COLUMNS)
        .where("id", "=", jobId)
        .executeTakeFirst(),
    scopeOf: (sql, jobId) =>
      sql
        .tables<JobTables>()
        .selectFrom("jobs")
        .select(["owner_id", "project_id"])
        .where("id", "=", jobId)
        .executeTakeFirst(),
    pageOf(sql, filter, limit, after) {
      let query = sql
        .tables<JobTables>()
        .selectFrom("jobs")
        .select(SUMMARY_COLUMNS)
        .orderBy("id", "desc")
        .limit(limit);
      if (after) query = query.where("id", "<", after.id);
      if (filter.status) query = query.where("status", "=", filter.status);
      if (filter.type) query = query.where("type", "=", filter.type);
      if (filter.projectId) return query.where("project_id", "=", filter.projectId).execute();
      return query
        .where("owner_id", "=", filter.userId)
        .where((q) =>
          q.or([
            q("project_id", "is", null),
            q.exists(
              q
                .selectFrom("project_members as m")
                .select("m.user_id")
                .whereRef("m.project_id", "=", "jobs.project_id")
                .where("m.user_id", "=", filter.userId),
            ),
          ]),
        )
        .execute();
    },
    cancel: (tx, jobId, now) =>
      tx
        .tables<JobTables>()
        .updateTable("jobs")
        .set((q) => ({
          status: "cancelled" as const,
          error: null,
          finished_at: now,
          lease_until: null,
          version: q("version", "+", 1),
        }))
        .where("id", "=", jobId)
        .where("status", "in", ["pending", "retrying", "processing"])
        .returning(COLUMNS)
        .executeTakeFirst(),
    retry: (tx, jobId, now) =>
      tx
        .tables<JobTables>()
        .updateTable("jobs")
        .set((q) => ({
          status: "pending" as const,
          generation: q("generation", "+", 1),
          max_attempts: q("attempt", "+", q.ref("attempt_budget")),
          run_at: now,
          queued_at: now,
          enqueued_at: null,
          progress: 0,
          progress_message: null,
          result: null,
          error: null,
          finished_at: null,
          version: q("version", "+", 1),
        }))
        .where("id", "=", jobId)
        .where("status", "in", ["failed", "cancelled"])
        .returning(COLUMNS)
        .executeTakeFirst(),
    async logs(sql, jobId, seq, limit) {
      const rows = await sql
        .tables<JobTables>()
        .selectFrom("job_logs")
        .select(["seq", "attempt", "at", "stream", "text"])
        .where("job_id", "=", jobId)
        .where("seq", ">", seq)
        .orderBy("seq")
        .limit(limit)
        .execute();
      return rows.map((row) => ({ ...row, at: row.at.getTime(), stream: row.stream as LogStream }));
    },
  };
}
