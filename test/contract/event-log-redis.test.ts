import { afterAll, beforeAll, expect, it } from "@jest/globals";
import type { EventLog } from "../../src/platform/event-log/event-log.js";
import { createRedisEventLog } from "../../src/platform/event-log/redis.js";
import { createRedis, type RedisConnections } from "../../src/platform/redis/redis.js";
import { describeAdapter, failureOf, until } from "../kit/adapters.js";
import { missingRedisServer, type RedisTarget, redisKinds, startTestRedis } from "../kit/redis.js";

let streams = 0;
/** A stream nobody used before. */
function fresh(): string {
  streams += 1;
  return `stream-${streams}`;
}

function open(redis: RedisConnections): EventLog {
  return createRedisEventLog({ redis });
}

async function fill(log: EventLog, stream: string, count: number, prefix = "id"): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, i) => log.append(stream, `${prefix}-${i}`, `data ${i}`)),
  );
}

for (const kind of redisKinds()) {
  describeAdapter(`what Redis may lose of the event log, on ${kind.name}`, kind.missing, () => {
    let target: RedisTarget;
    beforeAll(async () => {
      target = await kind.open();
    });
    afterAll(() => target.close());

    it("[EL13] after Redis was flushed the epoch is another and the numbers begin again", async () => {
      const log = open(target.connect());
      const stream = fresh();
      await fill(log, stream, 5);
      const before = await log.position(stream);
      await target.flush();
      const after = await log.append(stream, "id-0", "x");
      expect(after).toMatchObject({ seq: 1, duplicate: false });
      expect(after.epoch).not.toBe(before.epoch);
      expect(await log.readAfter(stream, before)).toMatchObject({ complete: false, head: { seq: 1 } });
    });

    it("[EL13] when only the entries were evicted the epoch is another too", async () => {
      const redis = target.connect();
      const log = open(redis);
      const stream = fresh();
      const { epoch } = await log.append(stream, "1", "x");
      await redis.commands.run((client) => client.unlink(redis.key("events:entries", stream)));
      const after = await log.append(stream, "1", "x");
      expect(after).toMatchObject({ seq: 1, duplicate: false });
      expect(after.epoch).not.toBe(epoch);
    });

    it("[EL14] when Redis came back older than a node has seen it the epoch is another", async () => {
      const redis = target.connect();
      const log = open(redis);
      const stream = fresh();
      const keys = [redis.key("events:state", stream), redis.key("events:entries", stream)];
      await fill(log, stream, 3);
      const dumps = await redis.commands.run((client) =>
        Promise.all(keys.map((key) => client.dumpBuffer(key))),
      );
      const lost = await log.append(stream, "lost", "x");
      await redis.commands.run((client) =>
        Promise.all(keys.map((key, i) => client.restore(key, 0, dumps[i] ?? "", "REPLACE"))),
      );
      const next = await log.append(stream, "next", "x");
      expect(next.epoch).not.toBe(lost.epoch);
      expect(await log.readAfter(stream, lost)).toMatchObject({ complete: false });
    });

    it("[EL9] what is kept to recognise ids is bounded by the window", async () => {
      const redis = target.connect();
      const log = createRedisEventLog({ redis, window: { maxEntries: 500, maxAgeMs: 86_400_000 } });
      const stream = fresh();
      for (let round = 0; round < 4; round += 1) await fill(log, stream, 500, `round-${round}`);
      const fields = await redis.commands.run((client) => client.hlen(redis.key("events:state", stream)));
      const length = await redis.commands.run((client) => client.xlen(redis.key("events:entries", stream)));
      expect(length).toBeGreaterThanOrEqual(500);
      expect(length).toBeLessThanOrEqual(505);
      expect(fields).toBe(length + 3);
    });
  });
}

describeAdapter("event log while Redis is away", missingRedisServer(), () => {
  it("[EL15] fails within 2 s, goes on by itself afterwards, and a retry with the same id is safe", async () => {
    const server = await startTestRedis({ persistent: true });
    const redis = createRedis({ url: server.url, onError: () => undefined });
    const log = open(redis);
    const before = await log.append("p", "1", "x");
    await server.stop("SIGKILL");
    for (const call of [log.append("p", "2", "x"), log.readAfter("p", before), log.position("p")]) {
      const failure = await failureOf(call);
      expect(failure.code).toBe("dependency_unavailable");
      expect(failure.ms).toBeLessThan(2_000);
    }
    await server.restart();
    await until(async () => (await failureOf(redis.ping())).code === "no error");
    expect(await log.append("p", "1", "x")).toEqual({ ...before, duplicate: true });
    expect(await log.append("p", "2", "x")).toMatchObject({ epoch: before.epoch, seq: 2 });
    await redis.close();
    await server.close();
  });

  it("[EL16] goes on when Redis has forgotten its scripts", async () => {
    const server = await startTestRedis();
    const redis = createRedis({ url: server.url, onError: () => undefined });
    const log = open(redis);
    await log.append("p", "1", "x");
    await redis.commands.run((client) => client.script("FLUSH"));
    expect(await log.append("p", "2", "x")).toMatchObject({ seq: 2, duplicate: false });
    await redis.close();
    await server.close();
  });
});
