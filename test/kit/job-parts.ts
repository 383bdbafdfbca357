import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { z } from "zod";
import { AppError } from "../../src/errors.js";
import type { AuthzWatch } from "../../src/events/authz-watch.js";
import { createOutbox, type Outbox, type OutboxReader } from "../../src/events/outbox.js";
import { createSilentJobOutput, type JobOutput } from "../../src/jobs/job-output.js";
import { defineJobType, type JobContext, type JobOutcome, type JobType } from "../../src/jobs/job-type.js";
import { createJobs, type Jobs, runsPolicy } from "../../src/jobs/jobs.js";
import type { DataFiles } from "../../src/jobs/processing/sources.js";
import type { Sandbox } from "../../src/jobs/sandbox/sandbox.js";
import type { ToolRunner } from "../../src/jobs/tools/tool-runner.js";
import type { WorkerTimings } from "../../src/jobs/worker.js";
import type { BlobStore } from "../../src/platform/blobs/blob-store.js";
import { createDiskBlobStore } from "../../src/platform/blobs/disk.js";
import type { Clock } from "../../src/platform/clock.js";
import type { Database, Sql } from "../../src/platform/database/database.js";
import { type BullmqJobQueue, createBullmqJobQueue } from "../../src/platform/job-queue/bullmq.js";
import { createNullLogger } from "../../src/platform/observability/logger.js";
import type { PubSub } from "../../src/platform/pubsub/pubsub.js";
import { createMemoryRateLimiter } from "../../src/platform/rate-limit/memory.js";
import type { RateLimiter } from "../../src/platform/rate-limit/rate-limiter.js";
import { createAccess } from "../../src/projects/access.js";
import { createProjectRepository } from "../../src/projects/repository.js";
import { createWorkspaceAccess } from "../../src/workspaces/access.js";
import { createWorkspaceRepository } from "../../src/workspaces/repository.js";
import { openBackend, type StoreAddress } from "./job-queue-stores.js";

/** What a test task does; found by the `name` of its payload. */
export type TaskHandler = (context: JobContext, value: unknown) => unknown;

/** The jobs feature of one process, over real stores. */
export interface JobParts {
  readonly jobs: Jobs;
  readonly queue: BullmqJobQueue;
  readonly outbox: Outbox & OutboxReader;
  readonly blobs: BlobStore;
  close(): Promise<void>;
}

/** How the parts are put together. */
export interface JobPartsOptions {
  readonly database: Database;
  readonly address: StoreAddress;
  readonly queueName: string;
  /** Where artifacts lie; default a folder of its own. */
  readonly blobFolder?: string;
  readonly pubsub: PubSub;
  readonly handlers: ReadonlyMap<string, TaskHandler>;
  readonly clock?: Clock;
  readonly output?: JobOutput;
  readonly sandbox?: Sandbox;
  readonly tools?: ToolRunner;
  readonly workspaceFile?: DataFiles["workspaceFile"];
  readonly codeExecution?: boolean;
  readonly runningPerUser?: number;
  readonly queuedPerUser?: number;
  readonly runsPerHour?: number;
  readonly streamsPerUser?: number;
  readonly schedulesPerUser?: number;
  readonly rateLimiter?: RateLimiter;
  readonly authzWatch?: Pick<AuthzWatch, "onChange" | "fresh">;
  readonly onQueueError?: (error: Error) => void;
}

/** Patience of tests: everything happens in tenths of a second. */
export const TEST_TIMINGS: WorkerTimings = {
  leaseMs: 1_000,
  renewMs: 250,
  backoff: { firstMs: 40, mostMs: 200 },
  abortPatienceMs: 300,
  writePatienceMs: 5_000,
};

/** A task of a test: `{name}` chooses the handler, `{value}` is handed to it. */
export function taskType(
  name: string,
  handlers: ReadonlyMap<string, TaskHandler>,
  options: { enabled?: boolean; timeLimitMs?: number } = {},
): JobType {
  return defineJobType({
    name,
    description: "A task of a test.",
    enabled: options.enabled ?? true,
    payload: z.strictObject({ name: z.string(), value: z.unknown().optional() }),
    result: z.strictObject({ value: z.unknown() }),
    attempts: 3,
    timeLimitMs: options.timeLimitMs ?? 20_000,
    async run(context, payload): Promise<JobOutcome<{ value: unknown }>> {
      const handler = handlers.get(payload.name);
      if (!handler) throw new Error(`no handler ${payload.name}`);
      return { status: "ok", result: { value: (await handler(context, payload.value)) ?? null } };
    },
  });
}

/** Puts the jobs feature together as the application does. */
export function createJobParts(options: JobPartsOptions): JobParts {
  const { database, handlers } = options;
  const clock = options.clock ?? { now: () => Date.now() };
  const outbox = createOutbox({ database, clock });
  const { backend, close } = openBackend(options.address);
  const queue = createBullmqJobQueue({
    backend,
    queueName: options.queueName,
    onError: options.onQueueError ?? (() => undefined),
    timings: { lockMs: 1_000, stalledCheckMs: 250, backoffMs: 40, maxBackoffMs: 200 },
  });
  const folder = options.blobFolder ?? mkdtempSync(path.join(tmpdir(), "atelier-blobs-"));
  const blobs = createDiskBlobStore({ folder });
  const access = createAccess({ database, roles: createProjectRepository() });
  const jobs = createJobs({
    database,
    blobs,
    queue,
    pubsub: options.pubsub,
    outbox,
    access,
    workspaceAccess: createWorkspaceAccess({ repository: createWorkspaceRepository(), access }),
    authzWatch: options.authzWatch ?? { onChange: () => undefined, fresh: () => true },
    rateLimiter: options.rateLimiter ?? createMemoryRateLimiter(),
    accounts: { findById: findAccount },
    clock,
    logger: createNullLogger(),
    output: options.output ?? createSilentJobOutput(),
    sandbox: options.sandbox,
    tools: options.tools,
    workspaceFile: options.workspaceFile ?? (() => Promise.reject(new AppError("not_found"))),
    codeExecution: options.codeExecution ?? true,
    moreTypes: [
      taskType("task", handlers),
      taskType("short_task", handlers, { timeLimitMs: 150 }),
      taskType("switched_off", handlers, { enabled: false }),
    ],
    limits: {
      runningPerUser: options.runningPerUser ?? 2,
      queuedPerUser: options.queuedPerUser ?? 20,
      schedulesPerUser: options.schedulesPerUser ?? 3,
      streamsPerUser: options.streamsPerUser ?? 3,
      runs: runsPolicy(options.runsPerHour ?? 0),
    },
    basePath: "/api/v1",
  });
  return {
    jobs,
    queue,
    outbox,
    blobs,
    async close() {
      await jobs.close();
      await queue.close();
      await close();
      if (options.blobFolder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface UserTables {
  users: {
    id: string;
    email: string;
    name: string;
    email_verified_at: Date | null;
    disabled_at: Date | null;
  };
}

async function findAccount(sql: Sql, userId: string) {
  const row = await sql
    .tables<UserTables>()
    .selectFrom("users")
    .selectAll()
    .where("id", "=", userId)
    .executeTakeFirst();
  return (
    row && {
      id: row.id,
      email: row.email,
      name: row.name,
      emailVerified: row.email_verified_at !== null,
      disabled: row.disabled_at !== null,
    }
  );
}
