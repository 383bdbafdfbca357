import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { AppError } from "../../src/errors.js";
import { createBullmqJobQueue } from "../../src/platform/job-queue/bullmq.js";
import type { Outcome } from "../../src/platform/job-queue/job-queue.js";
import { createRedis } from "../../src/platform/redis/redis.js";
import { consume, createGate, createQueueBench, eventually, type QueueBench } from "../kit/job-queue.js";
import {
  type JobQueueStore,
  type JobQueueStoreKind,
  jobQueueStores,
  type StoreAddress,
} from "../kit/job-queue-stores.js";
import { startTestRedis } from "../kit/redis.js";
import { startTcpProxy, type TcpProxy } from "../kit/tcp-proxy.js";

const DONE: Outcome = { kind: "done" };
const kinds = [jobQueueStores().postgres, jobQueueStores().redis];

for (const kind of kinds.filter(({ missing }) => missing !== undefined)) {
  describe.skip(`the job queue without ${kind.name}: ${kind.missing}`, () => {
    it("[JQ16] is not tested here", () => {});
  });
}

describe.each(kinds.filter(({ missing }) => missing === undefined))(
  "the job queue without $name",
  (kind: JobQueueStoreKind) => {
    let store: JobQueueStore;
    let bench: QueueBench;
    let door: TcpProxy;
    let behindDoor: StoreAddress;
    let tests = 0;

    beforeAll(async () => {
      store = await kind.open();
      door = await startTcpProxy(store.target);
      behindDoor = store.throughDoor(door.port);
    });
    afterAll(async () => {
      await door.close();
      await store.close();
    });
    beforeEach(() => {
      tests += 1;
      bench = createQueueBench(store, `queue-${tests}`);
    });
    afterEach(async () => {
      await door.restore();
      await bench.close();
    });

    it.each([
      ["stopped", () => door.stop()],
      ["unreachable", () => Promise.resolve(door.stall())],
    ])("[JQ16] refuses with dependency_unavailable within 2 s while the store is %s", async (_how, fault) => {
      const queue = bench.openQueue({ address: behindDoor });
      await queue.ping();
      await fault();
      for (const attempt of [
        () => queue.enqueue({ jobId: "a", generation: 1 }),
        () => queue.counts(),
        () => queue.ping(),
      ]) {
        const from = Date.now();
        const error = await attempt().then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        expect(error).toBeInstanceOf(AppError);
        expect(error).toMatchObject({
          code: "dependency_unavailable",
          extensions: { dependency: "job queue" },
        });
        expect(Date.now() - from).toBeLessThan(2_500);
      }
      await door.restore();
      await eventually(() => queue.enqueue({ jobId: "a", generation: 1 }));
      expect(await queue.counts()).toMatchObject({ waiting: 1 });
    });

    it.each([
      ["was stopped", () => door.stop()],
      ["left its connections open and silent", () => Promise.resolve(door.freeze())],
    ])("[JQ17] goes on consuming after the store %s", async (_how, fault) => {
      const producer = bench.openQueue();
      const queue = bench.openQueue({ address: behindDoor });
      const told = consume(queue, () => DONE, 2);
      await producer.enqueue({ jobId: "before", generation: 1 });
      await told.delivered(1);
      await fault();
      await producer.enqueue({ jobId: "during", generation: 1 });
      await bench.complaint();
      await door.restore();
      await producer.enqueue({ jobId: "after", generation: 1 });
      // At least once: a job can come twice.
      await eventually(() => {
        const ids = new Set(told.deliveries.map((job) => job.jobId));
        expect(ids).toEqual(new Set(["before", "during", "after"]));
      });
    });

    it("[JQ18] starts consuming when the store comes up after the consumer", async () => {
      const producer = bench.openQueue();
      await producer.enqueue({ jobId: "a", generation: 1 });
      await door.stop();
      const told = consume(bench.openQueue({ address: behindDoor }));
      await bench.complaint();
      await door.restore();
      await told.delivered(1);
      expect(told.deliveries).toEqual([{ jobId: "a", generation: 1 }]);
    });

    it("[JQ24] finishes a job that came to its end while the store was away once it is back", async () => {
      const queue = bench.openQueue({ address: behindDoor });
      const gate = createGate();
      const told = consume(queue, async () => {
        await gate.opened;
        return DONE;
      });
      await queue.enqueue({ jobId: "a", generation: 1 });
      await told.delivered(1);
      await door.stop();
      gate.open();
      await bench.complaint();
      await door.restore();
      await eventually(async () =>
        expect(await queue.counts()).toEqual({ waiting: 0, delayed: 0, active: 0 }),
      );
      expect(told.deliveries).toHaveLength(1);
    });

    it("[JQ21] closes within its grace while the store is away", async () => {
      const queue = bench.openQueue({ address: behindDoor });
      const told = consume(queue, () => new Promise(() => {}));
      await queue.enqueue({ jobId: "a", generation: 1 });
      await told.delivered(1);
      door.stall();
      await told.consumer.close(100);
      await queue.close();
      await expect(queue.enqueue({ jobId: "b", generation: 1 })).rejects.toMatchObject({
        code: "dependency_unavailable",
      });
    });
  },
);

describe("the settings of the job queue's store", () => {
  const { postgres, redis } = jobQueueStores();

  it("[JQ22] are fine on PostgreSQL, and queues that start at once make its tables together", async () => {
    const store = await postgres.open();
    const bench = createQueueBench(store, "queue");
    const queues = [1, 2, 3, 4].map(() => bench.openQueue());
    expect(await Promise.all(queues.map((queue) => queue.check()))).toEqual(
      queues.map(() => ({ ok: true, problems: [] })),
    );
    expect(bench.errors).toEqual([]);
    await bench.close();
    await store.close();
  });

  (redis.missing ? it.skip : it)("[JQ25] a store that refuses is asked for jobs with pauses", async () => {
    const server = await startTestRedis();
    const connections = createRedis({ host: "127.0.0.1", port: server.port, onError: () => undefined });
    const refusals = (): Promise<number> =>
      connections.commands.run(async (client) =>
        Number(/cmdstat_evalsha:.*failed_calls=(\d+)/.exec(await client.info("commandstats"))?.[1] ?? 0),
      );
    const queue = createBullmqJobQueue({
      backend: { kind: "redis", redis: connections },
      onError: () => undefined,
    });
    await queue.enqueue({ jobId: "a", generation: 1 });
    // A key of the wrong type stands for whatever makes Redis refuse a script: no memory, a replica, a bug.
    await connections.commands.run((client) => client.set("{atelier}:jobs:wait", "no list"));
    const told = consume(queue);
    await eventually(async () => expect(await refusals()).toBeGreaterThanOrEqual(2));
    expect(await refusals()).toBeLessThan(10);
    await connections.commands.run((client) => client.del("{atelier}:jobs:wait"));
    await told.delivered(1);
    await queue.close();
    await connections.close();
    await server.close();
  });

  (redis.missing ? it.skip : it)("[JQ23] are refused on a Redis that evicts keys", async () => {
    const server = await startTestRedis();
    const place = { host: "127.0.0.1", port: server.port };
    const errors: Error[] = [];
    const connections = createRedis({ ...place, onError: () => undefined });
    const queue = createBullmqJobQueue({
      backend: { kind: "redis", redis: connections },
      onError: (error) => errors.push(error),
    });
    expect(await queue.check()).toEqual({ ok: true, problems: [] });
    await connections.commands.run((client) => client.config("SET", "maxmemory-policy", "allkeys-lru"));
    const { ok, problems } = await queue.check();
    expect(ok).toBe(false);
    expect(problems).toEqual([expect.stringMatching(/maxmemory-policy is "allkeys-lru".*noeviction/)]);
    expect(errors.map((error) => error.message)).toEqual(problems);
    await queue.close();
    await connections.close();
    await server.close();
  });
});
