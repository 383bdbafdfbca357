import { z } from "zod";
import { ERROR_CATALOGUE, type ErrorCode } from "../errors.js";
import { idSchema, timeSchema, versionSchema } from "../projects/schema.js";
import { ARTIFACT_NAME, type Artifact, artifactSchema } from "./artifact-schema.js";
import { isCron, isTimeZone } from "./cron.js";
import { type JobTypes, LOG_STREAMS } from "./job-type.js";

/** What can be said of a job; `processing`: a worker runs it, `retrying`: it failed and waits for its next start. */
export const JOB_STATUSES = [
  "pending",
  "processing",
  "completed",
  "failed",
  "retrying",
  "cancelled",
] as const;

/** One of {@link JOB_STATUSES}. */
export type JobStatus = (typeof JOB_STATUSES)[number];

const DAY_MS = 86_400_000;
/** A job can be put off for so long. */
export const MAX_DELAY_MS = 30 * DAY_MS;

const options = z
  .strictObject({
    priority: z.int().min(1).max(100).optional().meta({
      description: "Order among your own waiting jobs: 1 first, 100 last; default 50.",
    }),
    delayMs: z.int().min(0).max(MAX_DELAY_MS).optional().meta({
      description: "Start it no earlier than so many milliseconds from now.",
    }),
    runAt: z.iso.datetime({ offset: true }).optional().meta({
      description: "Start it no earlier than then (RFC 3339, at most 30 days ahead).",
    }),
    cron: z
      .string()
      .max(100)
      .refine(isCron, "is not a cron expression of five fields with a time to come")
      .optional()
      .meta({
        description:
          "Repeat it: minute, hour, day of month, month, day of week, such as `0 9 * * 1-5`. The job that is made is the first run; the next is made when it has ended, so runs never overlap. See `/job-schedules`.",
      }),
    timeZone: z
      .string()
      .max(64)
      .refine(isTimeZone, "is not the name of a time zone")
      .optional()
      .meta({ description: "Of `cron`, such as `Europe/Zurich`; default `UTC`." }),
    maxAttempts: z.int().min(1).max(10).optional().meta({
      description: "How often it may be started when it fails for passing reasons; default by type.",
    }),
  })
  .refine((value) => value.delayMs === undefined || value.runAt === undefined, {
    path: ["runAt"],
    message: "give delayMs or runAt, not both",
  })
  .refine((value) => value.cron === undefined || (value.delayMs ?? value.runAt) === undefined, {
    path: ["cron"],
    message: "a job that repeats takes neither delayMs nor runAt",
  })
  .refine((value) => value.timeZone === undefined || value.cron !== undefined, {
    path: ["timeZone"],
    message: "goes with cron",
  });

/** How a submission wants to be run. */
export type JobOptions = z.output<typeof options>;

/** A checked submission; `payload` fits the type's schema. */
export interface JobSubmission {
  readonly type: string;
  readonly payload: unknown;
  readonly projectId?: string | undefined;
  readonly workspaceId?: string | undefined;
  readonly options?: JobOptions | undefined;
}

/** The code of a job's error, as far as it is in the catalogue. */
const errorCode = z.enum(Object.keys(ERROR_CATALOGUE) as [ErrorCode, ...ErrorCode[]]);

/** Why a job failed. */
export const jobErrorSchema = z.strictObject({ code: errorCode, message: z.string() });

/** Why a job failed, as stored. */
export type JobError = z.output<typeof jobErrorSchema>;

const common = {
  id: z.uuid(),
  status: z.enum(JOB_STATUSES),
  ownerId: z.uuid(),
  projectId: z.uuid().nullable(),
  workspaceId: z.uuid().nullable(),
  scheduleId: z.uuid().nullable().meta({ description: "The repetition it is a run of." }),
  priority: z.int(),
  attempt: z.int().meta({ description: "How often it was started." }),
  maxAttempts: z.int().meta({ description: "The attempt after which it is given up." }),
  progress: z.int().min(0).max(100),
  progressMessage: z.string().nullable(),
  error: jobErrorSchema.nullable().meta({ description: "Why it failed, or why it will be tried again." }),
  runAt: timeSchema.meta({ description: "It starts no earlier (RFC 3339, UTC)." }),
  queuedSince: timeSchema
    .nullable()
    .meta({ description: "Since when it waits for a worker; null when it does not." }),
  createdAt: timeSchema,
  startedAt: timeSchema.nullable().meta({ description: "Start of the last attempt." }),
  finishedAt: timeSchema.nullable(),
  requestId: z.string().meta({ description: "Id of the request that submitted it." }),
  version: versionSchema,
};

/** A job in lists: all but payload and result. */
export const jobSummarySchema = z.strictObject({ ...common, type: z.string() }).meta({ id: "JobSummary" });

/** A job in lists. */
export type JobSummary = z.output<typeof jobSummarySchema>;

/** A job with what it was given and what came out. */
export interface Job extends JobSummary {
  readonly payload: unknown;
  readonly result: unknown;
  readonly artifacts: readonly Artifact[];
}

/** The schemas that depend on which job types there are. */
export interface JobSchemas {
  /** Body of `POST /jobs`: the payload is checked by its type's schema. */
  readonly submission: z.ZodType<JobSubmission>;
  readonly job: z.ZodType<Job>;
  /** Query of `GET /jobs`. */
  readonly listQuery: z.ZodObject<{
    status: z.ZodOptional<z.ZodEnum<{ [S in JobStatus]: S }>>;
    type: z.ZodOptional<z.ZodType<string>>;
    projectId: z.ZodOptional<z.ZodType<string>>;
  }>;
}

/** Builds the schemas of these job types: unions told apart by `type`. */
export function createJobSchemas(types: JobTypes): JobSchemas {
  const all = [...types.values()];
  const submissions = all.map((type) =>
    z
      .strictObject({
        type: z.literal(type.name),
        payload: type.payload,
        projectId: idSchema.optional(),
        workspaceId: idSchema.optional().meta({ description: "A workspace of the project." }),
        options: options.optional(),
      })
      .meta({ title: type.name, description: type.description }),
  );
  const jobs = all.map((type) =>
    z
      .strictObject({
        ...common,
        type: z.literal(type.name),
        payload: type.payload,
        result: type.result.nullable().meta({
          description:
            "Null until it completed. Of a result over 256 KiB the long texts are cut here; the artifact `result.json` has all of it.",
        }),
        artifacts: z.array(artifactSchema).meta({
          description: "Files it made; `GET /jobs/{jobId}/artifacts/{name}` gives their content.",
        }),
      })
      .meta({ title: type.name }),
  );
  return {
    submission: z.discriminatedUnion("type", nonEmpty(submissions)).meta({ id: "JobSubmission" }),
    job: z.discriminatedUnion("type", nonEmpty(jobs)).meta({ id: "Job" }),
    listQuery: z.strictObject({
      status: z.enum(JOB_STATUSES).optional(),
      type: z.enum(nonEmpty(all.map((type) => type.name))).optional(),
      projectId: idSchema.optional().meta({ description: "All jobs of this project, not only your own." }),
    }),
  };
}

function nonEmpty<T>(values: readonly T[]): [T, ...T[]] {
  const [first, ...rest] = values;
  if (first === undefined) throw new Error("an application without job types has no jobs feature");
  return [first, ...rest];
}

export const jobParams = z.strictObject({ jobId: idSchema });

export const artifactParams = jobParams.extend({ name: z.string().regex(ARTIFACT_NAME) });

/** Where a list of jobs stands: they are ordered by id, newest first. */
export const jobPosition = z.strictObject({ id: z.uuid() });

const digits = (max: number, message: string) =>
  z
    .string()
    .regex(/^\d{1,9}$/, message)
    .transform(Number)
    .refine((value) => value <= max, message);

/** Query of `GET /jobs/:jobId/logs`. */
export const logsQuery = z.strictObject({
  after: digits(999_999_999, "must be a whole number")
    .optional()
    .meta({ description: "`seq` of the last entry you have; default 0." }),
  limit: digits(100, "must be a whole number from 1 to 100")
    .refine((value) => value >= 1, "must be a whole number from 1 to 100")
    .optional()
    .meta({ description: "Entries per answer, 1–100; default 100." }),
});

/** One entry of a job's log. */
export const jobLogSchema = z
  .strictObject({
    seq: z.int(),
    attempt: z.int(),
    at: timeSchema,
    stream: z.enum(LOG_STREAMS),
    text: z.string().meta({ description: "A piece of output; not always a whole line." }),
  })
  .meta({ id: "JobLogEntry" });

/** One entry of a job's log, as replies have it. */
export type JobLog = z.output<typeof jobLogSchema>;

const runLimits = z.strictObject({
  cpuMs: z.int(),
  wallMs: z.int(),
  memoryBytes: z.int(),
  outputBytes: z.int(),
  diskBytes: z.int(),
});

/** A language, as `GET /languages` has it. */
export const languageSchema = z
  .strictObject({
    id: z.string(),
    aliases: z.array(z.string()).readonly(),
    extension: z
      .string()
      .meta({ description: "Of the file of a program that is one file, without the dot." }),
    engine: z.strictObject({
      id: z.string(),
      version: z.string(),
      isolation: z.enum(["wasm", "wasm+os", "native+os"]),
    }),
    available: z.boolean(),
    reason: z.string().optional().meta({ description: "Why it is not available." }),
    multiFile: z
      .boolean()
      .meta({ description: "Whether a program may be several files that use each other." }),
    stdin: z.boolean(),
    files: z.boolean().meta({ description: "Whether programs can read and write files of their own." }),
    limits: z.strictObject({ default: runLimits, maximum: runLimits }),
  })
  .meta({ id: "Language" });
