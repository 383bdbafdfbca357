import type { EventConsumer } from "../events/dispatcher.js";
import type { Logger } from "../platform/observability/logger.js";
import type { ActivityEntry, ActivityStore } from "./store/activity-store.js";

/** An event of a socket, as far as the log cares. */
export interface RecordedEvent {
  /** UUID; the entry's id. */
  readonly id: string;
  readonly projectId: string;
  readonly userId: string | null;
  readonly type: string;
  readonly payload: unknown;
  /** RFC 3339. */
  readonly timestamp: string;
}

/** Feeds the activity log. */
export interface ActivityRecorder {
  /** Domain events, from the outbox: at least once, kept once by id. */
  readonly consumer: EventConsumer;
  /** An event sent over a socket: kept in batches, off the socket path. */
  record(event: RecordedEvent): void;
  /** Writes what is waiting. */
  close(): Promise<void>;
}

const BATCH = 500;
const FLUSH_MS = 100;
const RETRY_MS = 1_000;
/** Events of sockets that wait while the store is away; beyond, the oldest are given up, and that is said. */
const MAX_WAITING = 50_000;
const MAX_PAYLOAD_BYTES = 16 * 1024;

/** The recorder over an `ActivityStore`. */
export function createActivityRecorder(deps: { store: ActivityStore; logger: Logger }): ActivityRecorder {
  const { store, logger } = deps;
  let waiting: ActivityEntry[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  let dropped = 0;

  function schedule(ms: number): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      writing = writing.then(flush);
    }, ms);
  }

  async function flush(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, BATCH);
      try {
        await store.append(batch);
      } catch (error) {
        logger.warn("activity waits for its store", { waiting: waiting.length, error });
        schedule(RETRY_MS);
        return;
      }
      waiting = waiting.slice(batch.length);
    }
    if (dropped > 0) logger.error("activity entries were given up while the store was away", { dropped });
    dropped = 0;
  }

  return {
    consumer: {
      name: "activity",
      async handle(events) {
        const entries = events.flatMap(
          ({ id, projectId, userId, type, payload, createdAt }): ActivityEntry[] =>
            projectId === null ? [] : [{ id, projectId, userId, type, payload, createdAt }],
        );
        if (entries.length > 0) await store.append(entries);
      },
    },
    record(event) {
      if (waiting.length >= MAX_WAITING) {
        waiting.shift();
        dropped += 1;
      }
      const { id, projectId, userId, type } = event;
      waiting.push({
        id,
        projectId,
        userId,
        type,
        payload: bounded(event.payload),
        createdAt: Date.parse(event.timestamp),
      });
      schedule(FLUSH_MS);
    },
    async close() {
      clearTimeout(timer);
      timer = undefined;
      await writing;
      await flush();
      clearTimeout(timer);
    },
  };
}

/** A payload that fits the log; of a larger one only its size is kept. */
function bounded(payload: unknown): Readonly<Record<string, unknown>> {
  const bytes = Buffer.byteLength(JSON.stringify(payload) ?? "");
  return bytes > MAX_PAYLOAD_BYTES ? { omittedBytes: bytes } : (payload as Record<string, unknown>);
}
