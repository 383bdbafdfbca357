import type { ColumnType, Generated, Selectable } from "kysely";
import type { JobError, JobStatus } from "./schema.js";

/** JSON is written as text, so that an array is not taken for one of PostgreSQL's. */
type Json<T> = ColumnType<T, string | null | undefined, string | null>;

interface JobsTable {
  id: string;
  owner_id: string;
  project_id: string | null;
  workspace_id: string | null;
  schedule_id: string | null;
  type: string;
  payload: ColumnType<unknown, string, never>;
  status: Generated<JobStatus>;
  priority: number;
  attempt_budget: number;
  max_attempts: number;
  attempt: Generated<number>;
  generation: Generated<number>;
  run_at: Date;
  queued_at: Date;
  enqueued_at: Date | null;
  lease_until: Date | null;
  progress: Generated<number>;
  progress_message: string | null;
  result: Json<unknown>;
  error: Json<JobError | null>;
  request_id: string;
  version: Generated<number>;
  created_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
}

interface SchedulesTable {
  id: string;
  owner_id: string;
  project_id: string | null;
  workspace_id: string | null;
  type: string;
  payload: ColumnType<unknown, string, never>;
  priority: number;
  max_attempts: number;
  cron: string;
  time_zone: string;
  request_id: string;
  ended_reason: "cancelled" | "forbidden" | null;
  created_at: Date;
  ended_at: Date | null;
}

/** A repetition. */
export type ScheduleRow = Readonly<Selectable<SchedulesTable>>;

/** Tables of 0004_jobs.sql, 0007_job_artifacts.sql and 0010_job_schedules.sql, and what jobs read of those to the left. */
export interface JobTables {
  jobs: JobsTable;
  job_schedules: SchedulesTable;
  job_logs: { job_id: string; seq: number; attempt: number; at: Date; stream: string; text: string };
  job_artifacts: {
    job_id: string;
    name: string;
    attempt: number;
    media_type: string;
    /** Bytes. */
    size: number;
    sha256: string;
    blob_key: string;
    created_at: Date;
  };
  job_artifact_garbage: { blob_key: string; free_at: Date };
  worker_languages: { worker_id: string; languages: Json<unknown>; seen_at: Date };
  /** Belongs to projects; only read here. */
  project_members: { project_id: string; user_id: string };
}

/** A job. */
export type JobRow = Readonly<Selectable<JobsTable>>;

/** A file a job made. */
export type ArtifactRow = Readonly<JobTables["job_artifacts"]>;

/** A job without its large parts. */
export type JobSummaryRow = Omit<JobRow, "payload" | "result">;

/** Columns of a {@link JobSummaryRow}. */
export const SUMMARY_COLUMNS = [
  "id",
  "owner_id",
  "project_id",
  "workspace_id",
  "schedule_id",
  "type",
  "status",
  "priority",
  "attempt_budget",
  "max_attempts",
  "attempt",
  "generation",
  "run_at",
  "queued_at",
  "enqueued_at",
  "lease_until",
  "progress",
  "progress_message",
  "error",
  "request_id",
  "version",
  "created_at",
  "started_at",
  "finished_at",
] as const satisfies readonly (keyof JobSummaryRow)[];

/** Columns of a {@link JobRow}. */
export const COLUMNS = [...SUMMARY_COLUMNS, "payload", "result"] as const;
