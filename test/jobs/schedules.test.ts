import { afterEach, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import {
  createJobApp,
  eventually,
  type JobApp,
  type JobAppOptions,
  never,
  pointersOf,
} from "../kit/job-app.js";
import { createGate } from "../kit/job-queue.js";
import type { TestUser } from "../kit/project-app.js";

let app: JobApp;
afterEach(() => app.close());

async function open(options: JobAppOptions = {}): Promise<JobApp> {
  app = await createJobApp(options);
  return app;
}

const DAILY = { cron: "0 9 * * *", timeZone: "Europe/Zurich" };

async function listed(as: TestUser, query = "") {
  return (await app.call("GET", `/job-schedules${query}`, { as })).body.schedules;
}

/** Lets the run of a repetition start now. */
async function makeDue(scheduleId: string | null): Promise<void> {
  await app
    .sql()
    .updateTable("jobs")
    .set((q) => ({ run_at: new Date(), enqueued_at: null, generation: q("generation", "+", 1) }))
    .where("schedule_id", "=", scheduleId)
    .where("status", "=", "pending")
    .execute();
  await app.parts.jobs.sweep();
}

const runsOf = async (scheduleId: string | null) =>
  app
    .sql()
    .selectFrom("jobs")
    .select(["id", "status", "run_at"])
    .where("schedule_id", "=", scheduleId)
    .orderBy("id")
    .execute();

/** The run after `count` others. */
const nextRun = (scheduleId: string | null, count: number) =>
  eventually(async () => {
    const run = (await runsOf(scheduleId))[count];
    if (!run) throw new Error("not made yet");
    return run;
  });

describe("a job that repeats", () => {
  it("[JOB112] is submitted with cron and time zone: the job is its first run, and the repetition is listed", async () => {
    await open();
    const ada = await app.user();
    const job = await app.task(ada, "quick", { options: { ...DAILY, priority: 7, maxAttempts: 2 } });
    expect(job).toMatchObject({ status: "pending", attempt: 0, scheduleId: expect.any(String) });
    expect(
      new Intl.DateTimeFormat("en", { timeZone: "Europe/Zurich", hour: "numeric", minute: "2-digit" }).format(
        new Date(job.runAt),
      ),
    ).toBe("9:00 AM");
    expect(Date.parse(job.runAt)).toBeGreaterThan(Date.now());
    expect(await listed(ada)).toEqual([
      {
        id: job.scheduleId,
        type: "task",
        ...DAILY,
        ownerId: ada.id,
        projectId: null,
        workspaceId: null,
        priority: 7,
        maxAttempts: 2,
        jobId: job.id,
        nextRunAt: job.runAt,
        endedReason: null,
        createdAt: job.createdAt,
        endedAt: null,
      },
    ]);
    expect(await listed(await app.user())).toEqual([]);
  });

  it("[JOB110] is refused with a pointer when cron or time zone are none, or go with another start", async () => {
    await open();
    const ada = await app.user();
    const submit = (options: object) =>
      app.call("POST", "/jobs", { as: ada, body: { type: "task", payload: { name: "quick" }, options } });
    for (const [options, pointer] of [
      [{ cron: "61 * * * *" }, "/options/cron"],
      [{ cron: "0 0 30 2 *" }, "/options/cron"],
      [{ cron: "" }, "/options/cron"],
      [{ cron: 5 }, "/options/cron"],
      [{ cron: "* * * * *", timeZone: "Moon/Sea" }, "/options/timeZone"],
      [{ timeZone: "UTC" }, "/options/timeZone"],
      [{ cron: "* * * * *", delayMs: 5 }, "/options/cron"],
    ] as const) {
      const answer = await submit(options);
      expect([options, answer.status, pointersOf(answer)]).toEqual([options, 400, [pointer]]);
    }
    expect(await listed(ada)).toEqual([]);
  });

  it("[JOB113] runs again and again, one run at a time, however a run ends and however often that is told", async () => {
    const { handlers } = await open();
    const gate = createGate();
    let runs = 0;
    handlers.set("count", async () => {
      runs += 1;
      if (runs === 2) throw new Error("failed");
      if (runs === 1) await gate.opened;
    });
    await app.worker();
    const ada = await app.user();
    const first = await app.task(ada, "count", { options: { ...DAILY, maxAttempts: 1 } });
    await makeDue(first.scheduleId);
    await app.event("job_started", first.id);
    expect((await listed(ada))[0]).toMatchObject({ jobId: first.id, nextRunAt: null });
    await app.parts.jobs.sweep();
    expect(await runsOf(first.scheduleId)).toHaveLength(1);
    gate.open();
    const second = await nextRun(first.scheduleId, 1);
    expect(second.run_at.getTime()).toBeGreaterThan(Date.now());
    await makeDue(first.scheduleId);
    await app.event("job_failed", second.id);
    const third = await nextRun(first.scheduleId, 2);
    await app.call("POST", `/jobs/${third.id}/cancel`, { as: ada });
    const fourth = await nextRun(first.scheduleId, 3);
    await app.parts.jobs.consumer.handle(app.events);
    await Promise.all([app.parts.jobs.sweep(), app.parts.jobs.sweep()]);
    expect((await runsOf(first.scheduleId)).map(({ status }) => status)).toEqual([
      "completed",
      "failed",
      "cancelled",
      "pending",
    ]);
    expect(await app.read(ada, fourth.id)).toMatchObject({ scheduleId: first.scheduleId, maxAttempts: 1 });
    const again = await app.call("POST", `/jobs/${second.id}/retry`, { as: ada });
    expect([again.status, again.body.code]).toEqual([409, "job_not_retryable"]);
  });

  it("[JOB114] ends when it is told to: what waits is cancelled, what runs comes to its end, and no run follows", async () => {
    const { handlers, projects } = await open();
    const gate = createGate();
    handlers.set("wait", () => gate.opened);
    await app.worker();
    const [ada, bob, eve, carl] = [await app.user(), await app.user(), await app.user(), await app.user()];
    const projectId = await projects.project(ada, [
      [bob, "viewer"],
      [carl, "collaborator"],
    ]);
    const waiting = await app.task(ada, "wait", { projectId, options: DAILY });
    const running = await app.task(ada, "wait", { options: DAILY });
    await makeDue(running.scheduleId);
    await app.event("job_started", running.id);
    const end = async (as: TestUser, id: string | null) =>
      (await app.call("DELETE", `/job-schedules/${id}`, { as })).status;
    expect((await listed(bob, `?projectId=${projectId}`)).map(({ id }) => id)).toEqual([waiting.scheduleId]);
    expect([await end(bob, waiting.scheduleId), await end(eve, waiting.scheduleId)]).toEqual([403, 404]);
    expect(await end(eve, running.scheduleId)).toBe(404);
    expect([await end(carl, waiting.scheduleId), await end(ada, running.scheduleId)]).toEqual([204, 204]);
    expect(await end(ada, waiting.scheduleId)).toBe(204);
    gate.open();
    await app.event("job_cancelled", waiting.id);
    await app.event("job_completed", running.id);
    await app.parts.jobs.consumer.handle(app.events);
    await app.parts.jobs.sweep();
    for (const { scheduleId } of [waiting, running]) expect(await runsOf(scheduleId)).toHaveLength(1);
    expect(await listed(ada)).toMatchObject([
      { endedReason: "cancelled", jobId: null },
      { endedReason: "cancelled", jobId: null },
    ]);
  });

  it("[JOB115] ends when its owner may not run jobs there any more", async () => {
    const { handlers, projects } = await open();
    handlers.set("quick", () => 1);
    await app.worker();
    const [ada, bob] = [await app.user(), await app.user()];
    const projectId = await projects.project(ada, [[bob, "collaborator"]]);
    const job = await app.task(bob, "quick", { projectId, options: DAILY });
    await projects.call("DELETE", `/projects/${projectId}/members/${bob.id}`, { as: ada });
    await makeDue(job.scheduleId);
    await app.event("job_cancelled", job.id);
    await eventually(async () =>
      expect((await listed(ada, `?projectId=${projectId}`))[0]).toMatchObject({
        endedReason: "forbidden",
        jobId: null,
      }),
    );
    expect(await listed(bob)).toEqual([]);
  });

  it("[JOB116] takes no place in the queue, but a user has only so many, and their runs count as runs", async () => {
    const { handlers } = await open({ queuedPerUser: 1, schedulesPerUser: 2, runsPerHour: 3 });
    handlers.set("quick", () => 1);
    await app.worker();
    const ada = await app.user();
    const first = await app.task(ada, "quick", { options: { cron: "* * * * *" } });
    await app.task(ada, "quick", { options: DAILY });
    const third = await app.call("POST", "/jobs", {
      as: ada,
      body: { type: "task", payload: { name: "quick" }, options: DAILY },
    });
    expect([third.status, third.body.code, third.body.limit]).toEqual([429, "quota_exceeded", 2]);
    await makeDue(first.scheduleId);
    const next = await nextRun(first.scheduleId, 1);
    // Three submissions this hour: the next run waits until one more fits.
    expect(next.run_at.getTime() - Date.now()).toBeGreaterThan(5 * 60_000);
  });
});

describe("what is over", () => {
  it("[JOB117] is deleted with its log after the retention, in small steps, and nothing else is", async () => {
    const { handlers } = await open();
    handlers.set("talk", ({ log }) => {
      for (let i = 0; i < 25; i += 1) log(i % 2 ? "stdout" : "stderr", "line\n");
    });
    handlers.set("hang", never);
    await app.worker();
    const ada = await app.user();
    const [old, young, hanging] = [
      await app.task(ada, "talk"),
      await app.task(ada, "talk"),
      await app.task(ada, "hang"),
    ];
    const ended = await app.task(ada, "talk", { options: DAILY });
    await app.call("DELETE", `/job-schedules/${ended.scheduleId}`, { as: ada });
    for (const job of [old, young]) await app.event("job_completed", job.id);
    await app.event("job_started", hanging.id);
    const before = new Date(Date.now() - 1_000_000);
    const long = new Date(before.getTime() - 1_000);
    await sql`update jobs set finished_at = ${long} where id in (${old.id}, ${ended.id})`.execute(app.sql());
    await sql`update job_schedules set ended_at = ${long}`.execute(app.sql());
    await app.parts.jobs.prune(before, 10, new AbortController().signal);
    const jobs = await app.sql().selectFrom("jobs").select("id").execute();
    expect(jobs.map(({ id }) => id).sort()).toEqual([young.id, hanging.id].sort());
    const logs = await app.sql().selectFrom("job_logs").select("job_id").distinct().execute();
    expect(logs).toEqual([{ job_id: young.id }]);
    expect(await listed(ada)).toEqual([]);
    expect((await app.call("GET", `/jobs/${old.id}`, { as: ada })).status).toBe(404);
  });
});
