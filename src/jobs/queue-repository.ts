import { sql as raw } from "kysely";
import type { Sql } from "../platform/database/database.js";
import type { QueuedJob } from "../platform/job-queue/job-queue.js";
import type { JobTables } from "./tables.js";

/** The SQL that decides which jobs the queue is told of. A job that is in the queue has `enqueued_at`. */
export interface QueueRepository {
  /** The owner's next due jobs, as many as the owner has slots that no job in the queue or running takes. */
  next(sql: Sql, ownerId: string, slots: number, now: Date): Promise<QueuedJob[]>;
  /** Those of these jobs that wait for a time to come. */
  delayed(
    sql: Sql,
    jobIds: readonly string[],
    now: Date,
  ): Promise<(QueuedJob & { readonly delayMs: number })[]>;
  /** Notes that the queue has them. */
  markEnqueued(sql: Sql, jobs: readonly QueuedJob[], now: Date): Promise<void>;
  /** Owners who have both a due job that waits and one of their `slots` free, at most `limit`; of all or of these jobs. */
  waitingOwners(
    sql: Sql,
    how: { readonly slots: number; readonly now: Date; readonly limit: number },
    jobIds?: readonly string[],
  ): Promise<string[]>;
  /**
   * Jobs the queue was told of before `before` and that are due but not running: it may have lost them. Marks them as
   * told now; several nodes that ask at once get different ones.
   */
  takeOverdue(sql: Sql, before: Date, now: Date, limit: number): Promise<QueuedJob[]>;
}

/** Jobs in the `Database`, as the scheduler uses them. */
export function createQueueRepository(): QueueRepository {
  const rowsOf = async <R>(sql: Sql, statement: ReturnType<typeof raw<R>>): Promise<R[]> =>
    (await statement.execute(sql.tables<JobTables>())).rows;
  return {
    next: (sql, ownerId, slots, now) =>
      rowsOf(
        sql,
        raw<QueuedJob>`
          select id as "jobId", generation from jobs
          where owner_id = ${ownerId} and status in ('pending', 'retrying') and enqueued_at is null and run_at <= ${now}
          order by priority, run_at, id
          limit greatest(0, ${slots}::int - (
            select count(*) from jobs
            where owner_id = ${ownerId} and status in ('pending', 'retrying', 'processing')
              and enqueued_at is not null and (status = 'processing' or run_at <= ${now})))`,
      ),
    delayed: (sql, jobIds, now) =>
      rowsOf(
        sql,
        raw<QueuedJob & { delayMs: number }>`
          select id as "jobId", generation,
            ceil(extract(epoch from run_at - ${now}::timestamptz) * 1000)::float8 as "delayMs"
          from jobs
          where id = any(${jobIds}::uuid[]) and status in ('pending', 'retrying') and enqueued_at is null
            and run_at > ${now}`,
      ),
    async markEnqueued(sql, jobs, now) {
      await raw`
        update jobs set enqueued_at = ${now}
        from unnest(${jobs.map((job) => job.jobId)}::uuid[], ${jobs.map((job) => job.generation)}::int[]) as job (id, generation)
        where jobs.id = job.id and jobs.generation = job.generation and jobs.enqueued_at is null
          and jobs.status in ('pending', 'retrying')`.execute(sql.tables<JobTables>());
    },
    async waitingOwners(sql, { slots, now, limit }, jobIds) {
      const due = raw`status in ('pending', 'retrying') and enqueued_at is null and run_at <= ${now}`;
      // Of known jobs: their owners first, then a look whether something waits. Of all: only the index of what waits.
      const owners =
        jobIds === undefined
          ? raw`select distinct owner_id from jobs where ${due}`
          : raw`
            select owner_id from (select distinct owner_id from jobs where id = any(${jobIds}::uuid[])) as owners
            where exists (select 1 from jobs where jobs.owner_id = owners.owner_id and ${due})`;
      const rows = await rowsOf(
        sql,
        raw<{ owner_id: string }>`
          select owner_id from (${owners}) as waiting
          where ${slots}::int > (
            select count(*) from jobs
            where jobs.owner_id = waiting.owner_id and status in ('pending', 'retrying', 'processing')
              and enqueued_at is not null and (status = 'processing' or run_at <= ${now}))
          limit ${limit}`,
      );
      return rows.map((row) => row.owner_id);
    },
    takeOverdue: (sql, before, now, limit) =>
      rowsOf(
        sql,
        raw<QueuedJob>`
          update jobs set enqueued_at = ${now}
          where id in (
            select id from jobs
            where status in ('pending', 'retrying', 'processing') and enqueued_at < ${before} and run_at <= ${now}
              and (status <> 'processing' or lease_until < clock_timestamp())
            order by enqueued_at limit ${limit} for update skip locked)
          returning id as "jobId", generation`,
      ),
  };
}
