import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import type { Outcome } from "../../src/platform/job-queue/job-queue.js";
import {
  consume,
  createGate,
  createQueueBench,
  eventually,
  type QueueBench,
  SHORT_LOCK_MS,
} from "../kit/job-queue.js";
import { type JobQueueStore, type JobQueueStoreKind, jobQueueStores } from "../kit/job-queue-stores.js";

const DONE: Outcome = { kind: "done" };
const kinds = Object.values(jobQueueStores());

for (const kind of kinds.filter(({ missing }) => missing !== undefined)) {
  describe.skip(`the job queue on ${kind.name}: ${kind.missing}`, () => {
    it("[JQ1] is not tested here", () => {});
  });
}

describe.each(kinds.filter(({ missing }) => missing === undefined))(
  "the job queue on $name",
  (kind: JobQueueStoreKind) => {
    let store: JobQueueStore;
    let bench: QueueBench;
    let tests = 0;

    beforeAll(async () => {
      store = await kind.open();
    });
    afterAll(() => store.close());
    beforeEach(() => {
      tests += 1;
      bench = createQueueBench(store, `queue-${tests}`);
    });
    afterEach(() => bench.close());

    it("[JQ1] delivers each enqueued job with its id and generation", async () => {
      const queue = bench.openQueue();
      await queue.enqueue({ jobId: "a", generation: 1 });
      const told = consume(queue);
      await queue.enqueue({ jobId: "b", generation: 7 });
      await told.delivered(2);
      expect(told.deliveries).toEqual([
        { jobId: "a", generation: 1 },
        { jobId: "b", generation: 7 },
      ]);
    });

    it("[JQ2] makes one delivery of a pair that is enqueued again while it waits or runs", async () => {
      const queue = bench.openQueue();
      const gate = createGate();
      await queue.enqueue({ jobId: "a", generation: 1 });
      await queue.enqueue({ jobId: "a", generation: 1 });
      const told = consume(queue, async ({ jobId }) => {
        if (jobId === "a") await gate.opened;
        return DONE;
      });
      await told.delivered(1);
      await queue.enqueue({ jobId: "a", generation: 1 });
      await queue.enqueue({ jobId: "last", generation: 1 });
      gate.open();
      await told.delivered(2);
      expect(told.deliveries.map((job) => job.jobId)).toEqual(["a", "last"]);
    });

    it("[JQ3] delivers the next generation beside the former, and the same pair again after its end", async () => {
      const queue = bench.openQueue();
      await queue.enqueue({ jobId: "a", generation: 1 });
      await queue.enqueue({ jobId: "a", generation: 2 });
      const told = consume(queue);
      await told.delivered(2);
      await queue.enqueue({ jobId: "between", generation: 1 });
      await told.delivered(3);
      await queue.enqueue({ jobId: "a", generation: 1 });
      await told.delivered(4);
      expect(told.deliveries.map((job) => `${job.jobId}${job.generation}`)).toEqual([
        "a1",
        "a2",
        "between1",
        "a1",
      ]);
    });

    it("[JQ4] holds a delayed job back until its delay is over", async () => {
      const queue = bench.openQueue();
      const told = consume(queue);
      const from = Date.now();
      await queue.enqueue({ jobId: "late", generation: 1 }, { delayMs: 700 });
      await queue.enqueue({ jobId: "now", generation: 1 });
      await told.delivered(2);
      expect(told.deliveries.map((job) => job.jobId)).toEqual(["now", "late"]);
      expect(Date.now() - from).toBeGreaterThanOrEqual(700);
    });

    it("[JQ5] delivers by priority, 1 first, and in order of arrival within one", async () => {
      const queue = bench.openQueue();
      for (const [jobId, priority] of [
        ["last", 100],
        ["plain-1", undefined],
        ["first", 1],
        ["plain-2", 50],
      ] as const) {
        await queue.enqueue({ jobId, generation: 1 }, priority === undefined ? {} : { priority });
      }
      const told = consume(queue);
      await told.delivered(4);
      expect(told.deliveries.map((job) => job.jobId)).toEqual(["first", "plain-1", "plain-2", "last"]);
    });

    it("[JQ6] takes out a job that waits or is delayed, and no other", async () => {
      const queue = bench.openQueue();
      const gate = createGate();
      const told = consume(queue, async () => {
        await gate.opened;
        return DONE;
      });
      await queue.enqueue({ jobId: "runs", generation: 1 });
      await told.delivered(1);
      await queue.enqueue({ jobId: "waits", generation: 1 });
      await queue.enqueue({ jobId: "delayed", generation: 1 }, { delayMs: 60_000 });
      await queue.enqueue({ jobId: "last", generation: 1 });
      expect(await queue.remove({ jobId: "waits", generation: 1 })).toBe(true);
      expect(await queue.remove({ jobId: "delayed", generation: 1 })).toBe(true);
      expect(await queue.remove({ jobId: "runs", generation: 1 })).toBe(false);
      expect(await queue.remove({ jobId: "unknown", generation: 1 })).toBe(false);
      gate.open();
      await told.delivered(2);
      expect(told.deliveries.map((job) => job.jobId)).toEqual(["runs", "last"]);
      expect(await queue.remove({ jobId: "runs", generation: 1 })).toBe(false);
      expect(await queue.counts()).toMatchObject({ waiting: 0, delayed: 0 });
    });

    it("[JQ7] delivers again after the delay a processor asks for, as often as it asks", async () => {
      const queue = bench.openQueue();
      const times: number[] = [];
      const told = consume(queue, (_delivery, nth) => {
        times.push(Date.now());
        return nth < 5 ? { kind: "again", delayMs: nth === 1 ? 300 : 0 } : DONE;
      });
      await queue.enqueue({ jobId: "a", generation: 1 });
      await told.delivered(5);
      expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(300);
      expect(bench.errors).toEqual([]);
    });

    it("[JQ8] delivers again, later each time, what a processor threw on, and reports why", async () => {
      const queue = bench.openQueue();
      const times: number[] = [];
      const gate = createGate();
      const told = consume(queue, async (_delivery, nth) => {
        times.push(Date.now());
        if (nth < 4) throw new Error("secret of a user");
        await gate.opened;
        return DONE;
      });
      await queue.enqueue({ jobId: "a", generation: 1 });
      await told.delivered(4);
      const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
      expect(gaps[0]).toBeGreaterThanOrEqual(30);
      expect(gaps[1]).toBeGreaterThanOrEqual(60);
      expect(gaps[2]).toBeGreaterThanOrEqual(120);
      expect(bench.errors.map((error) => error.message)).toEqual(["secret of a user"]);
      const kept = await store.dump();
      expect(kept).toContain("a-1");
      expect(kept).not.toContain("secret of a user");
      gate.open();
    });

    it("[JQ9] runs at most as many processors at once as it was told", async () => {
      const queue = bench.openQueue();
      const gate = createGate();
      let running = 0;
      let most = 0;
      const told = consume(
        queue,
        async () => {
          running += 1;
          most = Math.max(most, running);
          if (running === 3) gate.open();
          await gate.opened;
          running -= 1;
          return DONE;
        },
        3,
      );
      for (let i = 0; i < 12; i += 1) await queue.enqueue({ jobId: `a${i}`, generation: 1 });
      await told.delivered(12);
      expect(most).toBe(3);
    });

    it("[JQ10] closing a consumer waits for what runs and takes nothing new", async () => {
      const queue = bench.openQueue();
      const gate = createGate();
      let ended = false;
      const told = consume(queue, async () => {
        await gate.opened;
        ended = true;
        return DONE;
      });
      await queue.enqueue({ jobId: "a", generation: 1 });
      await told.delivered(1);
      await queue.enqueue({ jobId: "b", generation: 1 });
      const closed = told.consumer.close(20_000);
      gate.open();
      await closed;
      expect(ended).toBe(true);
      expect(told.deliveries).toHaveLength(1);
      expect(await queue.counts()).toEqual({ waiting: 1, delayed: 0, active: 0 });
    });

    it("[JQ11] hands back what still runs after the grace, which is no crash", async () => {
      const queue = bench.openQueue();
      await queue.enqueue({ jobId: "a", generation: 1 });
      for (let i = 0; i < 3; i += 1) {
        let signal: AbortSignal | undefined;
        const told = consume(queue, (delivery) => {
          signal = delivery.signal;
          return new Promise(() => {});
        });
        await told.delivered(1);
        await told.consumer.close(50);
        expect(signal?.aborted).toBe(true);
        expect(told.crashed).toEqual([]);
      }
      const told = consume(queue);
      await told.delivered(1);
      expect(told.deliveries).toEqual([{ jobId: "a", generation: 1 }]);
      expect(bench.errors).toEqual([]);
    });

    it("[JQ12] delivers the job of a killed worker again", async () => {
      const queue = bench.openQueue({ lockMs: SHORT_LOCK_MS });
      await queue.enqueue({ jobId: "poison", generation: 1 });
      expect(await bench.killWorkerInJob()).toEqual({ jobId: "poison", generation: 1 });
      const told = consume(queue);
      await told.delivered(1);
      expect(told.deliveries).toEqual([{ jobId: "poison", generation: 1 }]);
      expect(told.crashed).toEqual([]);
    });

    it("[JQ13] gives up a job that killed its worker twice, tells so once, and runs it no more", async () => {
      const queue = bench.openQueue({ lockMs: SHORT_LOCK_MS });
      await queue.enqueue({ jobId: "poison", generation: 1 });
      expect(await bench.killWorkerInJob()).toEqual({ jobId: "poison", generation: 1 });
      expect(await bench.killWorkerInJob()).toEqual({ jobId: "poison", generation: 1 });
      const told = consume(queue);
      await told.gaveUp(1);
      await queue.enqueue({ jobId: "last", generation: 1 });
      await told.delivered(1);
      expect(told.crashed).toEqual([{ jobId: "poison", generation: 1 }]);
      expect(told.deliveries).toEqual([{ jobId: "last", generation: 1 }]);
    });

    it("[JQ14] counts jobs that wait, are delayed and run", async () => {
      const queue = bench.openQueue();
      const gate = createGate();
      const told = consume(queue, async () => {
        await gate.opened;
        return DONE;
      });
      await queue.enqueue({ jobId: "runs", generation: 1 });
      await told.delivered(1);
      await queue.enqueue({ jobId: "waits-1", generation: 1 });
      await queue.enqueue({ jobId: "waits-2", generation: 1 }, { priority: 1 });
      await queue.enqueue({ jobId: "delayed", generation: 1 }, { delayMs: 60_000 });
      expect(await queue.counts()).toEqual({ waiting: 2, delayed: 1, active: 1 });
      gate.open();
    });

    it("[JQ15] keeps queues of different names apart", async () => {
      const queue = bench.openQueue();
      const other = bench.openQueue({ name: `${bench.queueName}-other` });
      const told = consume(other);
      await queue.enqueue({ jobId: "a", generation: 1 });
      await other.enqueue({ jobId: "b", generation: 1 });
      await told.delivered(1);
      expect(told.deliveries).toEqual([{ jobId: "b", generation: 1 }]);
      expect(await queue.counts()).toMatchObject({ waiting: 1 });
    });

    it("[JQ19] aborts the processor of a job that another worker took over, and drops its result", async () => {
      const queue = bench.openQueue({ lockMs: SHORT_LOCK_MS });
      const aborted = createGate();
      const told = consume(queue, ({ signal, jobId }) => {
        if (jobId !== "a") return DONE;
        return new Promise((resolve) => {
          signal.addEventListener("abort", () => {
            aborted.open();
            resolve(DONE);
          });
        });
      });
      await queue.enqueue({ jobId: "a", generation: 1 });
      await told.delivered(1);
      await store.stealLock(bench.queueName, "a-1");
      await aborted.opened;
      await queue.enqueue({ jobId: "last", generation: 1 });
      await told.delivered(2);
      await eventually(async () => expect(await queue.counts()).toMatchObject({ active: 1 }));
    });

    it("[JQ28] never runs a job twice at once in one process, also when its lock ran out", async () => {
      const queue = bench.openQueue({ lockMs: SHORT_LOCK_MS });
      const gate = createGate();
      let running = 0;
      let most = 0;
      const told = consume(
        queue,
        async (_delivery, nth) => {
          running += 1;
          most = Math.max(most, running);
          // A processor that does not listen to its signal.
          if (nth === 1) await gate.opened;
          running -= 1;
          return DONE;
        },
        2,
      );
      await queue.enqueue({ jobId: "a", generation: 1 });
      await told.delivered(1);
      await store.dropLock(bench.queueName, "a-1");
      await eventually(async () => expect(await queue.counts()).toMatchObject({ delayed: 1 }));
      gate.open();
      await told.delivered(2);
      expect(most).toBe(1);
    });

    it("[JQ20] refuses ids, generations, priorities and delays it cannot carry", async () => {
      const queue = bench.openQueue();
      const job = { jobId: "a", generation: 1 };
      await expect(queue.enqueue({ jobId: "a:b", generation: 1 })).rejects.toThrow(RangeError);
      await expect(queue.enqueue({ jobId: "a", generation: 1.5 })).rejects.toThrow(RangeError);
      await expect(queue.enqueue(job, { priority: 0 })).rejects.toThrow(RangeError);
      await expect(queue.enqueue(job, { priority: 101 })).rejects.toThrow(RangeError);
      await expect(queue.enqueue(job, { delayMs: -1 })).rejects.toThrow(RangeError);
      await expect(queue.enqueue(job, { delayMs: Number.NaN })).rejects.toThrow(RangeError);
    });
  },
);
