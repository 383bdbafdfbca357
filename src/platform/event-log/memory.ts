import { randomBytes } from "node:crypto";
import type { Clock } from "../clock.js";
import type { PubSub } from "../pubsub/pubsub.js";
import {
  DEFAULT_EVENT_LOG_WINDOW,
  DEFAULT_READ_LIMIT,
  type EventLog,
  type EventLogWindow,
  encodeEntry,
  eventChannel,
  type StreamEntry,
} from "./event-log.js";

/** One kept entry, and when it was appended. */
interface Kept extends StreamEntry {
  readonly at: number;
}

/** A ring of the newest entries: entry `seq` is at `seq % maxEntries`, and `first` is the oldest kept. */
interface Stream {
  readonly epoch: string;
  readonly ring: (Kept | undefined)[];
  readonly ids: Map<string, number>;
  first: number;
  seq: number;
  characters: number;
  usedAt: number;
}

const MAX_CHARACTERS = 128 * 1024 * 1024;

/**
 * The event log of a single process; a restart is a new epoch. Bounded per stream by the window, and over all streams
 * by `maxCharacters` of ids and data (128 Mi): beyond it the streams unused for longest go, then the oldest entries.
 */
export function createMemoryEventLog(options: {
  readonly pubsub: PubSub;
  readonly clock: Clock;
  readonly window?: EventLogWindow;
  readonly maxCharacters?: number;
}): EventLog {
  const { pubsub, clock } = options;
  const { maxEntries, maxAgeMs } = options.window ?? DEFAULT_EVENT_LOG_WINDOW;
  const maxCharacters = options.maxCharacters ?? MAX_CHARACTERS;
  /** Least recently appended first. */
  const streams = new Map<string, Stream>();
  let characters = 0;

  function dropOldest(stream: Stream): void {
    const slot = stream.first % maxEntries;
    const entry = stream.ring[slot];
    stream.ring[slot] = undefined;
    stream.first += 1;
    if (!entry) return;
    stream.ids.delete(entry.id);
    stream.characters -= sizeOf(entry);
    characters -= sizeOf(entry);
  }
  function dropStream(name: string, stream: Stream): void {
    streams.delete(name);
    characters -= stream.characters;
  }
  function dropIdle(now: number): void {
    for (const [name, stream] of streams) {
      if (stream.usedAt >= now - maxAgeMs && characters <= maxCharacters) return;
      if (streams.size === 1 && stream.usedAt >= now - maxAgeMs) return;
      dropStream(name, stream);
    }
  }
  function trim(stream: Stream, now: number): void {
    while (stream.first <= stream.seq) {
      const oldest = stream.ring[stream.first % maxEntries];
      const tooMany = stream.seq - stream.first >= maxEntries;
      if (oldest && !tooMany && oldest.at >= now - maxAgeMs && characters <= maxCharacters) return;
      dropOldest(stream);
    }
  }
  /** The stream as it stands now, born when there is none. */
  function stand(name: string): Stream {
    const now = clock.now();
    const known = streams.get(name);
    if (known && known.usedAt >= now - maxAgeMs) return known;
    if (known) dropStream(name, known);
    dropIdle(now);
    const born: Stream = {
      epoch: randomBytes(12).toString("base64url"),
      ring: [],
      ids: new Map(),
      first: 1,
      seq: 0,
      characters: 0,
      usedAt: now,
    };
    streams.set(name, born);
    return born;
  }
  function keep(name: string, stream: Stream, id: string, data: string): Kept {
    // A clock that steps back must not make older entries look younger than newer ones.
    const at = Math.max(clock.now(), stream.usedAt);
    const entry: Kept = { epoch: stream.epoch, seq: stream.seq + 1, id, data, at };
    if (entry.seq - stream.first >= maxEntries) dropOldest(stream);
    stream.seq = entry.seq;
    stream.ring[entry.seq % maxEntries] = entry;
    stream.ids.set(id, entry.seq);
    stream.characters += sizeOf(entry);
    characters += sizeOf(entry);
    stream.usedAt = at;
    // To the end of the map, which is the order in which idle streams are looked for.
    streams.delete(name);
    streams.set(name, stream);
    dropIdle(at);
    trim(stream, at);
    return entry;
  }

  return {
    async append(name, id, data) {
      const stream = stand(name);
      const original = stream.ids.get(id);
      if (original !== undefined) return { epoch: stream.epoch, seq: original, duplicate: true };
      const entry = keep(name, stream, id, data);
      // A lost message is allowed, a failed append is not: readers see the gap by seq and fill it from here.
      pubsub.publish(eventChannel(name), encodeEntry(entry)).catch(() => undefined);
      return { epoch: entry.epoch, seq: entry.seq, duplicate: false };
    },

    async readAfter(name, after, limit = DEFAULT_READ_LIMIT) {
      const stream = stand(name);
      trim(stream, clock.now());
      const head = { epoch: stream.epoch, seq: stream.seq };
      const { seq: from } = after;
      const reaches = Number.isSafeInteger(from) && from >= stream.first - 1 && from <= stream.seq;
      if (after.epoch !== stream.epoch || !reaches) return { complete: false, head };
      const entries: StreamEntry[] = [];
      for (let seq = from + 1; seq <= Math.min(stream.seq, from + Math.max(1, limit)); seq += 1) {
        const entry = stream.ring[seq % maxEntries];
        if (entry) entries.push({ epoch: entry.epoch, seq, id: entry.id, data: entry.data });
      }
      return { complete: true, entries, head };
    },

    async position(name) {
      const { epoch, seq } = stand(name);
      return { epoch, seq };
    },

    channelOf: eventChannel,

    async close() {
      streams.clear();
      characters = 0;
    },
  };
}

function sizeOf(entry: StreamEntry): number {
  return entry.id.length + entry.data.length;
}
