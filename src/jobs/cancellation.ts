import type { RunRef } from "./run-repository.js";

/** PubSub channel on which workers hear of running jobs that were cancelled; a lost message is made up by the lease. */
export const CANCEL_CHANNEL = "job-cancel";

/** Wire form of the run to be stopped. */
export function encodeCancel(run: RunRef): string {
  return `${run.jobId} ${run.attempt}`;
}

/** The run to be stopped; undefined for bytes that name none. */
export function decodeCancel(message: Buffer): RunRef | undefined {
  const [jobId, attempt] = message.toString("utf8").split(" ");
  return jobId === undefined || attempt === undefined ? undefined : { jobId, attempt: Number(attempt) };
}
