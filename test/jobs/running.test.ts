import { afterEach, describe, expect, it } from "@jest/globals";
import { AppError } from "../../src/errors.js";
import { aborted, createJobApp, type JobApp, type JobAppOptions, never } from "../kit/job-app.js";
import { createGate } from "../kit/job-queue.js";

let app: JobApp;
afterEach(() => app.close());

async function open(options: JobAppOptions = {}): Promise<JobApp> {
  app = await createJobApp(options);
  return app;
}

describe("running", () => {
  it("[JOB20] runs a job once and keeps its result", async () => {
    const { handlers } = await open();
    handlers.set("double", (_context, value) => Number(value) * 2);
    await app.worker();
    const ada = await app.user();
    const job = await app.task(ada, "double", { value: 21 });
    expect(job).toMatchObject({ status: "pending", attempt: 0, progress: 0, result: null });
    await app.event("job_completed", job.id);
    expect(await app.read(ada, job.id)).toMatchObject({
      status: "completed",
      attempt: 1,
      progress: 100,
      result: { value: 42 },
      error: null,
      queuedSince: null,
    });
    expect(app.events.map(({ type, userId }) => [type, userId])).toEqual([
      ["job_created", ada.id],
      ["job_started", ada.id],
      ["job_completed", ada.id],
    ]);
  });

  it("[JOB21] tries again what fails for a passing reason", async () => {
    const { handlers } = await open();
    const ada = await app.user();
    handlers.set("flaky", async ({ attempt }) => {
      if (attempt < 3) throw new AppError("overloaded");
      return "done";
    });
    await app.worker();
    const job = await app.task(ada, "flaky");
    await app.event("job_completed", job.id);
    expect(await app.read(ada, job.id)).toMatchObject({ status: "completed", attempt: 3, error: null });
    const attempts = app.events.map(({ type, payload }) => [type, payload["attempt"], payload["code"]]);
    expect(attempts).toEqual([
      ["job_created", undefined, undefined],
      ["job_started", 1, undefined],
      ["job_retrying", 1, "overloaded"],
      ["job_started", 2, undefined],
      ["job_retrying", 2, "overloaded"],
      ["job_started", 3, undefined],
      ["job_completed", 3, undefined],
    ]);
  });

  it("[JOB21] says meanwhile why it failed and when it starts again, and leaves the slot to others", async () => {
    const { handlers } = await open({ runningPerUser: 1 });
    const ada = await app.user();
    handlers.set("flaky", () => {
      throw new AppError("overloaded", { detail: "Busy." });
    });
    handlers.set("quick", () => "ran");
    await app.worker({ timings: { backoff: { firstMs: 60_000, mostMs: 60_000 } } });
    const job = await app.task(ada, "flaky");
    await app.event("job_retrying", job.id);
    const waiting = await app.read(ada, job.id);
    expect(waiting).toMatchObject({
      status: "retrying",
      attempt: 1,
      error: { code: "overloaded", message: "Busy." },
    });
    expect(waiting.queuedSince).not.toBeNull();
    expect(Date.parse(waiting.runAt) - Date.parse(waiting.startedAt ?? "")).toBeGreaterThanOrEqual(45_000);
    await app.event("job_completed", (await app.task(ada, "quick")).id);
  });

  it("[JOB23] gives up after the attempts of its type, or as many as the submission says", async () => {
    const { handlers } = await open();
    handlers.set("broken", () => {
      throw new Error("connection string postgres://secret");
    });
    await app.worker();
    const ada = await app.user();
    const three = await app.task(ada, "broken");
    const one = await app.task(ada, "broken", { options: { maxAttempts: 1 } });
    await app.event("job_failed", three.id);
    await app.event("job_failed", one.id);
    const failed = await app.read(ada, three.id);
    expect(failed).toMatchObject({
      status: "failed",
      attempt: 3,
      maxAttempts: 3,
      error: { code: "internal_error", message: "Something went wrong on our side." },
    });
    expect(JSON.stringify(failed)).not.toContain("secret");
    expect(await app.read(ada, one.id)).toMatchObject({ status: "failed", attempt: 1, maxAttempts: 1 });
  });

  it("[JOB24] fails at once what another attempt cannot help", async () => {
    const { handlers } = await open();
    handlers.set("hopeless", () => {
      throw new AppError("unprocessable", { detail: "There is no such file." });
    });
    await app.worker();
    const ada = await app.user();
    const job = await app.task(ada, "hopeless");
    await app.event("job_failed", job.id);
    expect(await app.read(ada, job.id)).toMatchObject({
      status: "failed",
      attempt: 1,
      error: { code: "unprocessable", message: "There is no such file." },
    });
  });

  it("[JOB25] stops a run that takes longer than its type allows, also one that does not listen", async () => {
    const { handlers } = await open();
    const reasons: unknown[] = [];
    handlers.set("listens", async (context) => reasons.push(await aborted(context)));
    handlers.set("deaf", never);
    await app.worker();
    const ada = await app.user();
    const more = { type: "short_task", options: { maxAttempts: 1 } };
    for (const name of ["listens", "deaf"]) {
      const job = await app.task(ada, name, more);
      await app.event("job_failed", job.id);
      expect(await app.read(ada, job.id)).toMatchObject({
        status: "failed",
        error: { code: "job_timed_out", message: "The job ran longer than 1 s." },
      });
    }
    expect(reasons).toEqual(["time_limit"]);
  });

  it("[JOB26] starts a delayed job no earlier than it says", async () => {
    const { handlers } = await open();
    handlers.set("now", () => Date.now());
    await app.worker();
    const ada = await app.user();
    const late = await app.task(ada, "now", { options: { delayMs: 600 } });
    const runAt = new Date(Date.now() + 600).toISOString();
    const dated = await app.task(ada, "now", { options: { runAt } });
    const soon = await app.task(ada, "now");
    expect(dated.runAt).toBe(runAt);
    for (const { id } of [late, dated, soon]) await app.event("job_completed", id);
    for (const { id } of [late, dated]) {
      const job = await app.read(ada, id);
      expect((job.result as { value: number }).value).toBeGreaterThanOrEqual(Date.parse(job.runAt));
    }
  });

  it("[JOB27] fails a job whose type no worker has known for ten minutes", async () => {
    await open();
    const ada = await app.user();
    const [young, old] = [await app.task(ada, "x"), await app.task(ada, "x")];
    await app.sql().updateTable("jobs").set({ type: "of_another_version" }).execute();
    const longAgo = new Date(Date.now() - 11 * 60_000);
    await app.sql().updateTable("jobs").set({ queued_at: longAgo }).where("id", "=", old.id).execute();
    await app.worker();
    expect((await app.event("job_failed", old.id)).payload["code"]).toBe("unprocessable");
    expect((await app.row(young.id)).status).toBe("pending");
  });
});

describe("a worker that stops", () => {
  it("[JOB34] lets what runs end within the grace and takes nothing new", async () => {
    const { handlers } = await open();
    const gate = createGate();
    handlers.set("slow", () => gate.opened);
    handlers.set("next", () => "ran");
    const worker = await app.worker();
    const ada = await app.user();
    const job = await app.task(ada, "slow");
    await app.event("job_started", job.id);
    const stopped = worker.stop(20_000);
    const next = await app.task(ada, "next");
    gate.open();
    await stopped;
    expect(await app.row(job.id)).toMatchObject({ status: "completed" });
    expect(await app.row(next.id)).toMatchObject({ status: "pending", attempt: 0 });
  });

  it("[JOB35] hands the rest back, which counts as no attempt", async () => {
    const { handlers } = await open();
    const reasons: string[] = [];
    handlers.set("slow", async (context) => {
      if (context.attempt < 4) reasons.push(await aborted(context));
      return "done";
    });
    const ada = await app.user();
    const job = await app.task(ada, "slow", { options: { maxAttempts: 1 } });
    for (let n = 1; n <= 3; n += 1) {
      const worker = await app.worker();
      await app.event("job_started", job.id, n);
      await worker.stop(0);
      expect(await app.row(job.id)).toMatchObject({ status: "pending", attempt: n });
    }
    await app.worker();
    await app.event("job_completed", job.id);
    expect(await app.read(ada, job.id)).toMatchObject({ status: "completed", attempt: 4, maxAttempts: 4 });
    expect(reasons).toEqual(["stopping", "stopping", "stopping"]);
    expect(app.events.filter(({ type }) => type === "job_failed" || type === "job_retrying")).toEqual([]);
  });
});
