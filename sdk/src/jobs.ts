import type { Caller, CallOptions } from "./caller.js";
import type { Job, JobLogEntry, JobSubmission, JobSummary, Language, Operations } from "./generated/api.js";
import { createJobRun, type JobRun, type RunOptions } from "./job-run.js";
import { type Pages, pagesOf } from "./pages.js";

/** The type name of a job. */
export type JobType = JobSubmission["type"];

/** A job of one type, its payload and result typed by it. */
export type JobOf<Type extends JobType> = Extract<Job, { type: Type }>;

/** Background jobs. */
export interface Jobs {
  /** Hands a job in and answers it as it waits. @throws AtelierError `quota_exceeded`, `unsupported_language`. */
  submit<Type extends JobType>(
    input: Extract<JobSubmission, { type: Type }>,
    options?: CallOptions,
  ): Promise<JobOf<Type>>;
  /** Hands a job in and follows it: iterate the run for its output, await `result` for its end. */
  run<Type extends JobType>(
    input: Extract<JobSubmission, { type: Type }>,
    options?: RunOptions,
  ): JobRun<JobOf<Type>>;
  /** Follows a job that was handed in before, from its first output on. */
  follow(jobId: string, options?: RunOptions): JobRun<Job>;
  /** Your own jobs, or all of a project; newest first. */
  list(query?: Operations["listJobs"]["query"], options?: CallOptions): Pages<JobSummary>;
  get(jobId: string, options?: CallOptions): Promise<Job>;
  /** @throws AtelierError `job_not_cancellable` when it has ended. */
  cancel(jobId: string, options?: CallOptions): Promise<Job>;
  /** Starts a failed or cancelled job again. */
  retry(jobId: string, options?: CallOptions): Promise<Job>;
  /** What it said after entry `after` (0: from the beginning), as far as it got. */
  logs(jobId: string, after?: number, options?: CallOptions): Promise<readonly JobLogEntry[]>;
  /** What the sandbox can run. */
  languages(options?: CallOptions): Promise<readonly Language[]>;
}

/** Entries the service gives at once. */
const LOG_PAGE = 100;

/** Jobs over the API. */
export function createJobs(caller: Caller): Jobs {
  const get: Jobs["get"] = async (jobId, options) =>
    (await caller.call("getJob", { params: { jobId }, ...options })).job;
  const cancel: Jobs["cancel"] = async (jobId, options) =>
    (await caller.call("cancelJob", { params: { jobId }, ...options })).job;
  const logs: Jobs["logs"] = async (jobId, after = 0, options) => {
    const entries: JobLogEntry[] = [];
    for (let from = after; ; ) {
      const page = await caller.call("getJobLogs", {
        params: { jobId },
        query: { after: from, limit: LOG_PAGE },
        ...options,
      });
      entries.push(...page.logs);
      if (page.logs.length < LOG_PAGE) return entries;
      from = page.nextAfter;
    }
  };
  async function submit(body: JobSubmission, options?: CallOptions): Promise<Job> {
    return (await caller.call("createJob", { body, ...options })).job;
  }
  const source = { get, cancel, logs };
  return {
    submit: (input, options) => submit(input, options) as Promise<never>,
    run: (input, options = {}) =>
      createJobRun(source, () => submit(input, { signal: options.signal }), options) as JobRun<never>,
    follow: (jobId, options = {}) =>
      createJobRun(source, () => get(jobId, { signal: options.signal }), options),
    list: (query, options) =>
      pagesOf(query?.cursor, async (cursor) => {
        const { jobs, nextCursor } = await caller.call("listJobs", {
          query: { ...query, cursor },
          ...options,
        });
        return { items: jobs, nextCursor };
      }),
    get,
    cancel,
    retry: async (jobId, options) => (await caller.call("retryJob", { params: { jobId }, ...options })).job,
    logs,
    languages: async (options) => (await caller.call("listLanguages", { ...options })).languages,
  };
}
