import { sql as raw } from "kysely";
import type { Sql } from "../platform/database/database.js";
import type { JobTables } from "./tables.js";

/** Deletes jobs and repetitions that ended before `before`, at most `limit` rows with one statement. */
export type PruneJobs = (before: Date, limit: number, signal: AbortSignal) => Promise<void>;

/** Log entries go before their jobs: one job may have ten thousand of them, and each statement is to be short. */
export function createPruning(database: Sql): PruneJobs {
  const remove = async (statement: ReturnType<typeof raw>) =>
    Number((await statement.execute(database.tables<JobTables>())).numAffectedRows ?? 0n);
  return async (before, limit, signal) => {
    for (let full = true; full && !signal.aborted; ) {
      const logs = await remove(raw`
        delete from job_logs where (job_id, seq) in (
          select l.job_id, l.seq from jobs j join job_logs l on l.job_id = j.id
          where j.finished_at < ${before} limit ${limit})`);
      const jobs =
        logs < limit
          ? await remove(raw`
              delete from jobs where id in (
                select id from jobs where finished_at < ${before} order by finished_at limit ${limit}
                for update skip locked)
              and finished_at < ${before}`)
          : limit;
      full = logs === limit || jobs === limit;
    }
    await remove(raw`
      delete from job_schedules where id in (
        select id from job_schedules where ended_at < ${before} limit ${limit})`);
  };
}
