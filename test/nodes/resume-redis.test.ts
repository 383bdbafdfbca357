import { afterAll, beforeAll, it } from "@jest/globals";
import fc from "fast-check";
import { createRedisEventLog } from "../../src/platform/event-log/redis.js";
import { createRedisPubSub } from "../../src/platform/pubsub/redis.js";
import type { RedisConnections } from "../../src/platform/redis/redis.js";
import { describeAdapter } from "../kit/adapters.js";
import { type RedisTarget, redisKinds } from "../kit/redis.js";
import { holdsOver, type ModelStore, modelRuns } from "../kit/resume-model.js";

const runs = modelRuns(20);
const TIMEOUT_MS = 120_000;

for (const kind of redisKinds()) {
  describeAdapter(`resume over ${kind.name}, against a model (MODEL_SEED=${runs.seed})`, kind.missing, () => {
    let target: RedisTarget;
    let connections: RedisConnections[];
    beforeAll(async () => {
      target = await kind.open();
      connections = [0, 1, 2].map(() => target.connect());
    });
    afterAll(() => target.close());

    function openStore(): ModelStore {
      const pubsubs = connections.map((redis) =>
        createRedisPubSub({
          redis,
          onError: (error) => {
            throw error;
          },
        }),
      );
      let losses = 0;
      return {
        openLog: (node, window) =>
          createRedisEventLog({ redis: connections[node]!, window: { maxEntries: window, maxAgeMs: 1e8 } }),
        pubsub: (node) => pubsubs[node]!,
        async lose(stream) {
          losses += 1;
          const [redis] = connections as [RedisConnections];
          const entries = redis.key("events:entries", stream);
          // Everything is gone, or only what was evicted.
          const keys = losses % 2 === 0 ? [entries] : [redis.key("events:state", stream), entries];
          await redis.commands.run((client) => client.unlink(keys));
        },
        async close() {
          await Promise.all(pubsubs.map((pubsub) => pubsub.close()));
        },
      };
    }

    it(
      "[RT50] the rules of RT20 hold over nodes that share one Redis, also when it forgets the history",
      () => fc.assert(holdsOver(openStore, 10_000), runs),
      TIMEOUT_MS,
    );

    it(
      "[RT50] the rules of RT21 hold over nodes that share one Redis",
      () => fc.assert(holdsOver(openStore, 6), runs),
      TIMEOUT_MS,
    );
  });
}
