import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { sql as raw } from "kysely";
import { AppError, type FieldError } from "../../src/errors.js";
import type { AuthzWatch } from "../../src/events/authz-watch.js";
import type { DomainEvent, EventType } from "../../src/events/catalog.js";
import { createDispatcher } from "../../src/events/dispatcher.js";
import { createIdempotency } from "../../src/http/idempotency.js";
import { createCursors } from "../../src/http/pagination.js";
import { createHttpRateLimit } from "../../src/http/rate-limit.js";
import { createHttpApp } from "../../src/http/server.js";
import type { JobOutput } from "../../src/jobs/job-output.js";
import type { JobContext } from "../../src/jobs/job-type.js";
import type { DataFiles } from "../../src/jobs/processing/sources.js";
import type { Sandbox } from "../../src/jobs/sandbox/sandbox.js";
import type { JobSchedule } from "../../src/jobs/schedule-schema.js";
import type { Job, JobLog, JobSummary } from "../../src/jobs/schema.js";
import type { JobTables } from "../../src/jobs/tables.js";
import type { ToolRunner } from "../../src/jobs/tools/tool-runner.js";
import type { JobWorker, WorkerTimings } from "../../src/jobs/worker.js";
import type { Clock } from "../../src/platform/clock.js";
import type { PostgresConnection } from "../../src/platform/database/postgres-connection.js";
import { createNullLogger } from "../../src/platform/observability/logger.js";
import { createMemoryPubSub } from "../../src/platform/pubsub/memory.js";
import type { PubSub } from "../../src/platform/pubsub/pubsub.js";
import { createMemoryRateLimiter } from "../../src/platform/rate-limit/memory.js";
import { type EventStream, openEventStream } from "./event-stream.js";
import { createJobParts, type JobParts, type TaskHandler, TEST_TIMINGS } from "./job-parts.js";
import { type JobQueueStore, jobQueueStores } from "./job-queue-stores.js";
import { startTestPostgres, withDatabase } from "./postgres.js";
import { type Call, createProjectApp, type ProjectApp, type TestUser } from "./project-app.js";

/** An answer of the jobs routes; a test that looks for what is not there fails. */
export interface JobAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: {
    readonly job: Job;
    readonly jobs: readonly JobSummary[];
    readonly nextCursor: string | null;
    readonly logs: readonly JobLog[];
    readonly nextAfter: number;
    readonly schedules: readonly JobSchedule[];
    readonly languages: readonly { id: string; available: boolean }[];
    readonly code: string;
    readonly limit: number;
    readonly errors: readonly FieldError[];
  };
}

/** What a test may choose. */
export interface JobAppOptions {
  readonly sandbox?: Sandbox;
  readonly tools?: ToolRunner;
  readonly workspaceFile?: DataFiles["workspaceFile"];
  readonly codeExecution?: boolean;
  readonly runningPerUser?: number;
  readonly queuedPerUser?: number;
  readonly runsPerHour?: number;
  readonly output?: JobOutput;
  readonly streamsPerUser?: number;
  readonly schedulesPerUser?: number;
  readonly clock?: Clock;
  readonly authzWatch?: Pick<AuthzWatch, "onChange" | "fresh">;
  /** False: events are not dispatched until `dispatch()`. */
  readonly dispatching?: boolean;
}

/** The jobs feature behind a real server, with real queue and database, and workers on demand. */
export interface JobApp {
  readonly projects: ProjectApp;
  readonly parts: JobParts;
  readonly pubsub: PubSub;
  readonly store: JobQueueStore;
  readonly queueName: string;
  readonly connection: PostgresConnection;
  /** What tasks do, by the `name` of their payload. */
  readonly handlers: Map<string, TaskHandler>;
  /** Every event so far, in order. */
  readonly events: readonly DomainEvent[];
  user(): Promise<TestUser>;
  call(method: string, path: string, call?: Call): Promise<JobAnswer>;
  /** A GET whose answer is not JSON. */
  fetch(path: string, as: TestUser, signal?: AbortSignal): Promise<Response>;
  /** Submits a task and gives back its job. */
  task(as: TestUser, name: string, more?: Record<string, unknown>): Promise<Job>;
  read(as: TestUser, jobId: string): Promise<Job>;
  /** Follows a job; closed with the app. */
  follow(as: TestUser, jobId: string, lastEventId?: string): Promise<EventStream>;
  /** Resolves with the nth event of that type about the job. */
  event(type: EventType, jobId: string, nth?: number): Promise<DomainEvent>;
  worker(options?: { concurrency?: number; timings?: Partial<WorkerTimings> }): Promise<JobWorker>;
  /** Starts to dispatch events. */
  dispatch(): Promise<void>;
  /** The row of a job. */
  row(jobId: string): Promise<JobRowView>;
  sql(): ReturnType<typeof tablesOf>;
  close(): Promise<void>;
}

/** What tests look at in a row. */
export interface JobRowView {
  readonly status: string;
  readonly attempt: number;
  readonly generation: number;
  readonly enqueued_at: Date | null;
  readonly result: unknown;
}

/** Tries until it works, for what nobody announces; gives up with the last error, so that a failed test ends. */
export async function eventually<R>(attempt: () => R | Promise<R>): Promise<R> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await delay(25);
    }
  }
}

/** Resolves with the reason when the run is told to stop. */
export const aborted = ({ signal }: JobContext) =>
  new Promise<string>((resolve) => {
    if (signal.aborted) resolve(String(signal.reason));
    else signal.addEventListener("abort", () => resolve(String(signal.reason)));
  });

/** What a handler that hangs waits for. */
export const never = () => new Promise(() => {});

const tablesOf = (app: ProjectApp) => app.database.tables<JobTables>();
let queues = 0;

/** Starts the app; PostgreSQL holds the queue as well, in a database of its own. */
export async function createJobApp(options: JobAppOptions = {}): Promise<JobApp> {
  const projects = await createProjectApp();
  const { database } = projects;
  const store = await jobQueueStores().postgres.open();
  const pubsub = createMemoryPubSub({ onError: () => undefined });
  const handlers = new Map<string, TaskHandler>();
  queues += 1;
  const queueName = `jobs-${queues}`;
  const clock = options.clock ?? { now: () => Date.now() };
  const limiter = createMemoryRateLimiter();
  const parts = createJobParts({
    ...options,
    database,
    address: store.address,
    queueName,
    pubsub,
    handlers,
    clock,
    rateLimiter: limiter,
  });
  const events: DomainEvent[] = [];
  const heard = new EventEmitter().setMaxListeners(0);
  const logger = createNullLogger();
  const dispatcher = createDispatcher({
    database,
    outbox: parts.outbox,
    consumers: [
      parts.jobs.consumer,
      {
        name: "test",
        async handle(batch) {
          events.push(...batch);
          heard.emit("events");
        },
      },
    ],
    logger,
  });
  const unlimited = { name: "any", limit: 0, windowMs: 1_000 };
  const server = createServer(
    createHttpApp({
      routes: parts.jobs.routes,
      basePath: "/api/v1",
      mounts: [],
      logger,
      corsOrigins: [],
      trustProxy: undefined,
      observe: () => undefined,
      inFlight: () => undefined,
      authenticator: {
        async authenticate(authorization) {
          const userId = /^Bearer (.+)$/.exec(authorization ?? "")?.[1];
          if (userId === undefined) throw new AppError("unauthenticated");
          return { userId, sessionId: userId, generation: 1 };
        },
      },
      rateLimit: createHttpRateLimit({
        limiter,
        policies: {
          anonymous: unlimited,
          user: unlimited,
          write: unlimited,
          signIn: unlimited,
          mode: "tiered",
        },
        onRefused: () => undefined,
      }),
      idempotency: createIdempotency({ database, clock, key: Buffer.alloc(32, 1) }),
      cursors: createCursors(Buffer.alloc(32, 2)),
      checkReplies: true,
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1`;
  const workers: JobWorker[] = [];
  const streams: EventStream[] = [];
  let dispatching = false;

  const app: JobApp = {
    projects,
    parts,
    pubsub,
    store,
    queueName,
    connection: withDatabase((await startTestPostgres()).owner, await databaseName(projects)),
    handlers,
    events,
    user: () => projects.user(),
    async call(method, path, { as, body, headers = {} } = {}) {
      const response = await fetch(base + path, {
        method,
        headers: {
          ...(as ? { Authorization: `Bearer ${as.id}` } : {}),
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        text,
        body: (text === "" ? undefined : JSON.parse(text)) as JobAnswer["body"],
      };
    },
    fetch: (path, as, signal) =>
      fetch(base + path, { headers: { Authorization: `Bearer ${as.id}` }, ...(signal ? { signal } : {}) }),
    async task(as, name, { value, type = "task", ...more } = {}) {
      const payload = { name, ...(value === undefined ? {} : { value }) };
      const answer = await app.call("POST", "/jobs", { as, body: { type, payload, ...more } });
      if (answer.status !== 202) throw new Error(`not submitted: ${answer.text}`);
      return answer.body.job;
    },
    read: async (as, jobId) => (await app.call("GET", `/jobs/${jobId}`, { as })).body.job,
    async follow(as, jobId, lastEventId) {
      const stream = await openEventStream(`${base}/jobs/${jobId}/events`, as.id, lastEventId);
      streams.push(stream);
      return stream;
    },
    async event(type, jobId, nth = 1) {
      for (;;) {
        const found = events.filter((event) => event.type === type && event.payload["jobId"] === jobId);
        const event = found[nth - 1];
        if (event) return event;
        await once(heard, "events");
      }
    },
    async worker({ concurrency = 10, timings = {} } = {}) {
      const worker = parts.jobs.createWorker({ concurrency, timings: { ...TEST_TIMINGS, ...timings } });
      await worker.start();
      workers.push(worker);
      return worker;
    },
    async dispatch() {
      if (dispatching) return;
      dispatching = true;
      await dispatcher.start();
    },
    row: (jobId) =>
      tablesOf(projects)
        .selectFrom("jobs")
        .select(["status", "attempt", "generation", "enqueued_at", "result"])
        .where("id", "=", jobId)
        .executeTakeFirstOrThrow(),
    sql: () => tablesOf(projects),
    async close() {
      for (const stream of streams) stream.close();
      server.closeAllConnections();
      server.close();
      await Promise.all(workers.map((worker) => worker.stop(0)));
      if (dispatching) await dispatcher.stop();
      await parts.close();
      await store.close();
      await projects.close();
    },
  };
  if (options.dispatching ?? true) await app.dispatch();
  return app;
}

async function databaseName(app: ProjectApp): Promise<string> {
  const { rows } = await raw<{ name: string }>`select current_database() as name`.execute(tablesOf(app));
  const name = rows[0]?.name;
  if (name === undefined) throw new Error("the database has no name");
  return name;
}

/** An app with settings of its own, for one test. */
export async function withJobApp(
  options: JobAppOptions,
  test: (other: JobApp) => Promise<void>,
): Promise<void> {
  const other = await createJobApp(options);
  try {
    await test(other);
  } finally {
    await other.close();
  }
}

/** Ends a job without a worker. */
export async function endJob(
  app: JobApp,
  job: Job,
  status: "completed" | "failed" | "cancelled",
): Promise<void> {
  await app
    .sql()
    .updateTable("jobs")
    .set({ status, attempt: 3, finished_at: new Date() })
    .where("id", "=", job.id)
    .execute();
}

/** What a refusal points at. */
export const pointersOf = (answer: JobAnswer) => answer.body.errors.map(({ pointer }) => pointer);

/** The job of the README. */
export const codeJob = (payload: Record<string, unknown> = {}) => ({
  type: "code_execution",
  payload: { language: "javascript", code: "console.log('Hello World')", ...payload },
});

/** A job that does nothing, once there is a worker. */
export const quickJob = { type: "task", payload: { name: "quick", value: 1 } };
