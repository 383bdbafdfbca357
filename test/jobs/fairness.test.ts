import { afterEach, describe, expect, it } from "@jest/globals";
import { sql as raw } from "kysely";
import { createJobApp, eventually, type JobApp, type JobAppOptions } from "../kit/job-app.js";
import { createGate } from "../kit/job-queue.js";

let app: JobApp;
afterEach(() => app.close());

async function open(options: JobAppOptions = {}): Promise<JobApp> {
  app = await createJobApp(options);
  return app;
}

describe("fairness", () => {
  it("[JOB36] runs at most so many jobs of one user at once, and those of others beside them", async () => {
    const { handlers } = await open({ runningPerUser: 2 });
    const gate = createGate();
    const running = new Map<string, number>();
    const two = createGate();
    let most = 0;
    handlers.set("slow", async ({ ownerId }) => {
      running.set(ownerId, (running.get(ownerId) ?? 0) + 1);
      most = Math.max(most, ...running.values());
      if (most === 2) two.open();
      await gate.opened;
      running.set(ownerId, (running.get(ownerId) ?? 0) - 1);
    });
    await app.worker({ concurrency: 10 });
    await app.worker({ concurrency: 10 });
    const [ada, ben] = [await app.user(), await app.user()];
    const mine = await Promise.all([1, 2, 3, 4, 5, 6].map(() => app.task(ada, "slow")));
    const his = await app.task(ben, "slow");
    await app.event("job_started", his.id);
    await two.opened;
    gate.open();
    for (const { id } of mine) await app.event("job_completed", id);
    expect(most).toBe(2);
  });

  it("[JOB37] lets nobody wait behind the 10,000 jobs of somebody else", async () => {
    const { handlers } = await open({ queuedPerUser: 20_000 });
    handlers.set("quick", () => null);
    const [ada, ben] = [await app.user(), await app.user()];
    const first = await app.task(ada, "quick");
    await raw`
      insert into jobs (id, owner_id, type, payload, priority, attempt_budget, max_attempts, run_at, queued_at,
        request_id, created_at)
      select gen_random_uuid(), owner_id, type, payload, 50, 3, 3, run_at, queued_at, request_id, created_at
      from jobs, generate_series(1, 10000) where id = ${first.id}`.execute(app.sql());
    await app.parts.jobs.sweep();
    await app.worker({ concurrency: 1 });
    await app.event("job_completed", first.id);
    const his = await app.task(ben, "quick");
    await app.event("job_started", his.id);
    const types = app.events.map(({ type, payload }) => (payload["jobId"] === his.id ? `his ${type}` : type));
    const between = types.slice(types.indexOf("his job_created"), types.indexOf("his job_started"));
    expect(between.filter((type) => type === "job_started").length).toBeLessThan(20);
    const left = await app.sql().selectFrom("jobs").select("id").where("status", "=", "pending").execute();
    expect(left.length).toBeGreaterThan(8_000);
  });

  it("[JOB38] starts one user's waiting jobs by priority, then in order", async () => {
    const { handlers } = await open({ runningPerUser: 1 });
    const gate = createGate();
    const order: unknown[] = [];
    handlers.set("slow", async (_context, value) => {
      order.push(value);
      await gate.opened;
    });
    await app.worker();
    const ada = await app.user();
    const first = await app.task(ada, "slow", { value: "running" });
    await app.event("job_started", first.id);
    const waiting = [];
    for (const [value, priority] of [
      ["last", 100],
      ["plain 1", undefined],
      ["first", 1],
      ["plain 2", 50],
    ] as const) {
      const options = priority === undefined ? {} : { priority };
      waiting.push(await app.task(ada, "slow", { value, options }));
    }
    gate.open();
    for (const { id } of waiting) await app.event("job_completed", id);
    expect(order).toEqual(["running", "first", "plain 1", "plain 2", "last"]);
  });

  it("[JOB39] parks delayed jobs that come due together beyond the limit, and runs them in turn", async () => {
    const { handlers } = await open({ runningPerUser: 1 });
    const gate = createGate();
    let running = 0;
    let most = 0;
    handlers.set("slow", async () => {
      running += 1;
      most = Math.max(most, running);
      await gate.opened;
      running -= 1;
    });
    const ada = await app.user();
    const options = { delayMs: 60_000 };
    const jobs = await Promise.all([1, 2, 3, 4, 5].map(() => app.task(ada, "slow", { options })));
    await eventually(async () => expect(await app.parts.queue.counts()).toMatchObject({ delayed: 5 }));
    // Their time has come.
    await app.sql().updateTable("jobs").set({ run_at: new Date() }).execute();
    for (const { id } of jobs) {
      await app.parts.queue.remove({ jobId: id, generation: 1 });
      await app.parts.queue.enqueue({ jobId: id, generation: 1 });
    }
    await app.worker();
    await eventually(async () => {
      const parked = await app.sql().selectFrom("jobs").select("id").where("generation", ">", 1).execute();
      expect(most > 1 || parked.length >= 4).toBe(true);
    });
    gate.open();
    for (const { id } of jobs) await app.event("job_completed", id);
    expect(most).toBe(1);
  });
});
