import type { AuthzWatch } from "../events/authz-watch.js";
import type { EventConsumer } from "../events/dispatcher.js";
import type { Outbox } from "../events/outbox.js";
import type { Route } from "../http/route.js";
import type { BlobStore } from "../platform/blobs/blob-store.js";
import type { Clock } from "../platform/clock.js";
import type { Database } from "../platform/database/database.js";
import type { JobQueue } from "../platform/job-queue/job-queue.js";
import type { Logger } from "../platform/observability/logger.js";
import type { PubSub } from "../platform/pubsub/pubsub.js";
import type { RateLimiter, RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";
import type { Access } from "../projects/access.js";
import type { Accounts } from "../projects/accounts.js";
import type { WorkspaceAccess } from "../workspaces/access.js";
import { createArtifactRepository } from "./artifact-repository.js";
import { createArtifacts } from "./artifacts.js";
import { createClaims } from "./claims.js";
import { createCodeExecution } from "./handlers/code-execution.js";
import { createDataProcessing } from "./handlers/data-processing.js";
import { createJobBell } from "./job-bell.js";
import { createJobEvents } from "./job-events.js";
import { createJobOutputs, type JobOutput } from "./job-output.js";
import { createJobTypes, type JobType } from "./job-type.js";
import { createLanguageRepository } from "./language-repository.js";
import { createLanguages } from "./languages.js";
import type { DataFiles } from "./processing/sources.js";
import { createPruning } from "./pruning.js";
import { createQueueRepository } from "./queue-repository.js";
import { createJobRepository } from "./repository.js";
import { createMayRun } from "./rights.js";
import { jobRoutes } from "./routes.js";
import type { JobObservation } from "./run.js";
import { createRunRepository } from "./run-repository.js";
import type { Sandbox } from "./sandbox/sandbox.js";
import { createScheduleRepository } from "./schedule-repository.js";
import { scheduleRoutes } from "./schedule-routes.js";
import { createScheduleService } from "./schedule-service.js";
import { createJobScheduler } from "./scheduler.js";
import { createSchedules } from "./schedules.js";
import { createJobSchemas } from "./schema.js";
import { createJobService } from "./service.js";
import type { ToolRunner } from "./tools/tool-runner.js";
import { createJobWorker, type JobWorker, WORKER_TIMINGS, type WorkerTimings } from "./worker.js";

/** What the feature stands on. */
export interface JobsDeps {
  readonly database: Database;
  readonly blobs: BlobStore;
  readonly queue: JobQueue;
  readonly pubsub: PubSub;
  readonly outbox: Outbox;
  readonly authzWatch: Pick<AuthzWatch, "onChange" | "fresh">;
  readonly access: Access;
  readonly workspaceAccess: WorkspaceAccess;
  readonly accounts: Pick<Accounts, "findById">;
  readonly rateLimiter: Pick<RateLimiter, "consume">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where progress and log of running jobs go. */
  readonly output: JobOutput;
  /** None in a process without the worker role. */
  readonly sandbox: Sandbox | undefined;
  /** None in a process without the worker role. */
  readonly tools: ToolRunner | undefined;
  /** Files of workspaces, read as the one who asks. */
  readonly workspaceFile: DataFiles["workspaceFile"];
  /** `FEATURE_CODE_EXECUTION`. */
  readonly codeExecution: boolean;
  /** Job types besides the built-in ones. */
  readonly moreTypes?: readonly JobType[];
  readonly limits: JobLimits;
  /** Base of the `Location` of what is created, such as `/api/v1`. */
  readonly basePath: string;
}

/** How much one user may ask for. */
export interface JobLimits {
  readonly runningPerUser: number;
  readonly queuedPerUser: number;
  /** Jobs of one user that may repeat. */
  readonly schedulesPerUser: number;
  /** Jobs one user may follow at once on this node. */
  readonly streamsPerUser: number;
  /** From {@link runsPolicy}. */
  readonly runs: RateLimitPolicy;
}

/** How a worker of this process works. */
export interface WorkerOptions {
  /** Jobs at once. */
  readonly concurrency: number;
  readonly timings?: Partial<WorkerTimings>;
  readonly observe?: (observation: JobObservation) => void;
}

/** The feature, ready to be mounted. */
export interface Jobs {
  readonly routes: readonly Route[];
  /** Hands new jobs to the queue; belongs to the dispatcher of every process with the api role. */
  readonly consumer: EventConsumer;
  /** The worker of a process with the worker role. */
  createWorker(options: WorkerOptions): JobWorker;
  /** Hands over again what the queue may have lost; {@link Jobs.start} does it every 15 s. */
  sweep(): Promise<void>;
  /** Deletes what has ended before `before`, with its log: at most `limit` rows at once. Ends when nothing is left or when aborted. */
  prune(before: Date, limit: number, signal: AbortSignal): Promise<void>;
  /** Deletes contents of artifacts that are gone, at most `limit`. */
  clearArtifacts(limit: number): Promise<void>;
  /** Ends the streams of events; clients come back to another node. */
  endStreams(): void;
  /** Begins to sweep. */
  start(): void;
  /** Ends the sweeps, after the one under way. */
  close(): Promise<void>;
}

const SWEEP_MS = 15_000;

/** The limit on submissions and retries; a `perHour` of 0 switches it off. */
export function runsPolicy(perHour: number): RateLimitPolicy {
  return { name: "job-runs", limit: perHour, windowMs: 3_600_000 };
}

/** Background jobs. */
export function createJobs(deps: JobsDeps): Jobs {
  const { database, logger, sandbox, limits } = deps;
  const { runningPerUser, queuedPerUser } = limits;
  const repository = createJobRepository();
  const runs = createRunRepository();
  const artifactRepository = createArtifactRepository();
  const artifacts = createArtifacts({ ...deps, repository: artifactRepository });
  const languages = createLanguages({ ...deps, repository: createLanguageRepository() });
  // The types come before the service that knows who may read a job.
  const artifact: DataFiles["artifact"] = async (actor, jobId, name) =>
    (await jobs.artifact(actor, jobId, name)).open();
  const types = createJobTypes([
    createCodeExecution({ enabled: deps.codeExecution, sandbox, languages }),
    createDataProcessing({ tools: deps.tools, files: { workspaceFile: deps.workspaceFile, artifact } }),
    ...(deps.moreTypes ?? []),
  ]);
  const scheduler = createJobScheduler({ ...deps, repository: createQueueRepository(), runningPerUser });
  const bell = createJobBell(deps.pubsub);
  const mayRun = createMayRun(deps);
  const scheduleRepository = createScheduleRepository();
  const schedules = createSchedules({
    ...deps,
    repository,
    schedules: scheduleRepository,
    mayRun,
    runsPolicy: limits.runs,
    schedulesPerUser: limits.schedulesPerUser,
  });
  const jobs = createJobService({
    ...deps,
    repository,
    artifacts,
    types,
    scheduler,
    bell,
    queuedPerUser,
    schedules,
  });
  const repetitions = createScheduleService({
    ...deps,
    schedules: scheduleRepository,
    cancelJob: (tx, actor, jobId) => jobs.cancelIn(tx, actor, jobId),
  });
  const events = createJobEvents({ ...deps, reads: jobs, bell, streamsPerUser: limits.streamsPerUser });
  // What is stored can be read: whoever follows the job looks.
  const ring = ({ jobId }: { readonly jobId: string }) => bell.ring(jobId);
  const output = createJobOutputs([deps.output, { progress: ring, log: ring }]);
  let timer: NodeJS.Timeout | undefined;
  let sweeping: Promise<void> | undefined;

  async function sweep(): Promise<void> {
    await scheduler.sweep();
    await schedules.sweep();
  }

  function sweepSafely(): void {
    sweeping ??= sweep()
      .catch((error: unknown) => logger.warn("lost jobs were not looked for", { error }))
      .finally(() => {
        sweeping = undefined;
      });
  }

  function createWorker({ concurrency, observe, ...options }: WorkerOptions): JobWorker {
    const timings = { ...WORKER_TIMINGS, ...options.timings };
    const worker = createJobWorker({
      ...deps,
      output,
      bell,
      types,
      claims: createClaims({
        ...deps,
        repository,
        runs,
        types,
        mayRun,
        runningPerUser,
        leaseMs: timings.leaseMs,
      }),
      runs,
      artifacts,
      scheduler,
      observe: observe ?? (() => undefined),
      concurrency,
      timings,
    });
    let unpublish = () => {};
    return {
      async start() {
        if (sandbox) unpublish = await languages.publish(sandbox);
        await worker.start();
      },
      async stop(graceMs) {
        unpublish();
        await worker.stop(graceMs);
      },
    };
  }

  return {
    routes: [
      ...jobRoutes({
        jobs,
        events,
        languages,
        schemas: createJobSchemas(types),
        database,
        runsPolicy: limits.runs,
        basePath: deps.basePath,
      }),
      ...scheduleRoutes(repetitions),
    ],
    consumer: {
      name: scheduler.consumer.name,
      async handle(events) {
        await scheduler.consumer.handle(events);
        await schedules.handle(events);
      },
    },
    createWorker,
    sweep,
    prune: createPruning(database),
    clearArtifacts: (limit) => artifacts.clear(limit),
    endStreams: () => events.close(),
    start() {
      timer ??= setInterval(sweepSafely, SWEEP_MS);
    },
    async close() {
      clearInterval(timer);
      timer = undefined;
      await sweeping;
    },
  };
}
