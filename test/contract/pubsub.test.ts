import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { createMemoryPubSub } from "../../src/platform/pubsub/memory.js";
import type { PubSub } from "../../src/platform/pubsub/pubsub.js";
import { createRedisPubSub } from "../../src/platform/pubsub/redis.js";
import { createRedis, type RedisConnections } from "../../src/platform/redis/redis.js";
import { describeAdapter, failureOf, until } from "../kit/adapters.js";
import { createFaultyPubSub } from "../kit/faulty-pubsub.js";
import {
  missingRedisServer,
  type RedisTarget,
  redisKinds,
  startTestRedis,
  type TestRedis,
} from "../kit/redis.js";

/** Two nodes of one deployment, and what listeners on them threw. */
interface Nodes {
  readonly a: PubSub;
  readonly b: PubSub;
  readonly errors: unknown[];
  /** Resolves when everything published so far has been delivered. */
  settle(): Promise<void>;
}

let channels = 0;
/** A channel nobody used before. */
function fresh(): string {
  channels += 1;
  return `channel-${channels}`;
}

function contract(open: () => Promise<Nodes>): void {
  let nodes: Nodes;
  beforeAll(async () => {
    nodes = await open();
  });
  afterAll(async () => {
    await nodes.a.close();
    await nodes.b.close();
  });

  async function listen(node: PubSub, channel: string): Promise<{ heard: string[]; stop(): Promise<void> }> {
    const heard: string[] = [];
    const stop = await node.subscribe(channel, (message) => heard.push(message.toString()));
    return { heard, stop };
  }

  it("[PS1] a message reaches every subscriber of its channel on every node, and nobody else", async () => {
    const channel = fresh();
    const own = await listen(nodes.a, channel);
    const twice = await listen(nodes.a, channel);
    const other = await listen(nodes.b, channel);
    const elsewhere = await listen(nodes.b, `${channel}-other`);
    await nodes.a.publish(channel, "hello");
    await nodes.settle();
    expect([own.heard, twice.heard, other.heard, elsewhere.heard]).toEqual([
      ["hello"],
      ["hello"],
      ["hello"],
      [],
    ]);
  });

  it("[PS2] a subscription is active when subscribe has resolved", async () => {
    for (let round = 0; round < 20; round += 1) {
      const channel = fresh();
      const { heard } = await listen(nodes.b, channel);
      await nodes.a.publish(channel, "at once");
      await nodes.settle();
      expect(heard).toEqual(["at once"]);
    }
  });

  it("[PS3] bytes and text arrive unchanged, as Buffers", async () => {
    const channel = fresh();
    const heard: Buffer[] = [];
    await nodes.b.subscribe(channel, (message) => heard.push(message));
    const bytes = Buffer.from(Array.from({ length: 512 }, (_, i) => i % 256));
    const large = Buffer.alloc(1024 * 1024, 0xfe);
    for (const message of [bytes, "é 漢字 🎁\0\r\n", Buffer.alloc(0), large])
      await nodes.a.publish(channel, message);
    await nodes.settle();
    expect(heard.every((message) => Buffer.isBuffer(message))).toBe(true);
    expect(heard.map((message) => message.toString("latin1"))).toEqual(
      [bytes, Buffer.from("é 漢字 🎁\0\r\n"), Buffer.alloc(0), large].map((message) =>
        message.toString("latin1"),
      ),
    );
  });

  it("[PS3] a publisher may write to its buffer again at once", async () => {
    const channel = fresh();
    const { heard } = await listen(nodes.b, channel);
    const buffer = Buffer.from("first");
    const sent = nodes.a.publish(channel, buffer);
    buffer.fill("x");
    await sent;
    await nodes.settle();
    expect(heard).toEqual(["first"]);
  });

  it("[PS4] messages of one publisher that does not wait arrive in the order of its calls", async () => {
    const channel = fresh();
    const { heard } = await listen(nodes.b, channel);
    await Promise.all(Array.from({ length: 500 }, (_, i) => nodes.a.publish(channel, `${i}`)));
    await nodes.settle();
    expect(heard).toEqual(Array.from({ length: 500 }, (_, i) => `${i}`));
  });

  it("[PS5] after unsubscribing nothing arrives, twice is harmless, and other listeners stay", async () => {
    const channel = fresh();
    const gone = await listen(nodes.b, channel);
    const stays = await listen(nodes.b, channel);
    await gone.stop();
    await gone.stop();
    await nodes.a.publish(channel, "one");
    await nodes.settle();
    await stays.stop();
    await nodes.a.publish(channel, "two");
    await nodes.settle();
    const back = await listen(nodes.b, channel);
    await gone.stop();
    await nodes.a.publish(channel, "three");
    await nodes.settle();
    expect([gone.heard, stays.heard, back.heard]).toEqual([[], ["one"], ["three"]]);
  });

  it("[PS5] the same listener may subscribe twice, and each subscription ends by itself", async () => {
    const channel = fresh();
    const heard: string[] = [];
    const listener = (message: Buffer): void => void heard.push(message.toString());
    const stop = await nodes.b.subscribe(channel, listener);
    await nodes.b.subscribe(channel, listener);
    await nodes.a.publish(channel, "both");
    await nodes.settle();
    await stop();
    await nodes.a.publish(channel, "one");
    await nodes.settle();
    expect(heard).toEqual(["both", "both", "one"]);
  });

  it("[PS5] subscribing while the last listener is leaving stays subscribed", async () => {
    const channel = fresh();
    const first = await listen(nodes.b, channel);
    const [, second] = await Promise.all([first.stop(), listen(nodes.b, channel)]);
    await nodes.a.publish(channel, "hello");
    await nodes.settle();
    expect(second.heard).toEqual(["hello"]);
  });

  it("[PS6] a listener that throws is reported and disturbs nobody", async () => {
    const channel = fresh();
    await nodes.b.subscribe(channel, () => {
      throw new Error("listener failed");
    });
    const { heard } = await listen(nodes.b, channel);
    await nodes.a.publish(channel, "one");
    await nodes.a.publish(channel, "two");
    await nodes.settle();
    expect(heard).toEqual(["one", "two"]);
    expect(nodes.errors.splice(0).map(String)).toEqual(["Error: listener failed", "Error: listener failed"]);
  });
}

/** Knows that all was delivered by sending one more message through each way. */
async function settleThrough(a: PubSub, b: PubSub): Promise<void> {
  const channel = fresh();
  let arrived = 0;
  const stops = [
    await a.subscribe(channel, () => void (arrived += 1)),
    await b.subscribe(channel, () => void (arrived += 1)),
  ];
  await a.publish(channel, "last");
  await b.publish(channel, "last");
  await until(() => arrived === 4);
  for (const stop of stops) await stop();
}

describeAdapter("pubsub in memory", undefined, () => {
  contract(async () => {
    const errors: unknown[] = [];
    const pubsub = createMemoryPubSub({ onError: (error) => errors.push(error) });
    return { a: pubsub, b: pubsub, errors, settle: () => settleThrough(pubsub, pubsub) };
  });

  it("[PS7] never delivers inside publish", async () => {
    const pubsub = createMemoryPubSub({ onError: () => undefined });
    const order: string[] = [];
    await pubsub.subscribe("c", () => void order.push("delivered"));
    const published = pubsub.publish("c", "x");
    order.push("published");
    await published;
    await until(() => order.length === 2);
    expect(order).toEqual(["published", "delivered"]);
  });
});

for (const kind of redisKinds()) {
  describeAdapter(`pubsub on ${kind.name}`, kind.missing, () => {
    let target: RedisTarget;
    beforeAll(async () => {
      target = await kind.open();
    });
    afterAll(() => target.close());

    contract(async () => {
      const errors: unknown[] = [];
      const onError = (error: unknown): void => void errors.push(error);
      const a = createRedisPubSub({ redis: target.connect(), onError });
      const b = createRedisPubSub({ redis: target.connect(), onError });
      return { a, b, errors, settle: () => settleThrough(a, b) };
    });

    it("[PS8] one channel is one subscription in Redis, which ends with its last listener", async () => {
      const redis = target.connect();
      const pubsub = createRedisPubSub({ redis, onError: () => undefined });
      const channel = fresh();
      const subscribers = async (): Promise<unknown> => {
        const reply = await redis.commands.run((client) => client.pubsub("NUMSUB", redis.key(channel)));
        return reply[1];
      };
      const stops = await Promise.all([1, 2, 3].map(() => pubsub.subscribe(channel, () => undefined)));
      expect(await subscribers()).toBe(1);
      await stops[0]?.();
      await stops[1]?.();
      expect(await subscribers()).toBe(1);
      await stops[2]?.();
      expect(await subscribers()).toBe(0);
    });
  });
}

for (const cluster of [false, true]) {
  describeAdapter(
    `pubsub while ${cluster ? "a Redis Cluster" : "Redis"} is away`,
    missingRedisServer(),
    () => {
      let server: TestRedis;
      const opened: RedisConnections[] = [];
      beforeAll(async () => {
        server = await startTestRedis({ cluster });
      });
      afterEach(async () => {
        await Promise.all(opened.splice(0).map((redis) => redis.close()));
      });
      afterAll(() => server.close());

      function connect(): RedisConnections {
        const place = cluster ? { cluster: { nodes: [`127.0.0.1:${server.port}`] } } : { url: server.url };
        const redis = createRedis({ ...place, heartbeatMs: 200, onError: () => undefined });
        opened.push(redis);
        return redis;
      }
      async function back(redis: RedisConnections): Promise<void> {
        await until(async () => (await failureOf(redis.ping())).code === "no error");
      }

      it("[PS9] publish and subscribe fail within 2 s, and a failed subscribe leaves nothing behind", async () => {
        const redis = connect();
        const pubsub = createRedisPubSub({ redis, onError: () => undefined });
        await pubsub.publish("c", "x");
        let late = 0;
        await server.stop();
        for (const call of [pubsub.publish("c", "x"), pubsub.subscribe("c", () => void (late += 1))]) {
          const failure = await failureOf(call);
          expect(failure.code).toBe("dependency_unavailable");
          expect(failure.ms).toBeLessThan(2_000);
        }
        const reconnected = new Promise<void>((resolve) => pubsub.onReconnect(resolve));
        await server.restart();
        await Promise.all([reconnected, back(redis)]);
        let heard = 0;
        await pubsub.subscribe("c", () => void (heard += 1));
        await pubsub.publish("c", "x");
        await until(() => heard > 0);
        expect([heard, late]).toEqual([1, 0]);
      });

      it("[PS10] a lost link is subscribed again before onReconnect is called", async () => {
        const redis = connect();
        const pubsub = createRedisPubSub({ redis, onError: () => undefined });
        const heard: string[] = [];
        const names = Array.from({ length: 1_200 }, () => fresh());
        await Promise.all(
          names.map((name) =>
            pubsub.subscribe(name, (message) => heard.push(`${name} ${message.toString()}`)),
          ),
        );
        const ended = await pubsub.subscribe("ended", () => heard.push("ended"));
        await ended();
        let times = 0;
        const reconnected = new Promise<void>((resolve) =>
          pubsub.onReconnect(() => {
            times += 1;
            resolve();
          }),
        );
        await server.stop("SIGKILL");
        await server.restart();
        await reconnected;
        await back(redis);
        await pubsub.publish("ended", "x");
        for (const name of names) await pubsub.publish(name, "hello");
        await until(() => heard.length >= names.length);
        expect(heard).toEqual(names.map((name) => `${name} hello`));
        expect(times).toBe(1);
      });

      it("[PS11] a link that went silent without closing is noticed, and is subscribed again", async () => {
        const redis = connect();
        const pubsub = createRedisPubSub({ redis, onError: () => undefined });
        let heard = 0;
        await pubsub.subscribe("c", () => void (heard += 1));
        const reconnected = new Promise<void>((resolve) => pubsub.onReconnect(resolve));
        const lost = new Promise((resolve) => redis.subscriber.client.once("close", resolve));
        server.freeze();
        const failure = await failureOf(pubsub.publish("c", "x"));
        expect(failure.code).toBe("dependency_unavailable");
        expect(failure.ms).toBeLessThan(2_000);
        await lost;
        server.thaw();
        await Promise.all([reconnected, back(redis)]);
        const before = heard;
        await pubsub.publish("c", "x");
        await until(() => heard > before);
      });
    },
  );
}

describe("the PubSub with faults", () => {
  /** What one subscriber hears of 200 numbered messages. */
  async function hear(
    seed: number,
    faults: Parameters<typeof createFaultyPubSub>[0]["faults"],
  ): Promise<number[]> {
    let state = seed;
    const random = (): number => {
      state = (state * 48_271) % 2_147_483_647;
      return state / 2_147_483_647;
    };
    const inner = createMemoryPubSub({ onError: () => undefined });
    const pubsub = createFaultyPubSub({ inner, faults, random });
    const heard: number[] = [];
    await pubsub.subscribe("c", (message) => heard.push(Number(message.toString())));
    for (let i = 0; i < 200; i += 1) await pubsub.publish("c", `${i}`);
    let flushed = false;
    await inner.subscribe("flush", () => void (flushed = true));
    await inner.publish("flush", "");
    await until(() => flushed);
    pubsub.release();
    return heard;
  }
  const all = Array.from({ length: 200 }, (_, i) => i);

  it("[PS12] without faults it changes nothing", async () => {
    expect(await hear(1, { loss: 0, doubling: 0, delay: 0 })).toEqual(all);
  });

  it("[PS12] it loses, doubles, delays and reorders, the same way for the same random numbers", async () => {
    const lossy = await hear(2, { loss: 0.2, doubling: 0, delay: 0 });
    expect(lossy.length).toBeLessThan(190);
    expect(lossy).toEqual([...lossy].sort((x, y) => x - y));
    const doubled = await hear(3, { loss: 0, doubling: 0.2, delay: 0 });
    expect(doubled.length).toBeGreaterThan(210);
    expect([...new Set(doubled)]).toEqual(all);
    const late = await hear(4, { loss: 0, doubling: 0, delay: 0.3 });
    expect(late).not.toEqual(all);
    expect([...late].sort((x, y) => x - y)).toEqual(all);
    expect(await hear(4, { loss: 0, doubling: 0, delay: 0.3 })).toEqual(late);
    expect(await hear(5, { loss: 0, doubling: 0, delay: 0.3 })).not.toEqual(late);
  });

  it("[PS12] a cut loses everything and mending calls onReconnect", async () => {
    const inner = createMemoryPubSub({ onError: () => undefined });
    const pubsub = createFaultyPubSub({
      inner,
      faults: { loss: 0, doubling: 0, delay: 0 },
      random: () => 0.5,
    });
    const heard: string[] = [];
    let reconnects = 0;
    pubsub.onReconnect(() => void (reconnects += 1));
    await pubsub.subscribe("c", (message) => heard.push(message.toString()));
    pubsub.cut();
    await pubsub.publish("c", "lost");
    await Promise.resolve();
    pubsub.mend();
    await pubsub.publish("c", "heard");
    await until(() => heard.length > 0);
    expect([heard, reconnects]).toEqual([["heard"], 1]);
  });
});
