import { DelayedError, type IQueueBackend, type Job, type JobProgress, Worker } from "bullmq";
import { type QueueStore, type ReportFault, type StoreLink, settledWithin } from "./bullmq-store.js";
import type { Delivery, JobConsumer, JobQueue, Outcome, QueuedJob } from "./job-queue.js";

/** How patient a consumer is; the defaults are those of the service, tests shorten them. */
export interface ConsumerTimings {
  /** A job whose lock was not renewed for so long counts as abandoned. Default 15 s. */
  readonly lockMs: number;
  /** How often abandoned jobs are looked for. Default 10 s. */
  readonly stalledCheckMs: number;
  /** First delay after a processor threw; doubled every time. Default 1 s. */
  readonly backoffMs: number;
  /** Longest such delay. Default 60 s. */
  readonly maxBackoffMs: number;
}

/** What {@link createBullmqConsumer} needs. */
export interface BullmqConsumerOptions {
  readonly queueName: string;
  readonly store: QueueStore;
  readonly timings: ConsumerTimings;
  readonly report: ReportFault;
  readonly consume: Parameters<JobQueue["consume"]>[0];
}

/** One job may take its worker down once; the second time it is given up. */
const MAX_CRASHES = 1;
/** Pause after a failed attempt to fetch a job or to start. */
const RETRY_PAUSE_MS = 1_000;
/** What running processors get to react to their abort signal when the grace is over. */
const ABORT_PATIENCE_MS = 1_000;
/** How long the store may take to answer while closing. */
const STORE_PATIENCE_MS = 2_000;

/** One delivery that is being processed. */
interface Running {
  readonly controller: AbortController;
  /** True when the store gave the job to somebody else. */
  lost: boolean;
  /** Ends the wait for a processor that does not come back. */
  release(): void;
  /** Settles with the processor. */
  readonly work: Promise<unknown>;
}

type Fetched = Job<QueuedJob, void, string, JobProgress>;

class QueueWorker extends Worker<QueuedJob, void, string, IQueueBackend, JobProgress, object> {
  /** Fetching must not fail in a tight loop: BullMQ tries again at once after any error it takes for none of the connection. */
  protected override async moveToActive(token: string, name?: string): Promise<Fetched> {
    try {
      return await super.moveToActive(token, name);
    } catch (error) {
      await pause(RETRY_PAUSE_MS);
      throw error;
    }
  }

  /** Ends the renewal of locks when `close` cannot get that far because the store does not answer. */
  async abandon(): Promise<void> {
    await this.lockManager.close();
  }
}

/** Starts a BullMQ worker and keeps starting it until the store is there. */
export function createBullmqConsumer(options: BullmqConsumerOptions): JobConsumer {
  const { store, report, timings } = options;
  const running = new Map<string, Running>();
  let closing: Promise<void> | undefined;
  let stopped = false;
  let worker: QueueWorker | undefined;
  let link: StoreLink | undefined;

  async function start(): Promise<void> {
    while (!stopped) {
      let attempt: QueueWorker | undefined;
      try {
        await store.ready();
        link ??= store.consumer();
        attempt = openWorker(link);
        worker = attempt;
        // BullMQ remembers a first connection that failed and then never works, so such a worker is replaced.
        await attempt.waitUntilReady();
        if (!stopped) attempt.run().catch(report);
        return;
      } catch (error) {
        report(error);
        worker = undefined;
        await attempt?.close(true).catch(report);
        if (!stopped) await pause(RETRY_PAUSE_MS);
      }
    }
  }

  function openWorker(to: StoreLink): QueueWorker {
    const opened = new QueueWorker(
      options.queueName,
      (job, token) => process(job, token ?? ""),
      {
        connection: {},
        prefix: store.prefix,
        autorun: false,
        concurrency: options.consume.concurrency,
        lockDuration: timings.lockMs,
        stalledInterval: timings.stalledCheckMs,
        // Crashes are counted here (`stalledCounter`), because BullMQ would end the job before anybody was told.
        maxStalledCount: 1_000_000,
        runRetryDelay: RETRY_PAUSE_MS,
        settings: { backoffStrategy: (attempt) => backoff(attempt, timings) },
      },
      to.backendFactory,
    );
    opened.on("error", report);
    opened.on("lockRenewalFailed", (ids) => {
      for (const id of ids) lose(id);
    });
    return opened;
  }

  function lose(id: string): void {
    const delivery = running.get(id);
    if (!delivery) return;
    delivery.lost = true;
    delivery.controller.abort(new Error("another worker has the job"));
  }

  async function process(job: Fetched, token: string): Promise<void> {
    const id = job.id ?? "";
    // Fetched in the moment the consumer was closed, or given back while its former run here has not come to its end.
    if (stopped) return postpone(job, token, 0);
    if (running.has(id)) return postpone(job, token, RETRY_PAUSE_MS);

    const controller = new AbortController();
    let release = (): void => {};
    const released = new Promise<"released">((resolve) => {
      release = () => resolve("released");
    });
    const work = run(job, controller.signal)
      .catch((error: unknown) => ({ kind: "failed", error }) as const)
      .finally(() => running.delete(id));
    const delivery: Running = { controller, lost: false, release, work };
    running.set(id, delivery);

    const outcome = await Promise.race([work, released]);
    if (delivery.lost) throw new DelayedError();
    if (outcome === "released") return postpone(job, token, 0);
    if (outcome.kind === "again") return postpone(job, token, outcome.delayMs);
    if (outcome.kind === "failed") {
      if (controller.signal.aborted) return postpone(job, token, 0);
      report(outcome.error);
      // The queue keeps this message; what the processor said stays in the log.
      throw new Error("processor failed");
    }
  }

  async function run(job: Fetched, signal: AbortSignal): Promise<Outcome> {
    const queued: QueuedJob = { jobId: job.data.jobId, generation: job.data.generation };
    if (job.stalledCounter > MAX_CRASHES) {
      await options.consume.onCrashed(queued);
      return { kind: "done" };
    }
    const delivery: Delivery = { ...queued, signal };
    return options.consume.process(delivery);
  }

  async function stop(graceMs: number): Promise<void> {
    stopped = true;
    const current = worker;
    if (current) {
      const closed = current.close();
      closed.catch(report);
      if (!(await settledWithin(graceMs, drained()))) {
        for (const delivery of running.values()) {
          delivery.controller.abort(new Error("the worker is stopping"));
        }
        await settledWithin(ABORT_PATIENCE_MS, drained());
        for (const delivery of running.values()) delivery.release();
      }
      if (!(await settledWithin(STORE_PATIENCE_MS, closed))) await current.abandon();
    }
    link?.disconnect();
    await settledWithin(STORE_PATIENCE_MS, started);
  }

  async function drained(): Promise<void> {
    await Promise.all([...running.values()].map((delivery) => delivery.work));
  }

  const started = start();
  started.catch(report);

  return {
    close(graceMs) {
      closing ??= stop(graceMs);
      return closing;
    },
  };
}

/** Puts the job back without counting a failure; also wakes idle workers, which BullMQ's `moveToWait` does not. */
async function postpone(job: Fetched, token: string, delayMs: number): Promise<never> {
  await job.moveToDelayed(Date.now() + delayMs, token);
  throw new DelayedError();
}

function backoff(attempt: number, timings: ConsumerTimings): number {
  const full = Math.min(timings.backoffMs * 2 ** Math.min(attempt - 1, 30), timings.maxBackoffMs);
  return Math.round(full * (0.75 + Math.random() * 0.25));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
