import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "@jest/globals";
import { createRunRepository } from "../../src/jobs/run-repository.js";
import { aborted, createJobApp, eventually, type JobApp, type JobAppOptions, never } from "../kit/job-app.js";
import { createGate } from "../kit/job-queue.js";

let app: JobApp;
const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await app.close();
});

async function open(options: JobAppOptions = {}): Promise<JobApp> {
  app = await createJobApp(options);
  return app;
}

describe("two deliveries of one job", () => {
  it("[JOB28] run it once while the first run is alive", async () => {
    const { handlers, store, queueName } = await open();
    const gate = createGate();
    let runs = 0;
    handlers.set("slow", async () => {
      runs += 1;
      await gate.opened;
      return runs;
    });
    await app.worker();
    await app.worker();
    const ada = await app.user();
    const job = await app.task(ada, "slow");
    await app.event("job_started", job.id);
    await store.dropLock(queueName, `${job.id}-1`);
    // The second delivery finds the run alive and is put off.
    await eventually(async () => expect(await app.parts.queue.counts()).toMatchObject({ delayed: 1 }));
    expect(runs).toBe(1);
    gate.open();
    await app.event("job_completed", job.id);
    expect(await app.read(ada, job.id)).toMatchObject({ attempt: 1, result: { value: 1 } });
    await eventually(async () =>
      expect(await app.parts.queue.counts()).toEqual({ waiting: 0, delayed: 0, active: 0 }),
    );
    expect(app.events.filter(({ type }) => type === "job_completed")).toHaveLength(1);
  });

  it("[JOB28] let one of two that come at the same moment have the job", async () => {
    await open();
    const ada = await app.user();
    const job = await app.task(ada, "x");
    const runs = createRunRepository();
    const claims = [1, 2, 3].map(() =>
      app.projects.database.transaction((tx) =>
        runs.claim(tx, { jobId: job.id, generation: 1 }, { maxRunning: 5, leaseMs: 60_000, now: new Date() }),
      ),
    );
    const won = (await Promise.all(claims)).filter((row) => row !== undefined);
    expect(won.map(({ attempt }) => attempt)).toEqual([1]);
  });

  it("[JOB29] refuse what a run says and does after another has taken over", async () => {
    const { handlers, store, queueName } = await open();
    const gate = createGate();
    handlers.set("slow", async ({ attempt, log }) => {
      if (attempt === 1) await gate.opened;
      log("stdout", `from ${attempt}\n`);
      if (attempt === 1) log("stderr", "stale\n");
      return attempt;
    });
    // A worker that cannot renew its leases: cut off, or stopped for a while.
    const cutOff = await app.worker({ timings: { leaseMs: 200, renewMs: 60_000 } });
    const ada = await app.user();
    const job = await app.task(ada, "slow");
    await app.event("job_started", job.id);
    await app.worker();
    await store.dropLock(queueName, `${job.id}-1`);
    await app.event("job_completed", job.id);
    const after = await app.row(job.id);
    gate.open();
    await cutOff.stop(10_000);
    expect(await app.row(job.id)).toEqual(after);
    expect(after).toMatchObject({ status: "completed", attempt: 2, result: { value: 2 } });
    const { body } = await app.call("GET", `/jobs/${job.id}/logs`, { as: ada });
    expect(body.logs.map(({ attempt, text }) => [attempt, text])).toEqual([[2, "from 2\n"]]);
    const ended = app.events.filter(
      ({ type, payload }) => type === "job_completed" && payload["jobId"] === job.id,
    );
    expect(ended.map(({ payload }) => payload["attempt"])).toEqual([2]);
  });

  it("[JOB30] stop a run that is none any more at its next lease", async () => {
    const { handlers } = await open();
    const reason = createGate();
    let said: unknown;
    handlers.set("slow", async (context) => {
      said = await aborted(context);
      reason.open();
      return "stale";
    });
    const worker = await app.worker();
    const ada = await app.user();
    const job = await app.task(ada, "slow");
    await app.event("job_started", job.id);
    await app.sql().updateTable("jobs").set({ attempt: 2 }).where("id", "=", job.id).execute();
    await reason.opened;
    await worker.stop(10_000);
    expect(said).toBe("lost");
    expect(await app.row(job.id)).toMatchObject({ status: "processing", attempt: 2, result: null });
  });
});

describe("a worker that dies", () => {
  /** Starts a worker process and kills it when it is in the middle of an attempt. */
  async function killInJob(): Promise<unknown> {
    const place = { connection: app.connection, address: app.store.address, queueName: app.queueName };
    const child = fork(
      fileURLToPath(new URL("../kit/job-runner.ts", import.meta.url)),
      [JSON.stringify(place)],
      { execArgv: ["--import", new URL("../kit/typescript-loader.mjs", import.meta.url).href] },
    );
    children.push(child);
    const [told] = (await once(child, "message")) as [unknown];
    child.kill("SIGKILL");
    await once(child, "exit");
    return told;
  }

  it("[JOB31] leaves its job to another, which shows as attempt 2", async () => {
    const { handlers } = await open();
    const ada = await app.user();
    const job = await app.task(ada, "hang");
    expect(await killInJob()).toEqual({ attempt: 1 });
    expect(await app.read(ada, job.id)).toMatchObject({ status: "processing", attempt: 1 });
    handlers.set("hang", ({ attempt, log }) => {
      log("stdout", "to the end\n");
      return attempt;
    });
    await app.worker();
    await app.event("job_completed", job.id);
    expect(await app.read(ada, job.id)).toMatchObject({
      status: "completed",
      attempt: 2,
      result: { value: 2 },
    });
    const { body } = await app.call("GET", `/jobs/${job.id}/logs`, { as: ada });
    expect(body.logs.map(({ seq, attempt, text }) => [seq, attempt, text])).toEqual([
      [1, 1, "attempt 1\n"],
      [2, 2, "to the end\n"],
    ]);
  });

  it("[JOB32] twice of the same job ends that job with worker_crashed, and no other", async () => {
    const { handlers } = await open();
    const ada = await app.user();
    const job = await app.task(ada, "hang");
    expect(await killInJob()).toEqual({ attempt: 1 });
    expect(await killInJob()).toEqual({ attempt: 2 });
    handlers.set("fine", () => "fine");
    await app.worker();
    const other = await app.task(ada, "fine");
    await app.event("job_completed", other.id);
    expect((await app.event("job_failed", job.id)).payload).toMatchObject({
      code: "worker_crashed",
      attempt: 2,
    });
    expect(await app.read(ada, job.id)).toMatchObject({
      status: "failed",
      attempt: 2,
      error: { code: "worker_crashed" },
    });
  });

  it("[JOB33] in the last attempt leaves no job running for ever", async () => {
    const { store, queueName } = await open();
    const ada = await app.user();
    app.handlers.set("slow", never);
    await app.worker({ timings: { leaseMs: 100, renewMs: 60_000 } });
    const job = await app.task(ada, "slow", { options: { maxAttempts: 1 } });
    await app.event("job_started", job.id);
    await app.worker();
    await store.dropLock(queueName, `${job.id}-1`);
    expect((await app.event("job_failed", job.id)).payload["code"]).toBe("worker_crashed");
  });
});
