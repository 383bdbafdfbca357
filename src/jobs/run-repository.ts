import { sql as raw } from "kysely";
import type { Sql, Tx } from "../platform/database/database.js";
import type { JobLogEntry } from "./job-output.js";
import { OWNER_LOCK } from "./repository.js";
import type { JobError } from "./schema.js";
import { COLUMNS, type JobRow, type JobTables } from "./tables.js";

/** One start of a job: what is written for it is refused once the row has another attempt or has ended. */
export interface RunRef {
  readonly jobId: string;
  readonly attempt: number;
}

/** What a delivered job looks like before it is claimed. */
export interface JobGlance {
  readonly ownerId: string;
  readonly projectId: string | null;
  readonly type: string;
  readonly generation: number;
  readonly status: JobRow["status"];
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly runAt: Date;
  readonly queuedAt: Date;
  /** Milliseconds the current run is taken for alive; 0 when there is none or it is not. */
  readonly aliveMs: number;
}

/** How a run ends. */
export type RunEnd =
  | { readonly status: "completed"; readonly result: unknown }
  | { readonly status: "failed"; readonly error: JobError }
  /** It failed and starts again at `runAt`. */
  | { readonly status: "retrying"; readonly error: JobError; readonly runAt: Date }
  /** The worker stops: it starts again elsewhere, and this attempt does not count. */
  | { readonly status: "pending" };

/** Where a job's log stands. */
export interface LogState {
  readonly seq: number;
  readonly bytes: number;
  /** True when {@link LOG_FULL} was written. */
  readonly full: boolean;
}

/** The last entry of a log that has reached its bounds. */
export const LOG_FULL = "The log is full; what follows is not kept.";

/** The log of a job that has said nothing yet. */
export const EMPTY_LOG: LogState = { seq: 0, bytes: 0, full: false };

/** The SQL of workers. Leases go by the database's clock, so that the clocks of two nodes need not agree. */
export interface RunRepository {
  /** A look at a job; from here on, one transaction that deals with its owner's jobs at a time. */
  lock(tx: Tx, jobId: string): Promise<JobGlance | undefined>;
  /**
   * Takes a job that is due and that nobody runs, when its owner runs fewer than `maxRunning`; undefined otherwise.
   * Call it after `lock`, else two claims could count each other out.
   */
  claim(
    tx: Tx,
    job: { readonly jobId: string; readonly generation: number },
    how: { readonly maxRunning: number; readonly leaseMs: number; readonly now: Date },
  ): Promise<JobRow | undefined>;
  /** Takes a delivered job off the queue until its owner has a free slot. */
  park(tx: Tx, jobId: string, now: Date): Promise<void>;
  logState(sql: Sql, jobId: string): Promise<LogState>;
  /** Extends the leases of these runs; returns those that still are runs. */
  renew(sql: Sql, runs: readonly RunRef[], leaseMs: number): Promise<RunRef[]>;
  /** Stores log entries of a run, also those that may have been stored; false when it is none any more. */
  appendLogs(sql: Sql, run: RunRef, entries: readonly JobLogEntry[]): Promise<boolean>;
  /** False when it is no run any more. */
  setProgress(sql: Sql, run: RunRef, progress: number, message: string | null): Promise<boolean>;
  /** Ends a run; false when it was none any more, and nothing is changed then. */
  end(tx: Tx, run: RunRef, end: RunEnd, now: Date): Promise<boolean>;
  /** Fails a job whose worker died while it ran; false when it is not so. */
  failCrashed(
    tx: Tx,
    job: { readonly jobId: string; readonly generation: number },
    error: JobError,
    now: Date,
  ): Promise<boolean>;
}

/** Jobs in the `Database`, as workers use them. */
export function createRunRepository(): RunRepository {
  // Taken by the statement that finds out whose it is; those after it see what the former holder committed.
  const ownerLock = raw<unknown>`pg_advisory_xact_lock(hashtextextended(owner_id::text, ${OWNER_LOCK}))`.as(
    "locked",
  );
  const update = (sql: Sql) => sql.tables<JobTables>().updateTable("jobs");
  const leaseEnd = (leaseMs: number) =>
    raw<Date>`clock_timestamp() + make_interval(secs => ${leaseMs / 1000})`;

  return {
    async lock(tx, jobId) {
      const row = await tx
        .tables<JobTables>()
        .selectFrom("jobs")
        .select([
          "owner_id as ownerId",
          "project_id as projectId",
          "type",
          "generation",
          "status",
          "attempt",
          "max_attempts as maxAttempts",
          "run_at as runAt",
          "queued_at as queuedAt",
          raw<number>`case when status = 'processing' then greatest(0, ceil(extract(epoch from
            lease_until - clock_timestamp()) * 1000))::int else 0 end`.as("aliveMs"),
          ownerLock,
        ])
        .where("id", "=", jobId)
        .executeTakeFirst();
      return row;
    },
    claim: (tx, job, how) =>
      update(tx)
        .set((q) => ({
          status: "processing" as const,
          attempt: q("attempt", "+", 1),
          lease_until: leaseEnd(how.leaseMs),
          enqueued_at: q.fn.coalesce("enqueued_at", q.val(how.now)),
          started_at: how.now,
          error: null,
          progress: 0,
          progress_message: null,
          version: q("version", "+", 1),
        }))
        .where("id", "=", job.jobId)
        .where("generation", "=", job.generation)
        .where("run_at", "<=", how.now)
        .whereRef("attempt", "<", "max_attempts")
        .where(
          raw<boolean>`(status in ('pending', 'retrying') or (status = 'processing' and lease_until < clock_timestamp()))`,
        )
        // `enqueued_at is not null` holds for every running job, and leads past all that wait in the index.
        .where(
          raw<boolean>`(select count(*) from jobs r where r.owner_id = jobs.owner_id and r.enqueued_at is not null
            and r.status = 'processing' and r.lease_until >= clock_timestamp()) < ${how.maxRunning}`,
        )
        .returning(COLUMNS)
        .executeTakeFirst(),
    async park(tx, jobId, now) {
      await update(tx)
        .set((q) => ({
          // A job whose worker died waits as well; its lease is over.
          status: raw<"pending">`case when status = 'processing' then 'retrying' else status end`,
          queued_at: raw<Date>`case when status = 'processing' then ${now} else queued_at end`,
          lease_until: null,
          enqueued_at: null,
          generation: q("generation", "+", 1),
        }))
        .where("id", "=", jobId)
        .execute();
    },
    async logState(sql, jobId) {
      const row = await sql
        .tables<JobTables>()
        .selectFrom("job_logs")
        .select([
          raw<number>`coalesce(max(seq), 0)`.as("seq"),
          raw<number>`coalesce(sum(octet_length(text)), 0)::int`.as("bytes"),
          raw<boolean>`coalesce(bool_or(stream = 'system' and text = ${LOG_FULL}), false)`.as("full"),
        ])
        .where("job_id", "=", jobId)
        .executeTakeFirst();
      return row ?? EMPTY_LOG;
    },
    async renew(sql, runs, leaseMs) {
      const { rows } = await raw<RunRef>`
        update jobs set lease_until = ${leaseEnd(leaseMs)}
        from unnest(${runs.map((run) => run.jobId)}::uuid[], ${runs.map((run) => run.attempt)}::int[]) as run (id, attempt)
        where jobs.id = run.id and jobs.attempt = run.attempt and jobs.status = 'processing'
        returning jobs.id as "jobId", jobs.attempt`.execute(sql.tables<JobTables>());
      return rows;
    },
    async appendLogs(sql, run, entries) {
      if (entries.length === 0) return true;
      // The row lock makes a takeover wait for this statement, or this statement see the takeover.
      const { rows } = await raw<{ alive: boolean }>`
        with run as (
          select id, attempt from jobs
          where id = ${run.jobId} and attempt = ${run.attempt} and status = 'processing' for share
        ), written as (
          insert into job_logs (job_id, seq, attempt, at, stream, text)
          select run.id, entry.seq, run.attempt, entry.at, entry.stream, entry.text from run, unnest(
            ${entries.map((entry) => entry.seq)}::int[], ${entries.map((entry) => new Date(entry.at))}::timestamptz[],
            ${entries.map((entry) => entry.stream)}::text[], ${entries.map((entry) => entry.text)}::text[]
          ) as entry (seq, at, stream, text)
          on conflict do nothing
        )
        select exists (select from run) as alive`.execute(sql.tables<JobTables>());
      return rows[0]?.alive === true;
    },
    async setProgress(sql, run, progress, message) {
      const row = await update(sql)
        .set((q) => ({ progress, progress_message: message, version: q("version", "+", 1) }))
        .where("id", "=", run.jobId)
        .where("attempt", "=", run.attempt)
        .where("status", "=", "processing")
        .returning("id")
        .executeTakeFirst();
      return row !== undefined;
    },
    async end(tx, run, end, now) {
      const row = await update(tx)
        .set((q) => ({
          ...columnsOf(end, now),
          ...(end.status === "pending" ? { max_attempts: q("max_attempts", "+", 1) } : {}),
          lease_until: null,
          version: q("version", "+", 1),
        }))
        .where("id", "=", run.jobId)
        .where("attempt", "=", run.attempt)
        .where("status", "=", "processing")
        .returning("id")
        .executeTakeFirst();
      return row !== undefined;
    },
    async failCrashed(tx, job, error, now) {
      const row = await update(tx)
        .set((q) => ({
          ...columnsOf({ status: "failed", error }, now),
          lease_until: null,
          version: q("version", "+", 1),
        }))
        .where("id", "=", job.jobId)
        .where("generation", "=", job.generation)
        .where("status", "=", "processing")
        .where("lease_until", "<", raw<Date>`clock_timestamp()`)
        .returning("id")
        .executeTakeFirst();
      return row !== undefined;
    },
  };
}

function columnsOf(end: RunEnd, now: Date) {
  switch (end.status) {
    case "completed":
      return {
        status: end.status,
        result: JSON.stringify(end.result),
        progress: 100,
        progress_message: null,
        finished_at: now,
      };
    case "failed":
      return { status: end.status, error: JSON.stringify(end.error), finished_at: now };
    case "retrying":
      return { status: end.status, error: JSON.stringify(end.error), run_at: end.runAt, queued_at: now };
    case "pending":
      return { status: end.status, progress: 0, progress_message: null, queued_at: now };
  }
}
