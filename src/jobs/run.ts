import { AppError } from "../errors.js";
import type { NewEvent } from "../events/catalog.js";
import type { Outbox } from "../events/outbox.js";
import type { Clock } from "../platform/clock.js";
import type { Database } from "../platform/database/database.js";
import type { Outcome } from "../platform/job-queue/job-queue.js";
import type { Logger } from "../platform/observability/logger.js";
import type { Artifacts } from "./artifacts.js";
import { type Backoff, backoffMs, failureOf } from "./failure.js";
import type { JobAudience, JobOutput } from "./job-output.js";
import { createJobRecorder } from "./job-recorder.js";
import type { JobContext, JobOutcome, JobType } from "./job-type.js";
import { fittingResult } from "./result.js";
import { EMPTY_LOG, type RunEnd, type RunRepository } from "./run-repository.js";
import { storable } from "./storable.js";
import type { JobRow } from "./tables.js";

/** Why a run was stopped: `lost`: the row says that it is no run any more. */
export type AbortReason = "cancelled" | "lost" | "stopping" | "time_limit";

/** Stops a run; only the first reason counts. */
export type RunAbort = (reason: AbortReason) => void;

/** One finished run, for metrics. */
export interface JobObservation {
  readonly type: string;
  readonly status: RunEnd["status"] | "abandoned";
  readonly seconds: number;
  /** From the moment it could have started. */
  readonly waitedSeconds: number;
}

/** What a run stands on. */
export interface RunDeps {
  readonly database: Database;
  readonly outbox: Outbox;
  readonly runs: RunRepository;
  readonly output: JobOutput;
  readonly artifacts: Pick<Artifacts, "store" | "drop">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly observe: (observation: JobObservation) => void;
  readonly timings: {
    readonly backoff: Backoff;
    readonly abortPatienceMs: number;
    readonly writePatienceMs: number;
  };
}

/** A claimed job and the means to stop it. */
export interface ClaimedRun {
  readonly job: JobRow;
  /** Undefined when this process does not know the type. */
  readonly type: JobType | undefined;
  readonly signal: AbortSignal;
  readonly abort: RunAbort;
}

/** How the handler ended. */
type Ending =
  | { readonly kind: "returned"; readonly outcome: JobOutcome<unknown> }
  | { readonly kind: "threw"; readonly error: unknown }
  | { readonly kind: "aborted"; readonly reason: AbortReason };

/** Runs one claimed job to its end and writes that end, if the job is still this run's. */
export async function runJob(deps: RunDeps, run: ClaimedRun): Promise<Outcome> {
  const { database, runs, output, clock } = deps;
  const { job, signal, abort } = run;
  const ref = { jobId: job.id, attempt: job.attempt };
  const audience: JobAudience = {
    ...ref,
    type: job.type,
    ownerId: job.owner_id,
    projectId: job.project_id,
  };
  const recorder = createJobRecorder({
    database,
    repository: runs,
    run: ref,
    audience,
    output,
    clock,
    start: job.attempt > 1 ? await runs.logState(database, job.id) : EMPTY_LOG,
    onLost: () => abort("lost"),
  });
  const context: JobContext = {
    jobId: job.id,
    ownerId: job.owner_id,
    projectId: job.project_id,
    workspaceId: job.workspace_id,
    attempt: job.attempt,
    requestId: job.request_id,
    signal,
    progress: (percent, message) => recorder.progress(percent, message),
    log: (stream, text) => recorder.log(stream, text),
    artifact: (name, content, mediaType) => deps.artifacts.store(ref, name, content, mediaType),
  };
  const startedAt = performance.now();
  const ending = await settle(deps, run, context);
  const entries = await recorder.close();
  const end = endOf(deps, run, ending);
  deps.observe({
    type: job.type,
    status: end?.status ?? "abandoned",
    seconds: (performance.now() - startedAt) / 1_000,
    waitedSeconds: Math.max(0, (job.started_at ?? job.run_at).getTime() - waitingSince(job)) / 1_000,
  });
  if (!end) return { kind: "done" };
  const written = await persist(deps, signal, () =>
    database.transaction(async (tx) => {
      if (!(await runs.appendLogs(tx, ref, entries))) return false;
      if (!(await runs.end(tx, ref, end, new Date(clock.now())))) return false;
      if (job.attempt > 1) await deps.artifacts.drop(tx, job.id, job.attempt);
      const event = eventOf(job, end, ending);
      if (event) await deps.outbox.append(tx, event);
      return true;
    }),
  );
  if (!written) return { kind: "done" };
  if (entries.length > 0) output.log(audience, entries);
  if (end.status === "retrying")
    return { kind: "again", delayMs: Math.max(1, end.runAt.getTime() - clock.now()) };
  return end.status === "pending" ? { kind: "again", delayMs: 0 } : { kind: "done" };
}

/** Runs the handler until it ends, or until it had time to notice that it was stopped. */
async function settle(
  deps: RunDeps,
  { job, type, signal, abort }: ClaimedRun,
  context: JobContext,
): Promise<Ending> {
  const timeLimit = setTimeout(() => abort("time_limit"), type?.timeLimitMs ?? 0);
  let patience: NodeJS.Timeout | undefined;
  const stuck = new Promise<undefined>((resolve) => {
    const giveUp = () => {
      patience = setTimeout(() => resolve(undefined), deps.timings.abortPatienceMs);
    };
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp, { once: true });
  });
  const work = execute(type, context, job.payload).then(
    (outcome): Ending => ({ kind: "returned", outcome }),
    (error: unknown): Ending => ({ kind: "threw", error }),
  );
  const ending = await Promise.race([work, stuck]);
  clearTimeout(timeLimit);
  clearTimeout(patience);
  // What a handler makes of being stopped is no outcome.
  if (ending === undefined || signal.aborted)
    return { kind: "aborted", reason: signal.reason as AbortReason };
  return ending;
}

async function execute(
  type: JobType | undefined,
  context: JobContext,
  stored: unknown,
): Promise<JobOutcome<unknown>> {
  if (!type) throw new AppError("unprocessable", { detail: "No worker knows this type of job any more." });
  if (!type.enabled) throw new AppError("feature_disabled");
  const payload = type.payload.safeParse(stored);
  if (!payload.success) {
    throw new AppError("unprocessable", {
      detail: "The payload no longer fits the type of the job.",
      cause: payload.error,
    });
  }
  const { status, result } = await type.run(context, payload.data);
  return { status, result: await fittingResult(storable(type.result.parse(result)), context) };
}

/** What is to be written; undefined when the job is somebody else's by now. */
function endOf(deps: RunDeps, { job, type }: ClaimedRun, ending: Ending): RunEnd | undefined {
  if (ending.kind === "returned") return { status: "completed", result: ending.outcome.result };
  if (ending.kind === "aborted" && ending.reason !== "time_limit") {
    return ending.reason === "stopping" ? { status: "pending" } : undefined;
  }
  const thrown =
    ending.kind === "threw"
      ? ending.error
      : new AppError("job_timed_out", {
          detail: `The job ran longer than ${Math.ceil((type?.timeLimitMs ?? 0) / 1_000)} s.`,
        });
  const { error, passing } = failureOf(thrown);
  deps.logger[error.code === "internal_error" ? "error" : "info"]("a run of a job failed", {
    jobId: job.id,
    jobType: job.type,
    attempt: job.attempt,
    requestId: job.request_id,
    code: error.code,
    error: thrown instanceof AppError ? (thrown.cause ?? thrown) : thrown,
  });
  if (!passing || job.attempt >= job.max_attempts) return { status: "failed", error };
  const failures = job.attempt - (job.max_attempts - job.attempt_budget);
  const delayMs = backoffMs(failures, deps.timings.backoff, Math.random);
  return { status: "retrying", error, runAt: new Date(deps.clock.now() + delayMs) };
}

function eventOf(job: JobRow, end: RunEnd, ending: Ending): NewEvent | undefined {
  const scope = { projectId: job.project_id, userId: job.owner_id };
  const about = { jobId: job.id, jobType: job.type, attempt: job.attempt };
  switch (end.status) {
    case "completed": {
      const status = ending.kind === "returned" ? ending.outcome.status : "";
      return { type: "job_completed", payload: { ...about, status }, ...scope };
    }
    case "failed":
      return { type: "job_failed", payload: { ...about, code: end.error.code }, ...scope };
    case "retrying":
      return { type: "job_retrying", payload: { ...about, code: end.error.code }, ...scope };
    case "pending":
      return undefined;
  }
}

/** Writes the end of a run, also when the database is away for a while: the fencing number keeps that safe. */
async function persist(
  { timings }: RunDeps,
  signal: AbortSignal,
  write: () => Promise<boolean>,
): Promise<boolean> {
  const deadline = performance.now() + timings.writePatienceMs;
  for (let tried = 0; ; tried++) {
    try {
      return await write();
    } catch (error) {
      const away = error instanceof AppError && error.status === 503;
      if (!away || signal.aborted || performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.min(100 * 2 ** tried, 2_000)));
    }
  }
}

function waitingSince(job: JobRow): number {
  return Math.max(job.queued_at.getTime(), job.run_at.getTime());
}
