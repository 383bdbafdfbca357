import type { PubSub, Unsubscribe } from "../platform/pubsub/pubsub.js";

/** Rings when something about a job may have changed, for those who then read it from the database. */
export interface JobBell {
  /** Tells every node. Does not wait; when it is lost, the listeners' own look finds the change. */
  ring(jobId: string): void;
  /** Listens until `end`. */
  listen(jobId: string): JobListener;
}

/** One who waits for a job's bell. */
export interface JobListener {
  /** Counts the rings: what was read before the last one may be old. */
  readonly rings: number;
  /** Resolves at the next ring, after `ms`, or when `signal` is aborted. */
  next(ms: number, signal: AbortSignal): Promise<void>;
  end(): void;
}

/** One job that is listened to on this node. */
interface Line {
  rings: number;
  listeners: number;
  readonly waiting: Set<() => void>;
  subscription: Promise<Unsubscribe> | undefined;
}

/** Bells over pub/sub; a node subscribes to a job only while somebody there listens. */
export function createJobBell(pubsub: Pick<PubSub, "publish" | "subscribe">): JobBell {
  const lines = new Map<string, Line>();
  const channelOf = (jobId: string) => `job-bell:${jobId}`;

  function connect(jobId: string, line: Line): void {
    line.subscription ??= pubsub.subscribe(channelOf(jobId), () => {
      line.rings += 1;
      for (const wake of line.waiting) wake();
    });
    // The link is away; the next wait tries again.
    line.subscription.catch(() => {
      line.subscription = undefined;
    });
  }

  return {
    ring(jobId) {
      pubsub.publish(channelOf(jobId), "").catch(() => undefined);
    },
    listen(jobId) {
      const line: Line = lines.get(jobId) ?? {
        rings: 0,
        listeners: 0,
        waiting: new Set(),
        subscription: undefined,
      };
      lines.set(jobId, line);
      line.listeners += 1;
      connect(jobId, line);
      let ended = false;
      let heard = line.rings;
      return {
        get rings() {
          heard = line.rings;
          return heard;
        },
        next(ms, signal) {
          connect(jobId, line);
          if (line.rings !== heard || signal.aborted) return Promise.resolve();
          return new Promise((resolve) => {
            const done = () => {
              clearTimeout(timer);
              line.waiting.delete(done);
              signal.removeEventListener("abort", done);
              resolve();
            };
            const timer = setTimeout(done, ms);
            line.waiting.add(done);
            signal.addEventListener("abort", done, { once: true });
          });
        },
        end() {
          if (ended) return;
          ended = true;
          line.listeners -= 1;
          if (line.listeners > 0) return;
          lines.delete(jobId);
          line.subscription?.then((unsubscribe) => unsubscribe()).catch(() => undefined);
        },
      };
    },
  };
}
