import { sleep } from "./backoff.js";
import type { CallOptions } from "./caller.js";
import { AtelierError } from "./errors.js";
import type { Job, JobLogEntry } from "./generated/api.js";

/** How a run is followed. */
export interface RunOptions {
  /** Stops following; the job itself goes on unless `cancelOnAbort` is set. */
  readonly signal?: AbortSignal | undefined;
  /** Cancels the job when `signal` is aborted; default false. */
  readonly cancelOnAbort?: boolean;
  /** Called with every piece of output, in order. */
  readonly onOutput?: (entry: JobLogEntry) => void;
  /** Called when status, attempt or progress changed. */
  readonly onProgress?: (job: Job) => void;
}

/** A job being followed. Iterating gives its output piece by piece, from the first one, until it has ended. */
export interface JobRun<J extends Job = Job> extends AsyncIterable<JobLogEntry> {
  /** The job as it was accepted. @throws AtelierError when it was refused. */
  readonly accepted: Promise<J>;
  /** The job once it has ended: `completed`, `failed` or `cancelled`. */
  readonly result: Promise<J>;
  /** Cancels the job. */
  cancel(): Promise<void>;
}

/** What a run needs of the API. */
export interface JobSource {
  get(jobId: string, options?: CallOptions): Promise<Job>;
  cancel(jobId: string, options?: CallOptions): Promise<Job>;
  logs(jobId: string, after?: number, options?: CallOptions): Promise<readonly JobLogEntry[]>;
}

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 1_000;

/** Follows the job that `begin` gives, by asking: often at first and after output, then once a second. */
export function createJobRun(source: JobSource, begin: () => Promise<Job>, options: RunOptions): JobRun {
  const { signal } = options;
  const entries: JobLogEntry[] = [];
  const waiting = new Set<() => void>();
  let over = false;

  const accepted = begin();
  const result = follow();
  // Whoever only iterates, or only awaits one of the two, hears of a failure there.
  accepted.catch(() => undefined);
  result
    .catch(() => undefined)
    .finally(() => {
      over = true;
      wake();
    });
  if (options.cancelOnAbort === true)
    signal?.addEventListener("abort", () => void cancel().catch(() => undefined));

  function wake(): void {
    for (const each of waiting) each();
    waiting.clear();
  }

  async function follow(): Promise<Job> {
    let job = await accepted;
    let told = "";
    let wait = FIRST_WAIT_MS;
    for (;;) {
      // The status is read first: what an ended job has said is all there.
      job = await source.get(job.id, { signal });
      const news = await source.logs(job.id, entries.at(-1)?.seq ?? 0, { signal });
      for (const entry of news) {
        entries.push(entry);
        options.onOutput?.(entry);
      }
      const state = `${job.status} ${job.attempt} ${job.progress} ${job.progressMessage}`;
      if (state !== told) options.onProgress?.(job);
      wake();
      if (job.finishedAt !== null && isEnd(job)) return job;
      wait = news.length > 0 || state !== told ? FIRST_WAIT_MS : Math.min(LONGEST_WAIT_MS, wait * 1.5);
      told = state;
      await sleep(wait, signal);
    }
  }

  async function cancel(): Promise<void> {
    const { id } = await accepted;
    try {
      await source.cancel(id);
    } catch (error) {
      // It ended by itself a moment before.
      if (!(error instanceof AtelierError) || error.code !== "job_not_cancellable") throw error;
    }
  }

  async function* output(): AsyncGenerator<JobLogEntry, void> {
    for (let next = 0; ; ) {
      const entry = entries[next];
      if (entry) {
        next += 1;
        yield entry;
      } else if (over) {
        await result;
        return;
      } else await new Promise<void>((resolve) => waiting.add(resolve));
    }
  }

  return { accepted, result, cancel, [Symbol.asyncIterator]: output };
}

function isEnd({ status }: Job): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}
