import { afterAll, beforeAll, expect, it } from "@jest/globals";
import {
  decodeEntry,
  type EventLog,
  type EventLogWindow,
  type StreamEntry,
} from "../../src/platform/event-log/event-log.js";
import { createMemoryEventLog } from "../../src/platform/event-log/memory.js";
import { createRedisEventLog } from "../../src/platform/event-log/redis.js";
import { createMemoryPubSub } from "../../src/platform/pubsub/memory.js";
import type { PubSub } from "../../src/platform/pubsub/pubsub.js";
import { createRedisPubSub } from "../../src/platform/pubsub/redis.js";
import type { RedisConnections } from "../../src/platform/redis/redis.js";
import { describeAdapter, until } from "../kit/adapters.js";
import { type RedisTarget, redisKinds } from "../kit/redis.js";

/** One process of the deployment. */
interface Node {
  readonly log: EventLog;
  readonly pubsub: PubSub;
}

/** The store under test, shared by two nodes. */
interface Store {
  readonly nodes: readonly [Node, Node];
  readonly elapse: (ms: number) => Promise<void>;
  close(): Promise<void>;
}

const DAY: EventLogWindow = { maxEntries: 10_000, maxAgeMs: 86_400_000 };

async function memoryStore(window: EventLogWindow): Promise<Store> {
  let now = 1_700_000_000_000;
  const pubsub = createMemoryPubSub({ onError: rethrow });
  const log = createMemoryEventLog({ pubsub, clock: { now: () => now }, window });
  const node = { log, pubsub };
  return {
    nodes: [node, node],
    async elapse(ms) {
      now += ms;
    },
    async close() {
      await log.close();
      await pubsub.close();
    },
  };
}

function redisNode(redis: RedisConnections, window: EventLogWindow): Node {
  return {
    log: createRedisEventLog({ redis, window }),
    pubsub: createRedisPubSub({ redis, onError: rethrow }),
  };
}

async function redisStore(target: RedisTarget, window: EventLogWindow): Promise<Store> {
  const nodes = [redisNode(target.connect(), window), redisNode(target.connect(), window)] as const;
  return {
    nodes,
    // Redis counts time itself.
    elapse: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    async close() {
      for (const { log, pubsub } of nodes) {
        await log.close();
        await pubsub.close();
      }
    },
  };
}

function rethrow(error: unknown): never {
  throw error;
}

let streams = 0;
/** A stream nobody used before. */
function fresh(): string {
  streams += 1;
  return `stream-${streams}`;
}

async function fill(log: EventLog, stream: string, count: number, prefix = "id"): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, i) => log.append(stream, `${prefix}-${i}`, `data ${i}`)),
  );
}

function contract(open: (window: EventLogWindow) => Promise<Store>): void {
  let store: Store;
  let a: Node;
  let b: Node;
  beforeAll(async () => {
    store = await open(DAY);
    [a, b] = store.nodes;
  });
  afterAll(() => store.close());

  async function withWindow(window: EventLogWindow, work: (small: Store) => Promise<void>): Promise<void> {
    const small = await open(window);
    try {
      await work(small);
    } finally {
      await small.close();
    }
  }

  it("[EL1] a stream that never was stands at 0 of an epoch that is kept", async () => {
    const stream = fresh();
    const first = await a.log.position(stream);
    expect(first.seq).toBe(0);
    expect(first.epoch).not.toBe("");
    expect(await b.log.position(stream)).toEqual(first);
    expect((await b.log.append(stream, "1", "x")).epoch).toBe(first.epoch);
    expect((await a.log.position(fresh())).epoch).not.toBe(first.epoch);
  });

  it("[EL2] 50 concurrent appenders on two nodes leave no hole and no double number", async () => {
    const stream = fresh();
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, appender) => {
        const own: number[] = [];
        for (let i = 0; i < 10; i += 1) {
          const { log } = appender % 2 ? a : b;
          own.push((await log.append(stream, `${appender}:${i}`, "x")).seq);
        }
        return own;
      }),
    );
    for (const own of answers) expect(own).toEqual([...own].sort((x, y) => x - y));
    const all = answers.flat().sort((x, y) => x - y);
    expect(all).toEqual(Array.from({ length: 500 }, (_, i) => i + 1));
    expect((await a.log.position(stream)).seq).toBe(500);
  });

  it("[EL3] appends of one caller that does not wait keep the order of its calls", async () => {
    const stream = fresh();
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => a.log.append(stream, `${i}`, "x")),
    );
    expect(answers.map(({ seq }) => seq)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  });

  it("[EL4] an id that is in the window gets the original seq, and nothing is published", async () => {
    const stream = fresh();
    const heard: StreamEntry[] = [];
    const stop = await b.pubsub.subscribe(b.log.channelOf(stream), (message) => {
      heard.push(decodeEntry(message) as StreamEntry);
    });
    const first = await a.log.append(stream, "same", "one");
    await a.log.append(stream, "other", "two");
    const again = await b.log.append(stream, "same", "three");
    const last = await a.log.append(stream, "last", "four");
    expect(first).toEqual({ epoch: first.epoch, seq: 1, duplicate: false });
    expect(again).toEqual({ epoch: first.epoch, seq: 1, duplicate: true });
    expect(last.seq).toBe(3);
    await until(() => heard.some(({ id }) => id === "last"));
    expect(heard.map(({ id, data }) => `${id} ${data}`)).toEqual(["same one", "other two", "last four"]);
    await stop();
  });

  it("[EL4] of concurrent appends with one id exactly one is not a duplicate", async () => {
    const stream = fresh();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => (i % 2 ? a : b).log.append(stream, "same", `${i}`)),
    );
    expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    expect(new Set(answers.map(({ seq }) => seq))).toEqual(new Set([1]));
  });

  it("[EL5] every append arrives on the channel of its stream, in order, as it will be read", async () => {
    const stream = fresh();
    const heard: (StreamEntry | undefined)[] = [];
    const stop = await b.pubsub.subscribe(b.log.channelOf(stream), (message) => {
      heard.push(decodeEntry(message));
    });
    const { epoch } = await a.log.position(stream);
    await fill(a.log, stream, 200);
    await a.log.append(fresh(), "elsewhere", "x");
    await until(() => heard.length >= 200);
    const slice = await a.log.readAfter(stream, { epoch, seq: 0 });
    expect(slice).toMatchObject({ complete: true, head: { epoch, seq: 200 } });
    expect(heard).toEqual(slice.complete && slice.entries);
    await stop();
  });

  it.each([
    ["unicode", "é 漢字 🧑‍💻", "päckchen 🎁 data"],
    ["NUL and control characters", "a\0b", "\0\u0001\u001f x \0"],
    ["spaces and newlines", " 1 2 3 ", "  lines\r\nand\n\n spaces  "],
    ["what the wire form itself looks like", "epoch 7 2 ab", "epoch 7 2 abcd"],
    ["nothing", "empty", ""],
  ])("[EL6] id and data with %s are unchanged", async (_name, id, data) => {
    const stream = fresh();
    const heard: (StreamEntry | undefined)[] = [];
    const stop = await b.pubsub.subscribe(b.log.channelOf(stream), (message) => {
      heard.push(decodeEntry(message));
    });
    const { epoch } = await a.log.append(stream, id, data);
    const slice = await b.log.readAfter(stream, { epoch, seq: 0 });
    expect(slice).toEqual({
      complete: true,
      entries: [{ epoch, seq: 1, id, data }],
      head: { epoch, seq: 1 },
    });
    await until(() => heard.length > 0);
    expect(heard).toEqual([{ epoch, seq: 1, id, data }]);
    expect((await a.log.append(stream, id, "again")).duplicate).toBe(true);
    await stop();
  });

  it("[EL6] 64 KiB of data are unchanged", async () => {
    const stream = fresh();
    const data = "ü".repeat(32 * 1024);
    const { epoch } = await a.log.append(stream, "big", data);
    const slice = await b.log.readAfter(stream, { epoch, seq: 0 });
    expect(slice.complete && slice.entries[0]?.data === data).toBe(true);
  });

  it("[EL7] readAfter gives every later entry in order, over several pages", async () => {
    const stream = fresh();
    const { epoch } = await a.log.position(stream);
    await fill(a.log, stream, 1_234);
    const slice = await b.log.readAfter(stream, { epoch, seq: 100 });
    expect(slice.complete && slice.entries.map(({ seq }) => seq)).toEqual(
      Array.from({ length: 1_134 }, (_, i) => i + 101),
    );
    expect(slice.complete && slice.entries.map(({ data }) => data)).toEqual(
      Array.from({ length: 1_134 }, (_, i) => `data ${i + 100}`),
    );
    expect(slice.head).toEqual({ epoch, seq: 1_234 });
  });

  it("[EL7] readAfter at the head is complete and empty, with a limit it gives the first of them", async () => {
    const stream = fresh();
    await fill(a.log, stream, 600);
    const head = await a.log.position(stream);
    expect(await a.log.readAfter(stream, head)).toEqual({ complete: true, entries: [], head });
    const slice = await a.log.readAfter(stream, { epoch: head.epoch, seq: 10 }, 300);
    expect(slice.complete && slice.entries.map(({ seq }) => seq)).toEqual(
      Array.from({ length: 300 }, (_, i) => i + 11),
    );
    expect(slice.head).toEqual(head);
  });

  it("[EL7] while others append, a read has no hole and reaches the head it names", async () => {
    const stream = fresh();
    const { epoch } = await a.log.position(stream);
    const writing = fill(a.log, stream, 2_000);
    for (let round = 0; round < 5; round += 1) {
      const slice = await b.log.readAfter(stream, { epoch, seq: 0 });
      expect(slice.complete && slice.entries.map(({ seq }) => seq)).toEqual(
        Array.from({ length: slice.head.seq }, (_, i) => i + 1),
      );
    }
    await writing;
  });

  it("[EL8] beyond the window's entries a read is incomplete, up to it complete", async () => {
    await withWindow({ maxEntries: 50, maxAgeMs: DAY.maxAgeMs }, async ({ nodes: [node, other] }) => {
      const stream = fresh();
      const { epoch } = await node.log.position(stream);
      await fill(node.log, stream, 80);
      const head = { epoch, seq: 80 };
      expect(await other.log.readAfter(stream, { epoch, seq: 29 })).toEqual({ complete: false, head });
      const slice = await other.log.readAfter(stream, { epoch, seq: 30 });
      expect(slice.complete && slice.entries.map(({ seq }) => seq)).toEqual(
        Array.from({ length: 50 }, (_, i) => i + 31),
      );
    });
  });

  it("[EL9] ids are forgotten with the window, and only then", async () => {
    await withWindow({ maxEntries: 50, maxAgeMs: DAY.maxAgeMs }, async ({ nodes: [node] }) => {
      const stream = fresh();
      await fill(node.log, stream, 60);
      expect(await node.log.append(stream, "id-10", "again")).toMatchObject({ seq: 11, duplicate: true });
      expect(await node.log.append(stream, "id-9", "again")).toMatchObject({ seq: 61, duplicate: false });
    });
  });

  it("[EL8] beyond the window's age a read is incomplete, and its ids are forgotten", async () => {
    await withWindow({ maxEntries: 100, maxAgeMs: 2_000 }, async ({ nodes: [node], elapse }) => {
      const stream = fresh();
      const { epoch } = await node.log.position(stream);
      await fill(node.log, stream, 40, "old");
      await elapse(1_200);
      await node.log.append(stream, "middle", "x");
      await elapse(1_000);
      const { seq } = await node.log.append(stream, "young", "x");
      expect(seq).toBe(42);
      const head = { epoch, seq: 42 };
      expect(await node.log.readAfter(stream, { epoch, seq: 39 })).toEqual({ complete: false, head });
      expect(await node.log.readAfter(stream, { epoch, seq: 40 })).toMatchObject({ complete: true, head });
      expect(await node.log.append(stream, "old-39", "x")).toMatchObject({ seq: 43, duplicate: false });
      expect(await node.log.append(stream, "middle", "x")).toMatchObject({ seq: 41, duplicate: true });
    });
  });

  it("[EL10] a stream that was idle for longer than the window begins a new epoch", async () => {
    await withWindow({ maxEntries: 100, maxAgeMs: 200 }, async ({ nodes: [node], elapse }) => {
      const stream = fresh();
      const before = await node.log.append(stream, "old", "x");
      await elapse(250);
      const after = await node.log.append(stream, "old", "x");
      expect(after).toMatchObject({ seq: 1, duplicate: false });
      expect(after.epoch).not.toBe(before.epoch);
      expect(await node.log.readAfter(stream, before)).toMatchObject({ complete: false });
    });
  });

  it("[EL11] under a foreign epoch a read is incomplete", async () => {
    const stream = fresh();
    const { epoch } = await a.log.append(stream, "1", "x");
    const head = { epoch, seq: 1 };
    expect(await b.log.readAfter(stream, { epoch: "another", seq: 0 })).toEqual({ complete: false, head });
    expect(await b.log.readAfter(stream, { epoch: "", seq: 1 })).toEqual({ complete: false, head });
    const unknown = await b.log.readAfter(fresh(), head);
    expect(unknown).toMatchObject({ complete: false, head: { seq: 0 } });
  });

  it.each([2, 1_000_000, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])(
    "[EL11] from position %p, which the stream does not have, a read is incomplete",
    async (seq) => {
      const stream = fresh();
      const { epoch } = await a.log.append(stream, "1", "x");
      const answer = await b.log.readAfter(stream, { epoch, seq });
      expect(answer).toEqual({ complete: false, head: { epoch, seq: 1 } });
    },
  );
}

describeAdapter("event log in memory", undefined, () => {
  contract(memoryStore);
});

for (const kind of redisKinds()) {
  describeAdapter(`event log on ${kind.name}`, kind.missing, () => {
    let target: RedisTarget;
    beforeAll(async () => {
      target = await kind.open();
    });
    afterAll(() => target.close());
    contract((window) => redisStore(target, window));
  });
}
