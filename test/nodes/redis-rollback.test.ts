import { afterAll, beforeAll, expect, it } from "@jest/globals";
import type { StreamPosition } from "../../src/platform/event-log/event-log.js";
import { createRedisEventLog } from "../../src/platform/event-log/redis.js";
import { createRedisPubSub } from "../../src/platform/pubsub/redis.js";
import { openFeed } from "../../src/realtime/feed.js";
import { describeAdapter, until } from "../kit/adapters.js";
import { type RedisTarget, redisKinds } from "../kit/redis.js";

const STREAM = "project";

/** Resolves when the condition holds, or after five seconds, so that what is expected then says what is missing. */
function soon(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000;
  return until(() => condition() || performance.now() > deadline);
}

for (const kind of redisKinds()) {
  describeAdapter(`an event log that came back older, on ${kind.name}`, kind.missing, () => {
    let target: RedisTarget;
    beforeAll(async () => {
      target = await kind.open();
    });
    afterAll(() => target.close());

    it("[RT87] is noticed by a feed although a node that knew nothing has given the same numbers again", async () => {
      const redis = target.connect();
      const keys = [redis.key("events:state", STREAM), redis.key("events:entries", STREAM)];
      const log = createRedisEventLog({ redis });
      const pubsub = createRedisPubSub({
        redis,
        onError: (error) => {
          throw error;
        },
      });
      const seqs: number[] = [];
      const resets: StreamPosition[] = [];
      const feed = await openFeed({ log, pubsub }, STREAM, {
        entry: ({ seq }) => seqs.push(seq),
        reset: (position) => resets.push(position),
        repaired() {},
      });
      for (const id of ["1", "2", "3"]) await log.append(STREAM, id, "{}");
      const dumps = await redis.commands.run((client) =>
        Promise.all(keys.map((key) => client.dumpBuffer(key))),
      );
      // Another node appends, so that this one knows of the newest entries by pub/sub alone.
      const first = createRedisEventLog({ redis: target.connect() });
      for (const id of ["4", "5"]) await first.append(STREAM, id, "{}");
      await soon(() => seqs.length === 5);
      const before = feed.position;

      await redis.commands.run((client) =>
        Promise.all(keys.map((key, i) => client.restore(key, 0, dumps[i] ?? "", "REPLACE"))),
      );
      const newcomer = createRedisEventLog({ redis: target.connect() });
      // At once, so that the stream has passed the feed's position before the feed can say anything.
      const again = await Promise.all(["4'", "5'", "6'"].map((id) => newcomer.append(STREAM, id, "{}")));
      expect(again.map(({ epoch, seq }) => ({ epoch, seq }))).toEqual(
        [4, 5, 6].map((seq) => ({ epoch: before.epoch, seq })),
      );

      await soon(() => resets.length > 0);
      expect(resets[0]?.epoch).not.toBe(before.epoch);
      expect((await newcomer.append(STREAM, "7", "{}")).epoch).toBe(resets[0]?.epoch);
      // Who was away at that time is told too: its position is of an epoch that is over.
      expect(await newcomer.readAfter(STREAM, before)).toMatchObject({ complete: false });
      await feed.close();
    });

    it("[RT87] a position that the log confirms, or that has left the window, changes nothing", async () => {
      const log = createRedisEventLog({ redis: target.connect(), window: { maxEntries: 10, maxAgeMs: 1e8 } });
      const stream = "window";
      let epoch = "";
      for (let i = 1; i <= 100; i++) ({ epoch } = await log.append(stream, `${i}`, "{}"));
      expect(await log.readAfter(stream, { epoch, seq: 100, id: "100" })).toMatchObject({ complete: true });
      expect(await log.readAfter(stream, { epoch, seq: 95, id: "95" })).toMatchObject({ complete: true });
      expect(await log.readAfter(stream, { epoch, seq: 5, id: "5" })).toMatchObject({
        complete: false,
        head: { epoch, seq: 100 },
      });
      const reborn = await log.readAfter(stream, { epoch, seq: 95, id: "another" });
      expect(reborn.head.epoch).not.toBe(epoch);
    });
  });
}
