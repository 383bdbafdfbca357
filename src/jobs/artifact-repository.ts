import { sql as raw } from "kysely";
import type { Sql, Tx } from "../platform/database/database.js";
import type { RunRef } from "./run-repository.js";
import type { ArtifactRow, JobTables } from "./tables.js";

/** What a user's artifacts take. */
export interface ArtifactUse {
  /** Artifacts of this job. */
  readonly count: number;
  /** Bytes of all artifacts of the job's owner. */
  readonly ownerBytes: number;
}

/** The SQL of artifacts. */
export interface ArtifactRepository {
  /** The artifacts of the job's last attempt that made some, by name. */
  list(sql: Sql, jobId: string): Promise<ArtifactRow[]>;
  find(sql: Sql, jobId: string, name: string): Promise<ArtifactRow | undefined>;
  use(sql: Sql, jobId: string): Promise<ArtifactUse>;
  /** Notes a blob that is about to be written; without a row in time it is garbage. */
  reserve(sql: Sql, blobKey: string, keepMs: number): Promise<void>;
  /** Puts the artifact in place of one with its name; false when the run is none any more. Call it in a transaction. */
  insert(tx: Tx, run: RunRef, artifact: Omit<ArtifactRow, "job_id" | "attempt">): Promise<boolean>;
  /** Gives up what was reserved. */
  release(sql: Sql, blobKey: string): Promise<void>;
  /** Drops the artifacts of a job, or of its attempts before this one. */
  drop(tx: Tx, jobId: string, beforeAttempt?: number): Promise<void>;
  /** Blobs nobody needs, at most `limit`. */
  garbage(sql: Sql, limit: number): Promise<string[]>;
  forget(sql: Sql, blobKeys: readonly string[]): Promise<void>;
}

const COLUMNS = [
  "job_id",
  "name",
  "attempt",
  "media_type",
  raw<number>`size::float8`.as("size"),
  "sha256",
  "blob_key",
  "created_at",
] as const;

/** Artifacts in the `Database`. */
export function createArtifactRepository(): ArtifactRepository {
  const t = (sql: Sql) => sql.tables<JobTables>();
  return {
    list: (sql, jobId) =>
      t(sql)
        .selectFrom("job_artifacts")
        .select(COLUMNS)
        .where("job_id", "=", jobId)
        .where("attempt", "=", (q) =>
          q.selectFrom("jobs").select("jobs.attempt").whereRef("jobs.id", "=", "job_artifacts.job_id"),
        )
        .orderBy("name")
        .execute(),
    find: (sql, jobId, name) =>
      t(sql)
        .selectFrom("job_artifacts")
        .select(COLUMNS)
        .where("job_id", "=", jobId)
        .where("name", "=", name)
        .where("attempt", "=", (q) =>
          q.selectFrom("jobs").select("jobs.attempt").whereRef("jobs.id", "=", "job_artifacts.job_id"),
        )
        .executeTakeFirst(),
    async use(sql, jobId) {
      const { rows } = await raw<{ count: number; bytes: number }>`
        select count(*) filter (where a.job_id = ${jobId})::int as count, coalesce(sum(a.size), 0)::float8 as bytes
        from jobs j join jobs own on own.owner_id = j.owner_id join job_artifacts a on a.job_id = own.id
        where j.id = ${jobId}`.execute(t(sql));
      return { count: rows[0]?.count ?? 0, ownerBytes: rows[0]?.bytes ?? 0 };
    },
    async reserve(sql, blobKey, keepMs) {
      await raw`insert into job_artifact_garbage (blob_key, free_at)
        values (${blobKey}, now() + make_interval(secs => ${keepMs / 1000}))`.execute(t(sql));
    },
    async insert(tx, run, artifact) {
      // The row lock makes a takeover wait for this transaction, or this transaction see the takeover.
      const alive = await t(tx)
        .updateTable("jobs")
        .set((q) => ({ version: q("version", "+", 1) }))
        .where("id", "=", run.jobId)
        .where("attempt", "=", run.attempt)
        .where("status", "=", "processing")
        .returning("id")
        .executeTakeFirst();
      if (!alive) return false;
      await t(tx)
        .deleteFrom("job_artifacts")
        .where("job_id", "=", run.jobId)
        .where("name", "=", artifact.name)
        .execute();
      await t(tx)
        .insertInto("job_artifacts")
        .values({ ...artifact, job_id: run.jobId, attempt: run.attempt })
        .execute();
      await t(tx).deleteFrom("job_artifact_garbage").where("blob_key", "=", artifact.blob_key).execute();
      return true;
    },
    async release(sql, blobKey) {
      await t(sql)
        .updateTable("job_artifact_garbage")
        .set({ free_at: raw<Date>`now()` })
        .where("blob_key", "=", blobKey)
        .execute();
    },
    async drop(tx, jobId, beforeAttempt) {
      let query = t(tx).deleteFrom("job_artifacts").where("job_id", "=", jobId);
      if (beforeAttempt !== undefined) query = query.where("attempt", "<", beforeAttempt);
      await query.execute();
    },
    async garbage(sql, limit) {
      const rows = await t(sql)
        .selectFrom("job_artifact_garbage")
        .select("blob_key")
        .where("free_at", "<=", raw<Date>`now()`)
        .orderBy("free_at")
        .limit(limit)
        .execute();
      return rows.map((row) => row.blob_key);
    },
    async forget(sql, blobKeys) {
      if (blobKeys.length === 0) return;
      await t(sql)
        .deleteFrom("job_artifact_garbage")
        .where("blob_key", "in", [...blobKeys])
        .execute();
    },
  };
}
