import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { createMemoryRateLimiter } from "../../src/platform/rate-limit/memory.js";
import type { RateLimiter, RateLimitPolicy } from "../../src/platform/rate-limit/rate-limiter.js";
import { createRedisRateLimiter } from "../../src/platform/rate-limit/redis.js";
import { createRedis } from "../../src/platform/redis/redis.js";
import { describeAdapter, failureOf, until } from "../kit/adapters.js";
import { missingRedisServer, type RedisTarget, redisKinds, startTestRedis } from "../kit/redis.js";

let policies = 0;
/** A policy nobody used before. */
function policy(limit: number, windowMs = 60_000): RateLimitPolicy {
  policies += 1;
  return { name: `policy-${policies}`, limit, windowMs };
}

function contract(open: () => Promise<readonly [RateLimiter, RateLimiter]>): void {
  let a: RateLimiter;
  let b: RateLimiter;
  beforeAll(async () => {
    [a, b] = await open();
  });
  afterAll(async () => {
    await a.close();
    await b.close();
  });

  it("[RL1] a limit over two nodes is one limit", async () => {
    const five = policy(5);
    const verdicts = [];
    for (let i = 0; i < 6; i += 1) verdicts.push(await (i % 2 ? a : b).consume(five, "k"));
    expect(verdicts.map(({ allowed, remaining }) => [allowed, remaining])).toEqual([
      [true, 4],
      [true, 3],
      [true, 2],
      [true, 1],
      [true, 0],
      [false, 0],
    ]);
    for (const { limit, resetMs } of verdicts) {
      expect(limit).toBe(5);
      expect(resetMs).toBeGreaterThan(0);
      expect(resetMs).toBeLessThanOrEqual(60_000);
    }
  });

  it("[RL1] of 40 concurrent calls on two nodes exactly the limit is allowed", async () => {
    const seven = policy(7);
    const verdicts = await Promise.all(
      Array.from({ length: 40 }, (_, i) => (i % 2 ? a : b).consume(seven, "k")),
    );
    expect(verdicts.filter(({ allowed }) => allowed)).toHaveLength(7);
  });

  it("[RL2] keys and policies count apart", async () => {
    const [one, other] = [policy(1), policy(1)];
    await a.consume(one, "k");
    expect((await a.consume(one, "k")).allowed).toBe(false);
    expect((await a.consume(one, "l")).allowed).toBe(true);
    expect((await a.consume(other, "k")).allowed).toBe(true);
  });

  it("[RL3] several points are taken at once, or none when fewer are left", async () => {
    const ten = policy(10);
    expect(await a.consume(ten, "k", 8)).toMatchObject({ allowed: true, remaining: 2 });
    expect(await a.consume(ten, "k", 5)).toMatchObject({ allowed: false, remaining: 2 });
    expect(await a.consume(ten, "k", 2)).toMatchObject({ allowed: true, remaining: 0 });
    expect(await a.consume(ten, "new", 11)).toMatchObject({ allowed: false, remaining: 10, resetMs: 0 });
  });

  it("[RL4] zero points only look", async () => {
    const two = policy(2);
    expect(await a.consume(two, "k", 0)).toEqual({ allowed: true, limit: 2, remaining: 2, resetMs: 0 });
    await a.consume(two, "k", 2);
    expect(await a.consume(two, "k", 0)).toMatchObject({ allowed: false, remaining: 0 });
    expect(await a.consume(two, "k", 0)).toMatchObject({ allowed: false, remaining: 0 });
  });

  it("[RL5] a refund gives points back, on any node, but never more than were taken", async () => {
    const two = policy(2);
    await a.consume(two, "k", 2);
    await b.refund(two, "k");
    expect(await a.consume(two, "k")).toMatchObject({ allowed: true, remaining: 0 });
    await Promise.all([a.refund(two, "k", 2), b.refund(two, "k", 2), a.refund(two, "new")]);
    for (const key of ["k", "new"]) {
      expect(await a.consume(two, key, 0)).toMatchObject({ remaining: 2 });
      expect((await a.consume(two, key, 3)).allowed).toBe(false);
    }
  });

  it("[RL5] refused calls cost nothing, so refunds after a rush leave the limit whole", async () => {
    const three = policy(3);
    const verdicts = await Promise.all(Array.from({ length: 12 }, () => a.consume(three, "k")));
    for (const { allowed } of verdicts) if (allowed) await a.refund(three, "k");
    expect(await a.consume(three, "k", 0)).toMatchObject({ remaining: 3 });
  });

  it("[RL6] a limit of 0 is off", async () => {
    const off = policy(0);
    for (let i = 0; i < 5; i += 1) {
      expect(await a.consume(off, "k", 100)).toEqual({ allowed: true, limit: 0, remaining: 0, resetMs: 0 });
    }
    await a.refund(off, "k");
  });

  it("[RL7] the window begins with its first point, and then all points are back", async () => {
    const short = policy(2, 1_500);
    const first = await a.consume(short, "k", 2);
    expect(first.resetMs).toBeGreaterThan(1_000);
    expect((await a.consume(short, "k")).allowed).toBe(false);
    await until(async () => (await a.consume(short, "k", 0)).remaining === 2);
    expect(await a.consume(short, "k")).toMatchObject({ allowed: true, remaining: 1 });
  });
}

describeAdapter("rate limiter in memory", undefined, () => {
  contract(async () => {
    const limiter = createMemoryRateLimiter();
    return [limiter, limiter];
  });

  it("[RL8] beyond its bound of keys the one unused for longest starts anew", async () => {
    const limiter = createMemoryRateLimiter({ maxKeys: 2 });
    const one = policy(1);
    for (const key of ["a", "b", "c"]) await limiter.consume(one, key);
    expect(await limiter.consume(one, "a", 0)).toMatchObject({ remaining: 1 });
    expect(await limiter.consume(one, "b", 0)).toMatchObject({ remaining: 0 });
    expect(await limiter.consume(one, "c", 0)).toMatchObject({ remaining: 0 });
    await limiter.close();
  });
});

for (const kind of redisKinds()) {
  describeAdapter(`rate limiter on ${kind.name}`, kind.missing, () => {
    let target: RedisTarget;
    beforeAll(async () => {
      target = await kind.open();
    });
    afterAll(() => target.close());
    contract(async () => [
      createRedisRateLimiter({ redis: target.connect() }),
      createRedisRateLimiter({ redis: target.connect() }),
    ]);

    it("[RL9] nothing is left in Redis when the window is over", async () => {
      const redis = target.connect();
      const limiter = createRedisRateLimiter({ redis });
      const short = policy(2, 1_000);
      await limiter.consume(short, "k");
      await limiter.refund(short, "k");
      await limiter.refund(short, "never");
      const key = redis.key(`rate:${short.name}:k`);
      const ttl = await redis.commands.run((client) => client.pttl(key));
      expect(ttl).toBeGreaterThan(0);
      expect(ttl).toBeLessThanOrEqual(1_000);
      expect(await redis.commands.run((client) => client.exists(redis.key(`rate:${short.name}:never`)))).toBe(
        0,
      );
    });
  });
}

describeAdapter("rate limiter while Redis is away", missingRedisServer(), () => {
  it("[RL10] limits in process, never unlimited and never an error, and then counts in Redis again", async () => {
    const server = await startTestRedis({ persistent: true });
    const redis = createRedis({ url: server.url, onError: () => undefined });
    const limiter = createRedisRateLimiter({ redis });
    const three = policy(3);
    await limiter.consume(three, "k");
    await server.stop();
    const away = [];
    for (let i = 0; i < 5; i += 1) away.push((await limiter.consume(three, "k")).allowed);
    expect(away).toEqual([true, true, true, false, false]);
    await limiter.refund(three, "k");
    expect((await limiter.consume(three, "k")).allowed).toBe(true);
    await server.restart();
    await until(async () => (await failureOf(redis.ping())).code === "no error");
    expect(await limiter.consume(three, "k")).toMatchObject({ allowed: true, remaining: 1 });
    await limiter.close();
    await redis.close();
    await server.close();
  });

  it("[RL11] a Redis that went silent delays only the first calls, and each by less than 2 s", async () => {
    const server = await startTestRedis();
    const redis = createRedis({ url: server.url, onError: () => undefined });
    const limiter = createRedisRateLimiter({ redis });
    const ten = policy(10);
    await limiter.consume(ten, "k");
    const lost = new Promise((resolve) => redis.commands.client.once("close", resolve));
    server.freeze();
    const begun = performance.now();
    expect((await limiter.consume(ten, "k")).allowed).toBe(true);
    expect(performance.now() - begun).toBeLessThan(2_000);
    await lost;
    const again = performance.now();
    expect((await limiter.consume(ten, "k")).allowed).toBe(true);
    expect(performance.now() - again).toBeLessThan(1_000);
    await limiter.close();
    await redis.close();
    await server.close();
  });
});
