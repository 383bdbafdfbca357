import type { LogStream } from "./job-type.js";

/** Which job says something, and who may hear it: the members of its project, or its owner when it has none. */
export interface JobAudience {
  readonly jobId: string;
  readonly type: string;
  readonly ownerId: string;
  readonly projectId: string | null;
  readonly attempt: number;
}

/** One piece of a job's log. */
export interface JobLogEntry {
  /** Rises by one within the job, over all its attempts. */
  readonly seq: number;
  readonly attempt: number;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly stream: LogStream;
  readonly text: string;
}

/**
 * Where progress and log go while a job runs (`job_progress`, `job_log`). Told only what is stored already, so whoever
 * missed a piece reads it back by its seq. Must not throw and not wait.
 */
export interface JobOutput {
  progress(job: JobAudience, progress: number, message: string | null): void;
  log(job: JobAudience, entries: readonly JobLogEntry[]): void;
}

/** Output that goes to all of these. */
export function createJobOutputs(outputs: readonly JobOutput[]): JobOutput {
  return {
    progress(job, progress, message) {
      for (const output of outputs) output.progress(job, progress, message);
    },
    log(job, entries) {
      for (const output of outputs) output.log(job, entries);
    },
  };
}

/** Output nobody listens to. */
export function createSilentJobOutput(): JobOutput {
  return { progress() {}, log() {} };
}
