import type { Sql } from "../platform/database/database.js";
import type { LanguageCapability } from "./sandbox/sandbox.js";
import type { JobTables } from "./tables.js";

/** What one worker can run. */
export interface WorkerLanguages {
  readonly workerId: string;
  readonly languages: readonly LanguageCapability[];
  readonly seenAt: Date;
}

/** The SQL of what workers can run. */
export interface LanguageRepository {
  put(sql: Sql, worker: WorkerLanguages): Promise<void>;
  /** The most recently seen first. */
  all(sql: Sql): Promise<WorkerLanguages[]>;
  /** Forgets the worker. */
  delete(sql: Sql, workerId: string): Promise<void>;
  /** Forgets workers last seen before, but the one seen last of all. */
  prune(sql: Sql, before: Date): Promise<void>;
}

/** The languages of workers in the `Database`. */
export function createLanguageRepository(): LanguageRepository {
  return {
    async put(sql, { workerId, languages, seenAt }) {
      const values = { languages: JSON.stringify(languages), seen_at: seenAt };
      await sql
        .tables<JobTables>()
        .insertInto("worker_languages")
        .values({ worker_id: workerId, ...values })
        .onConflict((conflict) => conflict.column("worker_id").doUpdateSet(values))
        .execute();
    },
    async all(sql) {
      const rows = await sql
        .tables<JobTables>()
        .selectFrom("worker_languages")
        .selectAll()
        .orderBy("seen_at", "desc")
        .execute();
      return rows.map((row) => ({
        workerId: row.worker_id,
        languages: row.languages as LanguageCapability[],
        seenAt: row.seen_at,
      }));
    },
    async delete(sql, workerId) {
      await sql
        .tables<JobTables>()
        .deleteFrom("worker_languages")
        .where("worker_id", "=", workerId)
        .execute();
    },
    async prune(sql, before) {
      await sql
        .tables<JobTables>()
        .deleteFrom("worker_languages")
        .where("seen_at", "<", before)
        .where("seen_at", "<", (q) =>
          q.selectFrom("worker_languages").select((max) => max.fn.max("seen_at").as("newest")),
        )
        .execute();
    },
  };
}
