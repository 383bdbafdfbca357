/** What the queue carries: the id of a row in `jobs` and its fencing number; never a user's data. */
export interface QueuedJob {
  readonly jobId: string;
  /** Bumped by every manual retry, so that one id can be queued again. */
  readonly generation: number;
}

/** How one job is queued. */
export interface EnqueueOptions {
  /** Milliseconds until it may start; default 0. */
  readonly delayMs?: number;
  /** 1 (first) … 100 (last); default 50. */
  readonly priority?: number;
}

/** What the worker's processor is told about a delivery. */
export interface Delivery extends QueuedJob {
  /** Aborted when the worker loses the job or stops without grace. */
  readonly signal: AbortSignal;
}

/** What a processor decides. */
export type Outcome =
  | { readonly kind: "done" }
  /** Deliver again after `delayMs`. */
  | { readonly kind: "again"; readonly delayMs: number };

/** A running consumer. */
export interface JobConsumer {
  /** Stops taking jobs and waits up to `graceMs` for running ones; what still runs is delivered again elsewhere. */
  close(graceMs: number): Promise<void>;
}

/**
 * Delivers job ids at least once. The row in `jobs` is the truth; a lost queue is rebuilt from it. Adding the same
 * `(jobId, generation)` twice is one delivery while the first is queued or running.
 */
export interface JobQueue {
  enqueue(job: QueuedJob, options?: EnqueueOptions): Promise<void>;
  /** Takes a waiting job out; false when it is not waiting (running, ended or unknown). */
  remove(job: QueuedJob): Promise<boolean>;
  /**
   * Starts up to `concurrency` processors. A processor that throws is delivered again with backoff. `onCrashed` is told
   * of a job whose worker died more than once while running it, instead of delivering it; when it rejects it is told
   * again with the same backoff.
   */
  consume(options: {
    readonly concurrency: number;
    readonly process: (delivery: Delivery) => Promise<Outcome>;
    readonly onCrashed: (job: QueuedJob) => Promise<void>;
  }): JobConsumer;
  /** Jobs by queue state, for metrics. */
  counts(): Promise<Readonly<Record<"waiting" | "delayed" | "active", number>>>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
