import { type IQueueBackend, type JobsOptions, Queue } from "bullmq";
import { dependencyUnavailable } from "../../errors.js";
import { type ConsumerTimings, createBullmqConsumer } from "./bullmq-consumer.js";
import { createPostgresStore, type PostgresQueueBackend } from "./bullmq-postgres.js";
import { createRedisStore, type RedisQueueBackend } from "./bullmq-redis.js";
import { createFaultReporter, type QueueStore, type ReportFault, within } from "./bullmq-store.js";
import type { JobConsumer, JobQueue, QueuedJob } from "./job-queue.js";

/** What {@link createBullmqJobQueue} needs. */
export interface BullmqJobQueueOptions {
  readonly backend: PostgresQueueBackend | RedisQueueBackend;
  /** Name of the queue, without a colon. Default `jobs`. */
  readonly queueName?: string;
  /** Told what goes wrong behind the scenes: a store that is away, a processor that threw; never twice in 10 s the same. */
  readonly onError: (error: Error) => void;
  readonly timings?: Partial<ConsumerTimings>;
}

/** A look at how the store is set up. */
export interface JobQueueCheck {
  /** False when jobs can get lost the way the store is set up; production must not start then. */
  readonly ok: boolean;
  /** One sentence per fault. */
  readonly problems: readonly string[];
}

/** The job queue on BullMQ. */
export interface BullmqJobQueue extends JobQueue {
  /** Looks at the store's settings (Redis: `maxmemory-policy`) and reports every fault to `onError` too. */
  check(): Promise<JobQueueCheck>;
}

type Producer = Queue<QueuedJob, void, string, QueuedJob, void, string, IQueueBackend, object>;

const DEFAULT_TIMINGS: ConsumerTimings = {
  lockMs: 15_000,
  stalledCheckMs: 10_000,
  backoffMs: 1_000,
  maxBackoffMs: 60_000,
};
const DEFAULT_PRIORITY = 50;
/** A caller learns within 2 s that the store is away. */
const ANSWER_MS = 1_800;
const QUIET_MS = 10_000;

const JOB_OPTIONS: JobsOptions = {
  // Ended jobs leave at once: the row in `jobs` remembers them, and the same id can be queued again.
  removeOnComplete: true,
  removeOnFail: true,
  // Whether a job is given up is decided by its processor; the queue delivers again for as long as it throws.
  attempts: 1_000_000,
  backoff: { type: "custom" },
  stackTraceLimit: 0,
};

/** BullMQ 6 on Redis or PostgreSQL. Connects by itself, also later, and outlives a store that goes away. */
export function createBullmqJobQueue(options: BullmqJobQueueOptions): BullmqJobQueue {
  const tell = createFaultReporter(options.onError, QUIET_MS);
  let closed = false;
  // What still breaks once everything is closed is of no interest.
  const report: ReportFault = (fault) => {
    if (!closed) tell(fault);
  };
  const store = openStore(options.backend, report);
  const queueName = options.queueName ?? "jobs";
  const consumers = new Set<JobConsumer>();
  let producer: Promise<Producer> | undefined;
  let closing: Promise<void> | undefined;

  /** BullMQ remembers a first connection that failed and then never works, so such a queue is replaced. */
  function openProducer(): Promise<Producer> {
    producer ??= connectProducer(store, queueName, report).catch((error: unknown) => {
      producer = undefined;
      throw error;
    });
    return producer;
  }

  async function ask<R>(question: (queue: Producer) => Promise<R>): Promise<R> {
    if (closing) throw dependencyUnavailable("job queue");
    const answer = store.ready().then(openProducer).then(question);
    try {
      return await within(ANSWER_MS, "The job queue did not answer in time", answer);
    } catch (error) {
      throw dependencyUnavailable("job queue", error);
    }
  }

  async function close(): Promise<void> {
    await Promise.all([...consumers].map((consumer) => consumer.close(0)));
    const queue = await producer?.catch(() => undefined);
    await queue?.close().catch(report);
    await within(ANSWER_MS, "The job queue's store did not close in time", store.close()).catch(report);
    closed = true;
  }

  return {
    async enqueue(job, { delayMs = 0, priority = DEFAULT_PRIORITY } = {}) {
      const data: QueuedJob = { jobId: job.jobId, generation: job.generation };
      const jobId = deliveryId(job);
      if (!Number.isInteger(priority) || priority < 1 || priority > 100) {
        throw new RangeError("priority must be an integer from 1 to 100");
      }
      if (!(delayMs >= 0)) throw new RangeError("delayMs must not be negative");
      await ask((queue) => queue.add("job", data, { ...JOB_OPTIONS, jobId, delay: delayMs, priority }));
    },
    async remove(job) {
      const jobId = deliveryId(job);
      return ask(async (queue) => {
        // On Redis the removal of an unknown job succeeds, hence the look before.
        const state = await queue.getJobState(jobId);
        if (state !== "waiting" && state !== "prioritized" && state !== "delayed") return false;
        return (await queue.remove(jobId)) === 1;
      });
    },
    consume(consume) {
      const consumer = createBullmqConsumer({
        queueName,
        store,
        timings: { ...DEFAULT_TIMINGS, ...options.timings },
        report,
        consume,
      });
      consumers.add(consumer);
      return {
        async close(graceMs) {
          await consumer.close(graceMs);
          consumers.delete(consumer);
        },
      };
    },
    async counts() {
      const counts = await ask((queue) => queue.getJobCounts("waiting", "prioritized", "delayed", "active"));
      return {
        waiting: (counts["waiting"] ?? 0) + (counts["prioritized"] ?? 0),
        delayed: counts["delayed"] ?? 0,
        active: counts["active"] ?? 0,
      };
    },
    async ping() {
      await ask(() => store.ping());
    },
    async check() {
      const problems = await ask(() => store.problems());
      for (const problem of problems) report(new Error(problem));
      return { ok: problems.length === 0, problems };
    },
    close() {
      closing ??= close();
      return closing;
    },
  };
}

function openStore(backend: PostgresQueueBackend | RedisQueueBackend, report: ReportFault): QueueStore {
  return backend.kind === "redis" ? createRedisStore(backend, report) : createPostgresStore(backend, report);
}

async function connectProducer(store: QueueStore, queueName: string, report: ReportFault): Promise<Producer> {
  const queue: Producer = new Queue(
    queueName,
    // Nobody reads BullMQ's own event stream.
    { connection: {}, prefix: store.prefix, streams: { events: { maxLen: 100 } } },
    store.producer().backendFactory,
  );
  queue.on("error", report);
  try {
    await queue.waitUntilReady();
    return queue;
  } catch (error) {
    await queue.close().catch(report);
    throw error;
  }
}

/** BullMQ's id of one generation of a job. */
function deliveryId(job: QueuedJob): string {
  if (!/^[\w-]+$/.test(job.jobId) || !Number.isSafeInteger(job.generation)) {
    throw new RangeError("a queued job needs an id of letters, digits, - and _, and an integer generation");
  }
  return `${job.jobId}-${job.generation}`;
}
