import { type ChildProcess, fork } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type BullmqJobQueue, createBullmqJobQueue } from "../../src/platform/job-queue/bullmq.js";
import type { ConsumerTimings } from "../../src/platform/job-queue/bullmq-consumer.js";
import type { Delivery, JobConsumer, Outcome, QueuedJob } from "../../src/platform/job-queue/job-queue.js";
import { type JobQueueStore, openBackend, type StoreAddress } from "./job-queue-stores.js";

/** The queues and worker processes of one test. */
export interface QueueBench {
  readonly queueName: string;
  /** What the queues complained about. */
  readonly errors: readonly Error[];
  openQueue(options?: {
    readonly address?: StoreAddress;
    readonly name?: string;
    readonly lockMs?: number;
  }): BullmqJobQueue;
  /** Resolves with the next complaint. */
  complaint(): Promise<void>;
  /** Starts a worker process, waits until it runs a job, kills it with SIGKILL, and gives back the job. */
  killWorkerInJob(): Promise<QueuedJob>;
  close(): Promise<void>;
}

/** How long the lock of a job lasts in tests about workers that die. */
export const SHORT_LOCK_MS = 1_500;

/** Opens a bench on a queue of that name in `store`. */
export function createQueueBench(store: JobQueueStore, queueName: string): QueueBench {
  const errors: Error[] = [];
  const complaints = new EventEmitter();
  const closers: (() => Promise<void>)[] = [];
  const children: ChildProcess[] = [];

  return {
    queueName,
    errors,
    openQueue(options = {}) {
      const { backend, close } = openBackend(options.address ?? store.address);
      const queue = createBullmqJobQueue({
        backend,
        queueName: options.name ?? queueName,
        onError(error) {
          errors.push(error);
          complaints.emit("complaint");
        },
        timings: timings(options.lockMs),
      });
      closers.push(async () => {
        await queue.close();
        await close();
      });
      return queue;
    },
    async complaint() {
      if (errors.length === 0) await once(complaints, "complaint");
    },
    async killWorkerInJob() {
      const options = { address: store.address, queueName, timings: timings(SHORT_LOCK_MS) };
      const child = fork(
        fileURLToPath(new URL("job-worker.ts", import.meta.url)),
        [JSON.stringify(options)],
        {
          execArgv: ["--import", new URL("typescript-loader.mjs", import.meta.url).href],
        },
      );
      children.push(child);
      const [told] = (await once(child, "message")) as [{ started?: QueuedJob }];
      if (!told.started) throw new Error(`the worker did not start a job: ${JSON.stringify(told)}`);
      child.kill("SIGKILL");
      await once(child, "exit");
      return told.started;
    },
    async close() {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(closers.map((close) => close()));
    },
  };
}

function timings(lockMs = 15_000): ConsumerTimings {
  return { lockMs, stalledCheckMs: lockMs / 3, backoffMs: 40, maxBackoffMs: 400 };
}

/** What a consumer was told, with ways to wait for more of it. */
export interface Told {
  readonly deliveries: readonly QueuedJob[];
  readonly crashed: readonly QueuedJob[];
  readonly consumer: JobConsumer;
  /** Resolves when there were so many deliveries. */
  delivered(count: number): Promise<void>;
  /** Resolves when so many jobs were given up. */
  gaveUp(count: number): Promise<void>;
}

/** Consumes `queue` and keeps what it is told; `process` gets the number of the delivery, from 1. */
export function consume(
  queue: BullmqJobQueue,
  process: (delivery: Delivery, nth: number) => Promise<Outcome> | Outcome = () => ({ kind: "done" }),
  concurrency = 1,
): Told {
  const deliveries: QueuedJob[] = [];
  const crashed: QueuedJob[] = [];
  const changed = new EventEmitter().setMaxListeners(0);
  const until = async (list: readonly unknown[], count: number): Promise<void> => {
    while (list.length < count) await once(changed, "change");
  };
  const consumer = queue.consume({
    concurrency,
    async process(delivery) {
      deliveries.push({ jobId: delivery.jobId, generation: delivery.generation });
      changed.emit("change");
      return process(delivery, deliveries.length);
    },
    onCrashed(job) {
      crashed.push(job);
      changed.emit("change");
      return Promise.resolve();
    },
  });
  return {
    deliveries,
    crashed,
    consumer,
    delivered: (count) => until(deliveries, count),
    gaveUp: (count) => until(crashed, count),
  };
}

/** A promise that is settled from outside. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

/** A closed gate. */
export function createGate(): Gate {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Tries until it works; the test's own time-out ends it. For what nobody announces. */
export async function eventually<R>(attempt: () => R | Promise<R>): Promise<R> {
  for (;;) {
    try {
      return await attempt();
    } catch {
      await delay(25);
    }
  }
}
