import {
  decodeEntry,
  type EventLog,
  type StreamEntry,
  type StreamPosition,
} from "../platform/event-log/event-log.js";
import type { PubSub, Unsubscribe } from "../platform/pubsub/pubsub.js";

/** What a feed tells its owner. */
export interface FeedListener {
  /** The next entry: seq is the previous one's plus 1, epoch the same. */
  entry(entry: StreamEntry): void;
  /** History was lost between `entry` calls; the stream goes on after `position`. */
  reset(position: StreamPosition): void;
  /** A hole in what pub/sub brought was filled from the log, or could not be yet. */
  repaired(outcome: "filled" | "failed"): void;
}

/** A stream followed in order. */
export interface Feed {
  /** Where the feed stands: the last entry handed on. */
  readonly position: StreamPosition;
  /** Compares with the log and hands on what pub/sub did not bring. Never rejects. */
  catchUp(): Promise<void>;
  close(): Promise<void>;
}

/** Messages kept while a hole is being filled; beyond, the log is read again. */
const MAX_HELD = 2_000;

/**
 * Follows one stream of the event log over pub/sub, which may lose, double, delay and reorder messages: entries are handed
 * on once and in seq order, holes are filled from the log.
 *
 * @throws AppError `dependency_unavailable` when the log cannot be read or the channel not be subscribed.
 */
export async function openFeed(
  deps: { readonly log: EventLog; readonly pubsub: PubSub },
  stream: string,
  listener: FeedListener,
): Promise<Feed> {
  const { log, pubsub } = deps;
  const held = new Map<number, StreamEntry>();
  let position: StreamPosition | undefined;
  let repairing: Promise<void> | undefined;
  let again = false;
  let closed = false;

  function hand(entry: StreamEntry): void {
    position = { epoch: entry.epoch, seq: entry.seq };
    listener.entry(entry);
  }

  function release(): void {
    while (position) {
      const next = held.get(position.seq + 1);
      if (!next) break;
      held.delete(next.seq);
      hand(next);
    }
    if (held.size > 0 && position) for (const seq of held.keys()) if (seq <= position.seq) held.delete(seq);
  }

  function receive(message: Buffer): void {
    if (closed) return;
    const entry = decodeEntry(message);
    if (!entry) return;
    // Before the first position is known, and for another epoch, the log decides what this message means.
    if (!position || entry.epoch !== position.epoch) {
      void repair();
      return;
    }
    if (entry.seq <= position.seq) return;
    if (entry.seq === position.seq + 1) {
      hand(entry);
      if (held.size > 0) release();
      return;
    }
    if (held.size < MAX_HELD) held.set(entry.seq, entry);
    void repair();
  }

  function repair(): Promise<void> {
    if (repairing) {
      again = true;
      return repairing;
    }
    repairing = (async () => {
      do {
        again = false;
        try {
          await repairOnce();
        } catch {
          listener.repaired("failed");
        }
      } while (again && !closed);
    })().finally(() => {
      repairing = undefined;
    });
    return repairing;
  }

  async function repairOnce(): Promise<void> {
    if (!position || closed) return;
    const asked = position;
    const slice = await log.readAfter(stream, asked);
    if (closed) return;
    if (!slice.complete) {
      held.clear();
      position = slice.head;
      listener.reset(slice.head);
      return;
    }
    let filled = false;
    for (const entry of slice.entries) {
      if (entry.seq === position.seq + 1) {
        hand(entry);
        filled = true;
      }
    }
    release();
    if (filled) listener.repaired("filled");
  }

  // Subscribe first, then ask where the stream stands: what is published in between arrives, and is repaired if not.
  const unsubscribe: Unsubscribe = await pubsub.subscribe(log.channelOf(stream), receive);
  try {
    position = await log.position(stream);
  } catch (error) {
    closed = true;
    await unsubscribe().catch(() => undefined);
    throw error;
  }
  const start = position;
  return {
    get position() {
      return position ?? start;
    },
    catchUp: repair,
    async close() {
      closed = true;
      await unsubscribe().catch(() => undefined);
    },
  };
}
