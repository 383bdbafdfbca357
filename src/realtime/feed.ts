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
  /** A hole in what pub/sub brought was filled from the log (page by page), or could not be yet. */
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
/** Entries read from the log at once: few enough that a long repair leaves room for the clients to read. */
const PAGE = 250;
/** Entries whose ids are remembered, to tell a message that came twice from another entry under the same seq. */
const REMEMBERED = 1_024;

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
  const handed = new RecentIds(REMEMBERED);
  let position: StreamPosition | undefined;
  let lastId: string | undefined;
  let repairing: Promise<void> | undefined;
  let again = false;
  let early = false;
  let closed = false;

  function hand(entry: StreamEntry): void {
    position = { epoch: entry.epoch, seq: entry.seq };
    lastId = entry.id;
    handed.add(entry);
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
    if (!position) {
      early = true;
      return;
    }
    // What a message of another epoch means, or one of another entry under a seq that was handed on, only the log can say.
    if (entry.epoch !== position.epoch || (entry.seq <= position.seq && !handed.has(entry))) {
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
          while (await repairPage());
        } catch {
          listener.repaired("failed");
        }
      } while (again && !closed);
    })().finally(() => {
      repairing = undefined;
    });
    return repairing;
  }

  /** True when the log has more. */
  async function repairPage(): Promise<boolean> {
    if (!position || closed) return false;
    const slice = await log.readAfter(stream, { ...position, id: lastId }, PAGE);
    if (closed) return false;
    if (!slice.complete) {
      held.clear();
      handed.clear();
      lastId = undefined;
      position = slice.head;
      listener.reset(slice.head);
      return false;
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
    return filled && position.seq < slice.head.seq;
  }

  // Subscribe first, then ask where the stream stands: what is published in between arrives, and is repaired if not.
  const unsubscribe: Unsubscribe = await pubsub.subscribe(log.channelOf(stream), receive);
  let start: StreamPosition;
  try {
    start = await log.position(stream);
    lastId = await idAt(log, stream, start);
  } catch (error) {
    closed = true;
    await unsubscribe().catch(() => undefined);
    throw error;
  }
  position = start;
  // It may have been published after the position was read.
  if (early) void repair();
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

/** Id of the entry at `position`, while it is in the window. */
async function idAt(
  log: EventLog,
  stream: string,
  { epoch, seq }: StreamPosition,
): Promise<string | undefined> {
  if (seq === 0) return undefined;
  const slice = await log.readAfter(stream, { epoch, seq: seq - 1 }, 1);
  const entry = slice.complete ? slice.entries[0] : undefined;
  return entry?.epoch === epoch && entry.seq === seq ? entry.id : undefined;
}

/** The newest entries of one epoch, by seq and a hash of the id. */
class RecentIds {
  readonly #hashes: Int32Array;
  #first = 0;
  #last = -1;

  constructor(private readonly size: number) {
    this.#hashes = new Int32Array(size);
  }

  /** The entry after the one added before, or the first. */
  add({ seq, id }: StreamEntry): void {
    if (this.#last < 0) this.#first = seq;
    this.#last = seq;
    this.#hashes[seq % this.size] = hashOf(id);
  }

  has({ seq, id }: StreamEntry): boolean {
    if (seq < this.#first || seq > this.#last || seq <= this.#last - this.size) return false;
    return this.#hashes[seq % this.size] === hashOf(id);
  }

  clear(): void {
    this.#last = -1;
  }
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 0;
}
