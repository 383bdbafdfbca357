import { randomBytes } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { RedisConnections } from "../redis/redis.js";
import {
  DEFAULT_EVENT_LOG_WINDOW,
  DEFAULT_READ_LIMIT,
  type EventLog,
  type EventLogWindow,
  eventChannel,
  type StreamEntry,
  type StreamPosition,
} from "./event-log.js";
import { APPEND, POSITION, READ_AFTER } from "./scripts.js";

/** One entry as XRANGE gives it: `<seq>-0`, then i, id, t, time, d, data. */
type RawEntry = readonly [string, readonly [string, string, string, string, string, string]];

const SEEN_STREAMS = 10_000;
/** Entries per read: a long catch-up must not hold Redis up for the others. */
const PAGE = 250;

/**
 * The event log over all nodes, on Redis: one script, and so one round trip, per append, which also publishes to the
 * channel that a PubSub on the same connections listens to. `close` leaves the connections to their owner.
 */
export function createRedisEventLog(options: {
  readonly redis: RedisConnections;
  readonly window?: EventLogWindow;
}): EventLog {
  const { redis } = options;
  const { maxEntries, maxAgeMs } = options.window ?? DEFAULT_EVENT_LOG_WINDOW;
  const append = redis.script("atelierEventAppend", 2, APPEND);
  const read = redis.script("atelierEventRead", 2, READ_AFTER);
  const position = redis.script("atelierEventPosition", 2, POSITION);
  const seen = new LRUCache<string, StreamPosition>({ max: SEEN_STREAMS });
  const nonce = randomBytes(9).toString("base64url");
  let births = 0;

  function keysOf(stream: string): [string, string] {
    return [redis.key("events:state", stream), redis.key("events:entries", stream)];
  }
  function standing(stream: string): (string | number)[] {
    const mark = seen.get(stream);
    births += 1;
    return [`${nonce}${births.toString(36)}`, mark?.epoch ?? "", mark?.seq ?? 0, maxAgeMs];
  }
  function note(stream: string, epoch: string, seq: number): StreamPosition {
    const mark = seen.get(stream);
    if (mark?.epoch === epoch && mark.seq >= seq) return { epoch, seq };
    const here = { epoch, seq };
    seen.set(stream, here);
    return here;
  }

  return {
    async append(stream, id, data) {
      const args = [id, id.length, data, maxEntries, redis.key(eventChannel(stream))];
      const reply = await append(keysOf(stream), [...standing(stream), ...args]);
      const [epoch, seq, duplicate] = reply as [string, number, number];
      note(stream, epoch, seq);
      return { epoch, seq, duplicate: duplicate === 1 };
    },

    async readAfter(stream, after, limit = DEFAULT_READ_LIMIT) {
      const entries: StreamEntry[] = [];
      let from = Number.isSafeInteger(after.seq) ? after.seq : -1;
      for (;;) {
        const size = Math.max(1, Math.min(PAGE, limit - entries.length));
        // Once it has been compared, the pages after the first one need no comparison.
        const known = from === after.seq ? (after.id ?? "") : "";
        const reply = await read(keysOf(stream), [...standing(stream), after.epoch, from, size, known]);
        const [epoch, seq, page] = reply as [string, number, RawEntry[]?];
        const head = note(stream, epoch, seq);
        if (!page || (page.length === 0 && from < seq)) return { complete: false, head };
        for (const [number, fields] of page) {
          from += 1;
          if (Number.parseInt(number, 10) !== from) return { complete: false, head };
          entries.push({ epoch, seq: from, id: fields[1], data: fields[5] });
        }
        if (from >= seq || entries.length >= limit) return { complete: true, entries, head };
      }
    },

    async position(stream) {
      const [epoch, seq] = (await position(keysOf(stream), standing(stream))) as [string, number];
      return note(stream, epoch, seq);
    },

    channelOf: eventChannel,

    async close() {
      seen.clear();
    },
  };
}
