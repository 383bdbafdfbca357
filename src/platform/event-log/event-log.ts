/** Where a stream stands. `epoch` changes when its history was lost, so a seq only means something with its epoch. */
export interface StreamPosition {
  readonly epoch: string;
  /** Number of the newest entry; 0 when there is none. */
  readonly seq: number;
}

/** A position whose entry is known to the caller. */
export interface KnownPosition extends StreamPosition {
  /**
   * Id of the entry at `seq`. A stream that has another entry there, or none yet, came back older than it was and is born
   * anew: give it only when this process has seen the entry, never on a client's word.
   */
  readonly id?: string | undefined;
}

/** One entry of a stream. */
export interface StreamEntry extends StreamPosition {
  /** The idempotency key it was appended with. */
  readonly id: string;
  /** The bytes given to `append`, unchanged. */
  readonly data: string;
}

/** What `append` answers. */
export interface Appended extends StreamPosition {
  /** True when an entry with this id was in the window already; then seq is that entry's, and nothing was published. */
  readonly duplicate: boolean;
}

/** What `readAfter` answers. */
export type StreamSlice =
  /**
   * Every entry after the position asked for (the first `limit` of them), in order, without a hole; `head` is where
   * the stream stands.
   */
  | { readonly complete: true; readonly entries: readonly StreamEntry[]; readonly head: StreamPosition }
  /** The window does not reach back so far, the epoch is another, or the position is ahead of the stream. */
  | { readonly complete: false; readonly head: StreamPosition };

/** How much history is kept: an entry leaves when either bound is passed (give or take 1 % of it). */
export interface EventLogWindow {
  readonly maxEntries: number;
  readonly maxAgeMs: number;
}

/** The window of the service: 10,000 entries or 24 hours per stream. */
export const DEFAULT_EVENT_LOG_WINDOW: EventLogWindow = { maxEntries: 10_000, maxAgeMs: 86_400_000 };

/** Entries that `readAfter` returns at most when it is given no limit. */
export const DEFAULT_READ_LIMIT = 10_000;

/**
 * Ordered history per stream (a stream is a project's events): seq without holes, an epoch, a bounded window, idempotent
 * appends, and delivery to every node through `PubSub` on `channelOf(stream)`.
 */
export interface EventLog {
  /**
   * Numbers, keeps and publishes one entry in one atomic step; appends of one caller keep the order of the calls. `id`
   * is the idempotency key within the window. Both strings are well-formed Unicode (no lone surrogates).
   * Rejects with `dependency_unavailable` when the store is away; the entry may then have been appended or not, and a
   * retry with the same id is safe.
   */
  append(stream: string, id: string, data: string): Promise<Appended>;
  /** Entries after `after`, at most `limit` of them (default 10,000), oldest first. */
  readAfter(stream: string, after: KnownPosition, limit?: number): Promise<StreamSlice>;
  /**
   * Where the stream stands now; a stream that never was stands at seq 0 of a fresh epoch that is kept. A stream that
   * was idle for longer than the window is gone, and its epoch with it.
   */
  position(stream: string): Promise<StreamPosition>;
  /** The PubSub channel on which `append` publishes; each message is `encodeEntry(entry)`. */
  channelOf(stream: string): string;
  close(): Promise<void>;
}

/** The name of a stream's channel, the same for every adapter. */
export function eventChannel(stream: string): string {
  return `events:${stream}`;
}

/** Wire form of an entry on the PubSub channel: `<epoch> <seq> <id length in UTF-16 units> <id><data>`. */
export function encodeEntry(entry: StreamEntry): string {
  return `${entry.epoch} ${entry.seq} ${entry.id.length} ${entry.id}${entry.data}`;
}

/** The entry in a PubSub message, or undefined when the bytes are not one. */
export function decodeEntry(message: Buffer): StreamEntry | undefined {
  const text = message.toString("utf8");
  const a = text.indexOf(" ");
  const b = text.indexOf(" ", a + 1);
  const c = text.indexOf(" ", b + 1);
  if (a < 1 || b < 0 || c < 0) return undefined;
  const seq = count(text.slice(a + 1, b));
  const length = count(text.slice(b + 1, c));
  if (seq === undefined || length === undefined || c + 1 + length > text.length) return undefined;
  return {
    epoch: text.slice(0, a),
    seq,
    id: text.slice(c + 1, c + 1 + length),
    data: text.slice(c + 1 + length),
  };
}

function count(digits: string): number | undefined {
  return /^\d{1,15}$/.test(digits) ? Number(digits) : undefined;
}
