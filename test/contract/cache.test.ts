import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Cache } from "../../src/platform/cache/cache.js";
import { createMemoryCache } from "../../src/platform/cache/memory.js";
import { createRedisCache } from "../../src/platform/cache/redis.js";
import { createRedis } from "../../src/platform/redis/redis.js";
import { describeAdapter, failureOf, until } from "../kit/adapters.js";
import { missingRedisServer, type RedisTarget, redisKinds, startTestRedis } from "../kit/redis.js";

/** The cache of two nodes, and how time passes for it. */
interface Nodes {
  readonly a: Cache;
  readonly b: Cache;
  readonly elapse: (ms: number) => Promise<void>;
}

const MINUTE = 60_000;

let keys = 0;
/** A key nobody used before. */
function fresh(): string {
  keys += 1;
  return `key-${keys}`;
}

function contract(open: () => Promise<Nodes>): void {
  let a: Cache;
  let b: Cache;
  let elapse: Nodes["elapse"];
  beforeAll(async () => {
    ({ a, b, elapse } = await open());
  });
  afterAll(async () => {
    await a.close();
    await b.close();
  });

  it.each([
    ["a string", "é 漢字 🎁\0\n"],
    ["an empty string", ""],
    ["zero", 0],
    ["false", false],
    ["null", null],
    ["an array", [1, "two", null]],
    ["an object", { a: { b: [1.5] }, "": "empty" }],
  ])("[CA1] %s comes back equal on every node", async (_name, value) => {
    const key = fresh();
    await a.set(key, value, MINUTE);
    expect(await b.get(key)).toEqual(value);
  });

  it("[CA1] an absent key is undefined, and set replaces", async () => {
    const key = fresh();
    expect(await a.get(key)).toBeUndefined();
    await a.set(key, 1, MINUTE);
    await b.set(key, 2, MINUTE);
    expect(await a.get(key)).toBe(2);
  });

  it("[CA2] what is stored does not change with the object that was stored or read", async () => {
    const key = fresh();
    const value = { list: [1] };
    await a.set(key, value, MINUTE);
    value.list.push(2);
    (await a.get<typeof value>(key))?.list.push(3);
    expect(await a.get(key)).toEqual({ list: [1] });
  });

  it("[CA3] entries end with their time to live, each by its own", async () => {
    const [short, long, added] = [fresh(), fresh(), fresh()];
    await a.set(short, 1, 400.5);
    await a.set(long, 1, MINUTE);
    await a.add(added, 1, 400);
    expect(await a.get(short)).toBe(1);
    await elapse(450);
    expect([await a.get(short), await a.get(long), await a.take(added)]).toEqual([undefined, 1, undefined]);
    expect(await a.add(short, 2, MINUTE)).toBe(true);
  });

  it.each([0, -5])("[CA3] a time to live of %p stores nothing and ends what was there", async (ttl) => {
    const key = fresh();
    await a.set(key, 1, MINUTE);
    await a.set(key, 2, ttl);
    expect(await a.get(key)).toBeUndefined();
    expect(await a.add(key, 3, ttl)).toBe(true);
    expect(await a.get(key)).toBeUndefined();
  });

  it("[CA4] delete forgets exactly the keys it is given", async () => {
    const [one, two, three] = [fresh(), fresh(), fresh()];
    for (const key of [one, two, three]) await a.set(key, key, MINUTE);
    await b.delete(one, two, "never-there");
    await b.delete();
    expect([await a.get(one), await a.get(two), await a.get(three)]).toEqual([undefined, undefined, three]);
  });

  it("[CA5] of 20 concurrent adds on two nodes one wins, and its value stays", async () => {
    const key = fresh();
    const won = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? a : b).add(key, i, MINUTE)));
    expect(won.filter(Boolean)).toHaveLength(1);
    expect(await a.get(key)).toBe(won.indexOf(true));
  });

  it("[CA6] of 20 concurrent takes on two nodes one gets the value", async () => {
    const key = fresh();
    await a.set(key, { ticket: 1 }, MINUTE);
    const taken = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? a : b).take(key)));
    expect(taken.filter((value) => value !== undefined)).toEqual([{ ticket: 1 }]);
    expect(await a.get(key)).toBeUndefined();
  });
}

describeAdapter("cache in memory", undefined, () => {
  contract(async () => {
    let now = 1_700_000_000_000;
    const cache = createMemoryCache({ clock: { now: () => now } });
    return {
      a: cache,
      b: cache,
      async elapse(ms) {
        now += ms;
      },
    };
  });

  it("[CA7] stays within its bound of entries and of characters, the least recently used go first", async () => {
    const few = createMemoryCache({ clock: { now: () => 0 }, maxEntries: 2 });
    await few.set("a", 1, MINUTE);
    await few.set("b", 1, MINUTE);
    await few.get("a");
    await few.set("c", 1, MINUTE);
    expect([await few.get("a"), await few.get("b"), await few.get("c")]).toEqual([1, undefined, 1]);
    const small = createMemoryCache({ clock: { now: () => 0 }, maxCharacters: 100 });
    await small.set("a", "x".repeat(60), MINUTE);
    await small.set("b", "x".repeat(60), MINUTE);
    await small.set("huge", "x".repeat(200), MINUTE);
    expect([await small.get("a"), await small.get("huge")]).toEqual([undefined, undefined]);
    expect(await small.get("b")).toBe("x".repeat(60));
  });
});

for (const kind of redisKinds()) {
  describeAdapter(`cache on ${kind.name}`, kind.missing, () => {
    let target: RedisTarget;
    beforeAll(async () => {
      target = await kind.open();
    });
    afterAll(() => target.close());

    contract(async () => ({
      a: createRedisCache({ redis: target.connect() }),
      b: createRedisCache({ redis: target.connect() }),
      elapse: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    }));

    it("[CA8] a value that is not JSON counts as absent", async () => {
      const redis = target.connect();
      const cache = createRedisCache({ redis });
      const key = fresh();
      await redis.commands.run((client) => client.set(redis.key(`cache:${key}`), "{broken"));
      expect(await cache.get(key)).toBeUndefined();
      expect(await cache.take(key)).toBeUndefined();
    });
  });
}

describe("cache while Redis is away", () => {
  describeAdapter("redis", missingRedisServer(), () => {
    it("[CA9] get is undefined, set and delete are ignored, add and take reject within 2 s; then it goes on", async () => {
      const server = await startTestRedis();
      const redis = createRedis({ url: server.url, onError: () => undefined });
      const cache = createRedisCache({ redis });
      await cache.set("k", 1, MINUTE);
      await server.stop();
      expect(await cache.get("k")).toBeUndefined();
      await cache.set("k", 2, MINUTE);
      await cache.delete("k");
      for (const call of [cache.add("k", 1, MINUTE), cache.take("k")]) {
        const failure = await failureOf(call);
        expect(failure.code).toBe("dependency_unavailable");
        expect(failure.ms).toBeLessThan(2_000);
      }
      await server.restart();
      await until(async () => (await failureOf(redis.ping())).code === "no error");
      expect(await cache.add("k", 3, MINUTE)).toBe(true);
      expect(await cache.get("k")).toBe(3);
      await redis.close();
      await server.close();
    });
  });
});
