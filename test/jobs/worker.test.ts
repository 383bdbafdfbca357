import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "@jest/globals";
import { sql as raw } from "kysely";
import { AppError } from "../../src/errors.js";
import { backoffMs } from "../../src/jobs/failure.js";
import type { JobContext } from "../../src/jobs/job-type.js";
import { createRunRepository } from "../../src/jobs/run-repository.js";
import { createPostgresDatabase } from "../../src/platform/database/postgres.js";
import { connectClient, type PostgresConnection } from "../../src/platform/database/postgres-connection.js";
import { createJobApp, eventually, type JobApp, type JobAppOptions } from "../kit/job-app.js";
import { createJobParts } from "../kit/job-parts.js";
import { createGate } from "../kit/job-queue.js";
import { startTcpProxy } from "../kit/tcp-proxy.js";

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

/** Resolves when the run is told to stop. */
const aborted = ({ signal }: JobContext) =>
  new Promise<string>((resolve) => {
    if (signal.aborted) resolve(String(signal.reason));
    else signal.addEventListener("abort", () => resolve(String(signal.reason)));
  });

/** Where PostgreSQL listens, and the same server through a door on the loopback. */
function doorFor(connection: PostgresConnection) {
  const { url, host = "127.0.0.1", port = 5432 } = connection;
  if (url !== undefined) {
    const at = new URL(url);
    return {
      target: { host: at.hostname, port: Number(at.port || 5432) },
      through(doorPort: number): PostgresConnection {
        at.host = `127.0.0.1:${doorPort}`;
        return { ...connection, url: at.href };
      },
    };
  }
  return {
    target: host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port}` } : { host, port },
    through: (doorPort: number): PostgresConnection => ({ ...connection, host: "127.0.0.1", port: doorPort }),
  };
}

const never = () => new Promise(() => {});

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

  it("[JOB22] doubles the delay between attempts up to a most, give or take a quarter", () => {
    const backoff = { firstMs: 1_000, mostMs: 60_000 };
    const middle = [1, 2, 3, 4, 5, 6, 7, 50].map((failures) => backoffMs(failures, backoff, () => 0.5));
    expect(middle).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    expect(backoffMs(2, backoff, () => 0)).toBe(1_500);
    expect(backoffMs(2, backoff, () => 1)).toBe(2_500);
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
        error: { code: "internal_error", message: "The job ran longer than 1 s." },
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

describe("cancelling", () => {
  it("[JOB40] keeps a waiting job from ever running", async () => {
    const { handlers } = await open({ runningPerUser: 1 });
    const gate = createGate();
    const ran: unknown[] = [];
    handlers.set("slow", async (_context, value) => {
      ran.push(value);
      await gate.opened;
    });
    const ada = await app.user();
    const queued = await app.task(ada, "slow", { value: "queued" });
    const parked = await app.task(ada, "slow", { value: "parked" });
    const delayed = await app.task(ada, "slow", { value: "delayed", options: { delayMs: 60_000 } });
    await eventually(async () =>
      expect(await app.parts.queue.counts()).toMatchObject({ waiting: 1, delayed: 1 }),
    );
    for (const { id } of [queued, parked, delayed]) {
      const answer = await app.call("POST", `/jobs/${id}/cancel`, { as: ada });
      expect(answer.body.job).toMatchObject({ status: "cancelled" });
      await app.event("job_cancelled", id);
    }
    await eventually(async () =>
      expect(await app.parts.queue.counts()).toMatchObject({ waiting: 0, delayed: 0 }),
    );
    await app.worker();
    gate.open();
    const last = await app.task(ada, "slow", { value: "last" });
    await app.event("job_completed", last.id);
    expect(ran).toEqual(["last"]);
  });

  it("[JOB41] stops a running job at once, refuses its result and frees its slot", async () => {
    const { handlers } = await open({ runningPerUser: 1 });
    const reasons: unknown[] = [];
    handlers.set("slow", async (context) => {
      reasons.push(await aborted(context));
      return "too late";
    });
    handlers.set("next", () => "ran");
    // Leases are renewed too seldom to matter: the message stops it.
    await app.worker({ timings: { leaseMs: 60_000, renewMs: 30_000 } });
    const ada = await app.user();
    const job = await app.task(ada, "slow");
    await app.event("job_started", job.id);
    const next = await app.task(ada, "next");
    await app.call("POST", `/jobs/${job.id}/cancel`, { as: ada });
    await app.event("job_completed", next.id);
    expect(await app.read(ada, job.id)).toMatchObject({ status: "cancelled", result: null, error: null });
    await eventually(() => expect(reasons).toEqual(["cancelled"]));
    expect(app.events.filter(({ payload }) => payload["jobId"] === job.id).map(({ type }) => type)).toEqual([
      "job_created",
      "job_started",
      "job_cancelled",
    ]);
  });

  it("[JOB42] stops it at its next lease when the message was lost", async () => {
    const { handlers } = await open();
    const stopped = createGate();
    handlers.set("slow", async (context) => {
      await aborted(context);
      stopped.open();
    });
    await app.worker();
    const ada = await app.user();
    const job = await app.task(ada, "slow");
    await app.event("job_started", job.id);
    app.pubsub.publish = () => Promise.reject(new Error("Redis is away"));
    await app.call("POST", `/jobs/${job.id}/cancel`, { as: ada });
    await stopped.opened;
    expect(await app.row(job.id)).toMatchObject({ status: "cancelled" });
  });
});

describe("rights at the start", () => {
  it.each(["removed", "demoted"])(
    "[JOB43] cancels the waiting job of a member who was %s meanwhile",
    async (how) => {
      const { handlers, projects } = await open();
      let ran = false;
      handlers.set("secret", () => {
        ran = true;
      });
      const [ada, ben] = [await app.user(), await app.user()];
      const projectId = await projects.project(ada, [[ben, "collaborator"]]);
      const job = await app.task(ben, "secret", { projectId });
      const path = `/projects/${projectId}/members/${ben.id}`;
      if (how === "removed") await projects.call("DELETE", path, { as: ada });
      else await projects.call("PATCH", path, { as: ada, body: { role: "viewer" } });
      await app.worker();
      const event = await app.event("job_cancelled", job.id);
      expect(event).toMatchObject({ projectId, userId: null });
      expect(await app.row(job.id)).toMatchObject({ status: "cancelled", attempt: 0 });
      expect(ran).toBe(false);
    },
  );

  it("[JOB44] cancels the waiting job of an account that was disabled meanwhile", async () => {
    await open();
    const ada = await app.user();
    const job = await app.task(ada, "x");
    await raw`update users set disabled_at = now() where id = ${ada.id}`.execute(app.sql());
    await app.worker();
    await app.event("job_cancelled", job.id);
    expect(await app.row(job.id)).toMatchObject({ status: "cancelled", attempt: 0 });
  });

  it("[JOB45] forgets the jobs of a deleted project, waiting or running", async () => {
    const { handlers, projects } = await open({ runningPerUser: 1 });
    const stopped = createGate();
    handlers.set("slow", async (context) => {
      await aborted(context);
      stopped.open();
    });
    handlers.set("next", () => "ran");
    await app.worker();
    const ada = await app.user();
    const projectId = await projects.project(ada);
    const running = await app.task(ada, "slow", { projectId });
    await app.event("job_started", running.id);
    await app.task(ada, "slow", { projectId });
    await projects.call("DELETE", `/projects/${projectId}`, { as: ada });
    await stopped.opened;
    const next = await app.task(ada, "next");
    await app.event("job_completed", next.id);
    expect(await app.sql().selectFrom("jobs").select("id").execute()).toEqual([{ id: next.id }]);
  });
});

describe("what was answered 202", () => {
  const longAgo = () =>
    app
      .sql()
      .updateTable("jobs")
      .set({ enqueued_at: new Date(Date.now() - 16_000) })
      .where("enqueued_at", "is not", null)
      .execute();

  it("[JOB46] runs after the queue has lost everything", async () => {
    const { handlers, store } = await open();
    handlers.set("quick", (_context, value) => value);
    const ada = await app.user();
    const jobs = await Promise.all([1, 2].map((value) => app.task(ada, "quick", { value })));
    const delayed = await app.task(ada, "quick", { value: 3, options: { delayMs: 60_000 } });
    await eventually(async () =>
      expect(await app.parts.queue.counts()).toMatchObject({ waiting: 2, delayed: 1 }),
    );
    if (store.address.kind !== "postgres") throw new Error("another store");
    const client = await connectClient(store.address.connection);
    await client.query("truncate bullmq.job cascade");
    await client.end();
    expect(await app.parts.queue.counts()).toMatchObject({ waiting: 0, delayed: 0 });
    await app.worker();
    await longAgo();
    await app.parts.jobs.sweep();
    for (const { id } of jobs) await app.event("job_completed", id);
    expect(await app.row(delayed.id)).toMatchObject({ status: "pending" });
    await app.sql().updateTable("jobs").set({ run_at: new Date() }).where("id", "=", delayed.id).execute();
    await longAgo();
    await app.parts.jobs.sweep();
    await app.event("job_completed", delayed.id);
    expect(await app.row(delayed.id)).toMatchObject({ attempt: 1 });
  });

  it("[JOB47] runs after the queue lost the job of a worker that died", async () => {
    const { handlers } = await open();
    handlers.set("slow", ({ attempt }) => (attempt === 1 ? never() : attempt));
    await app.worker({ timings: { leaseMs: 100, renewMs: 60_000 } });
    const ada = await app.user();
    const job = await app.task(ada, "slow");
    await app.event("job_started", job.id);
    if (app.store.address.kind !== "postgres") throw new Error("another store");
    const client = await connectClient(app.store.address.connection);
    await client.query("truncate bullmq.job cascade");
    await client.end();
    await app.worker();
    await eventually(async () => {
      await longAgo();
      await app.parts.jobs.sweep();
      expect(await app.row(job.id)).toMatchObject({ status: "completed", attempt: 2 });
    });
  });

  it("[JOB48] runs although the queue was away and the process that answered is gone", async () => {
    const { handlers, projects, store, queueName, pubsub } = await open({ dispatching: false });
    handlers.set("quick", () => "ran");
    await app.parts.queue.close();
    const ada = await app.user();
    const now = await app.task(ada, "quick");
    const later = await app.task(ada, "quick", { options: { delayMs: 1 } });
    const restarted = createJobParts({
      database: projects.database,
      address: store.address,
      queueName,
      pubsub,
      handlers,
    });
    const worker = restarted.jobs.createWorker({ concurrency: 2 });
    await worker.start();
    await restarted.jobs.sweep();
    await eventually(async () => {
      expect(await app.row(now.id)).toMatchObject({ status: "completed", attempt: 1 });
      expect(await app.row(later.id)).toMatchObject({ status: "completed", attempt: 1 });
    });
    await worker.stop(0);
    await restarted.close();
  });

  it("[JOB55] keeps its result although the database is away when the run ends", async () => {
    const { handlers, connection, store, queueName, pubsub } = await open();
    const gate = createGate();
    handlers.set("slow", async ({ log }) => {
      await gate.opened;
      log("stdout", "said meanwhile");
      return "kept";
    });
    const { target, through } = doorFor(connection);
    const door = await startTcpProxy(target);
    const database = createPostgresDatabase({
      connection: through(door.port),
      onError: () => undefined,
    });
    const apart = createJobParts({ database, address: store.address, queueName, pubsub, handlers });
    const worker = apart.jobs.createWorker({ concurrency: 1, timings: { writePatienceMs: 20_000 } });
    await worker.start();
    const ada = await app.user();
    const job = await app.task(ada, "slow");
    await app.event("job_started", job.id);
    await door.stop();
    gate.open();
    const failed = database.ping().then(
      () => false,
      () => true,
    );
    expect(await failed).toBe(true);
    await door.restore();
    await app.event("job_completed", job.id);
    expect(await app.read(ada, job.id)).toMatchObject({ attempt: 1, result: { value: "kept" } });
    const { body } = await app.call("GET", `/jobs/${job.id}/logs`, { as: ada });
    expect(body.logs.map(({ text }) => text)).toEqual(["said meanwhile"]);
    await worker.stop(0);
    await apart.close();
    await database.close();
    await door.close();
  });

  it("[JOB49] is handed over by the events alone when the short cut fails", async () => {
    const { handlers, parts } = await open({ dispatching: false });
    handlers.set("quick", () => "ran");
    const { enqueue } = parts.queue;
    parts.queue.enqueue = () => Promise.reject(new Error("away"));
    const ada = await app.user();
    const job = await app.task(ada, "quick");
    const delayed = await app.task(ada, "quick", { options: { delayMs: 50 } });
    expect((await app.row(job.id)).enqueued_at).toBeNull();
    await app.dispatch();
    parts.queue.enqueue = enqueue;
    await app.worker();
    await app.event("job_completed", job.id);
    await app.event("job_completed", delayed.id);
  });
});
