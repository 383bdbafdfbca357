import { describe, expect, it } from "@jest/globals";
import {
  type EventLog,
  encodeEntry,
  type KnownPosition,
  type StreamEntry,
  type StreamPosition,
} from "../platform/event-log/event-log.js";
import { createMemoryEventLog } from "../platform/event-log/memory.js";
import { createMemoryPubSub } from "../platform/pubsub/memory.js";
import { openFeed } from "./feed.js";

function bench(change: (log: EventLog) => Partial<EventLog> = () => ({})) {
  const pubsub = createMemoryPubSub({
    onError: (error) => {
      throw error;
    },
  });
  const inner = createMemoryEventLog({ pubsub, clock: { now: () => 0 } });
  const asked: KnownPosition[] = [];
  const log: EventLog = {
    ...inner,
    readAfter(stream, after, limit) {
      asked.push(after);
      return inner.readAfter(stream, after, limit);
    },
    ...change(inner),
  };
  const entries: StreamEntry[] = [];
  const resets: StreamPosition[] = [];
  const open = () =>
    openFeed({ log, pubsub }, "s", {
      entry: (entry) => entries.push(entry),
      reset: (position) => resets.push(position),
      repaired() {},
    });
  return { pubsub, log: inner, asked, entries, resets, open };
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 5));

describe("openFeed", () => {
  it("[RT90] an entry that is published between the reading of the position and its answer is handed on", async () => {
    const { entries, open } = bench((log) => ({
      async position(stream) {
        const position = await log.position(stream);
        await log.append(stream, "early", "x");
        await turn();
        return position;
      },
    }));
    await open();
    await turn();
    expect(entries.map(({ id }) => id)).toEqual(["early"]);
  });

  it("[RT91] a message that comes twice asks nobody; another entry under its seq lets the log decide, by the id", async () => {
    const { pubsub, log, asked, entries, open } = bench();
    const feed = await open();
    const { epoch } = await log.append("s", "a", "x");
    await log.append("s", "b", "x");
    await turn();
    const again = (id: string) =>
      pubsub.publish(log.channelOf("s"), encodeEntry({ epoch, seq: 1, id, data: "x" }));
    await again("a");
    await turn();
    expect(asked).toEqual([]);
    await again("other");
    await turn();
    expect(asked).toEqual([{ epoch, seq: 2, id: "b" }]);
    expect(entries.map(({ id }) => id)).toEqual(["a", "b"]);
    await feed.close();
  });

  it("[RT91] the id of the newest entry is known from the start", async () => {
    const { log, asked, open } = bench();
    await log.append("s", "a", "x");
    const { epoch, seq } = await log.append("s", "b", "x");
    const feed = await open();
    await feed.catchUp();
    expect(asked.at(-1)).toEqual({ epoch, seq, id: "b" });
  });
});
