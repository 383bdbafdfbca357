import { afterEach, describe, expect, it } from "@jest/globals";
import { sql as raw } from "kysely";
import { aborted, createJobApp, eventually, type JobApp, type JobAppOptions } from "../kit/job-app.js";
import { createGate } from "../kit/job-queue.js";

let app: JobApp;
afterEach(() => app.close());

async function open(options: JobAppOptions = {}): Promise<JobApp> {
  app = await createJobApp(options);
  return app;
}

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
