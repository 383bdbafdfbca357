import type { Readable } from "node:stream";
import type { z } from "zod";
import type { Sql } from "../platform/database/database.js";
import type { Artifact } from "./artifact-schema.js";

/** Where a log entry comes from: the program's output, or the service. */
export const LOG_STREAMS = ["stdout", "stderr", "system"] as const;

/** One of {@link LOG_STREAMS}. */
export type LogStream = (typeof LOG_STREAMS)[number];

/** One start of a job, as its handler sees it. */
export interface JobContext {
  readonly jobId: string;
  readonly ownerId: string;
  readonly projectId: string | null;
  readonly workspaceId: string | null;
  /** 1 for the first start; with the job's id it names this run. */
  readonly attempt: number;
  /** Id of the request that submitted the job. */
  readonly requestId: string;
  /** Aborted when the job is cancelled, ran too long, was taken over, or the worker stops. */
  readonly signal: AbortSignal;
  /** Notes how far it is: 0–100, and a short message people read. */
  progress(percent: number, message?: string): void;
  /** Adds text to the job's log. It need not be a whole line. */
  log(stream: LogStream, text: string): void;
  /**
   * Keeps a file with the job (in place of one with its name) and says what was kept. Refused when the run is none any
   * more, and with `payload_too_large` or `unprocessable` beyond the limits of artifacts. `result.json` is a name taken.
   */
  artifact(name: string, content: string | Uint8Array | Readable, mediaType: string): Promise<Artifact>;
}

/** Whose a job is and where it belongs. */
export type JobScope = Pick<JobContext, "ownerId" | "projectId" | "workspaceId">;

/** What a run that reached its end hands back. */
export interface JobOutcome<R> {
  /** A word for the `job_completed` event, such as `ok`. */
  readonly status: string;
  /** Kept in the job; fits the type's `result`. */
  readonly result: R;
}

/** A kind of job: one file in `handlers/` makes one of these. */
export interface JobType<P extends z.ZodType = z.ZodType, R extends z.ZodType = z.ZodType> {
  /** The `type` of a submission, such as `code_execution`. */
  readonly name: string;
  readonly description: string;
  /** False when it is switched off: submissions are refused with `feature_disabled`. */
  readonly enabled: boolean;
  /** Checks submissions; what it puts out is stored and parsed again when the job starts. */
  readonly payload: P;
  readonly result: R;
  /** Starts until a job that fails for passing reasons is given up, unless its submission says less or more. */
  readonly attempts: number;
  /** One run may take so long. */
  readonly timeLimitMs: number;
  /** What the schema cannot know; throws the AppError that refuses the submission. */
  check?(sql: Sql, payload: z.output<P>, scope: JobScope): Promise<void>;
  /**
   * Does the job. An AppError that a repetition cannot help (4xx) fails it at once; anything else is tried again.
   * After `context.signal` aborted, the outcome no longer counts.
   */
  run(context: JobContext, payload: z.output<P>): Promise<JobOutcome<z.input<R>>>;
}

/** Names a job type; its payload and result are typed by its schemas. */
export function defineJobType<P extends z.ZodType, R extends z.ZodType>(type: JobType<P, R>): JobType {
  return type;
}

/** The job types of one application, by name. */
export type JobTypes = ReadonlyMap<string, JobType>;

/** The registry of these types. */
export function createJobTypes(types: readonly JobType[]): JobTypes {
  const byName = new Map(types.map((type) => [type.name, type]));
  if (byName.size !== types.length) throw new Error("two job types have the same name");
  return byName;
}
