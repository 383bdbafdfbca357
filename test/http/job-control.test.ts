import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { v7 } from "uuid";
import { createJobApp, endJob, type JobApp, withJobApp } from "../kit/job-app.js";
import { createGate } from "../kit/job-queue.js";
import type { TestUser } from "../kit/project-app.js";

let app: JobApp;
let ada: TestUser;
let ben: TestUser;
let eve: TestUser;

beforeAll(async () => {
  app = await createJobApp();
});
afterAll(() => app.close());
beforeEach(async () => {
  [ada, ben, eve] = [await app.user(), await app.user(), await app.user()];
});

describe("POST /jobs/:jobId/cancel", () => {
  const cancel = (as: TestUser | undefined, id: string) =>
    app.call("POST", `/jobs/${id}/cancel`, as ? { as } : {});

  it("[JOB17] 200 for one that waits, and again for one that is cancelled", async () => {
    const job = await app.task(ada, "quick");
    const first = await cancel(ada, job.id);
    expect(first.status).toBe(200);
    expect(first.body.job).toMatchObject({ status: "cancelled", queuedSince: null });
    expect(first.body.job.finishedAt).not.toBeNull();
    const again = await cancel(ada, job.id);
    expect(again.status).toBe(200);
    expect(again.body).toEqual(first.body);
    await app.event("job_cancelled", job.id);
    expect(app.events.filter((event) => event.payload["jobId"] === job.id)).toHaveLength(2);
  });

  it("[JOB17] 409 for one that has ended, 401, 403 and 404 by who asks", async () => {
    const projectId = await app.projects.project(ada, [
      [ben, "viewer"],
      [eve, "collaborator"],
    ]);
    const job = await app.task(ada, "quick", { projectId });
    expect((await cancel(undefined, job.id)).status).toBe(401);
    expect((await cancel(ben, job.id)).status).toBe(403);
    expect((await cancel(await app.user(), job.id)).status).toBe(404);
    expect((await cancel(ada, v7())).status).toBe(404);
    expect((await app.row(job.id)).status).toBe("pending");
    expect((await cancel(eve, job.id)).status).toBe(200);
    expect(await app.event("job_cancelled", job.id)).toMatchObject({ userId: eve.id, projectId });
    for (const status of ["completed", "failed"] as const) {
      const ended = await app.task(ada, "quick");
      await endJob(app, ended, status);
      const answer = await cancel(ada, ended.id);
      expect(answer.status).toBe(409);
      expect(answer.body.code).toBe("job_not_cancellable");
    }
  });

  it("[JOB17] lets somebody who was demoted stop a job of their own", async () => {
    const projectId = await app.projects.project(ada, [[ben, "collaborator"]]);
    const job = await app.task(ben, "quick", { projectId });
    await app.projects.call("PATCH", `/projects/${projectId}/members/${ben.id}`, {
      as: ada,
      body: { role: "viewer" },
    });
    expect((await cancel(ben, job.id)).status).toBe(200);
  });
});

describe("POST /jobs/:jobId/retry", () => {
  const retry = (as: TestUser | undefined, id: string, headers = {}) =>
    app.call("POST", `/jobs/${id}/retry`, { ...(as ? { as } : {}), headers });

  it("[JOB18] 202: a failed or cancelled job waits again, with fresh attempts, and runs", async () => {
    await withJobApp({}, async (other) => {
      const as = await other.user();
      let healthy = false;
      const runs: number[] = [];
      other.handlers.set("moody", ({ attempt }) => {
        runs.push(attempt);
        if (!healthy) throw new Error("not now");
        return "well";
      });
      await other.worker();
      const job = await other.task(as, "moody");
      await other.event("job_failed", job.id);
      const before = await other.read(as, job.id);
      expect(before).toMatchObject({ status: "failed", attempt: 3 });
      const again = await other.call("POST", `/jobs/${job.id}/retry`, { as });
      expect(again.status).toBe(202);
      expect(again.headers.get("location")).toBe(`/api/v1/jobs/${job.id}`);
      expect(again.body.job).toMatchObject({
        id: job.id,
        status: "pending",
        attempt: 3,
        maxAttempts: 6,
        error: null,
        finishedAt: null,
      });
      await other.event("job_failed", job.id, 2);
      healthy = true;
      await other.call("POST", `/jobs/${job.id}/retry`, { as });
      await other.event("job_completed", job.id);
      expect(await other.read(as, job.id)).toMatchObject({ attempt: 7, result: { value: "well" } });
      expect(runs).toEqual([1, 2, 3, 4, 5, 6, 7]);
    });
  });

  it("[JOB18] starts again a job that is cancelled, even while its old run still ends", async () => {
    await withJobApp({}, async (other) => {
      const as = await other.user();
      const gate = createGate();
      other.handlers.set("slow", async ({ attempt }) => {
        if (attempt === 1) await gate.opened;
        return attempt;
      });
      await other.worker();
      const job = await other.task(as, "slow");
      await other.event("job_started", job.id);
      await other.call("POST", `/jobs/${job.id}/cancel`, { as });
      await other.call("POST", `/jobs/${job.id}/retry`, { as });
      await other.event("job_completed", job.id);
      gate.open();
      expect(await other.read(as, job.id)).toMatchObject({ attempt: 2, result: { value: 2 } });
    });
  });

  it("[JOB18] 401, 403, 404 and 409", async () => {
    const projectId = await app.projects.project(ada, [
      [ben, "viewer"],
      [eve, "collaborator"],
    ]);
    const job = await app.task(ada, "quick", { projectId });
    expect((await retry(ada, job.id)).body.code).toBe("job_not_retryable");
    await endJob(app, job, "completed");
    expect((await retry(ada, job.id)).status).toBe(409);
    await endJob(app, job, "failed");
    expect((await retry(undefined, job.id)).status).toBe(401);
    expect((await retry(ben, job.id)).status).toBe(403);
    expect((await retry(await app.user(), job.id)).status).toBe(404);
    expect((await retry(ada, v7())).status).toBe(404);
    const key = { "Idempotency-Key": v7() };
    const [first, again] = [await retry(eve, job.id, key), await retry(eve, job.id, key)];
    expect([first.status, again.status]).toEqual([202, 202]);
    expect(again.body).toEqual(first.body);
  });

  it("[JOB18] 429 when the owner's queue is full, 503 when the type is switched off", async () => {
    await withJobApp({ queuedPerUser: 1 }, async (other) => {
      const as = await other.user();
      const job = await other.task(as, "x");
      await other.call("POST", `/jobs/${job.id}/cancel`, { as });
      await other.task(as, "x");
      const full = await other.call("POST", `/jobs/${job.id}/retry`, { as });
      expect(full.status).toBe(429);
      expect(full.body).toMatchObject({ code: "quota_exceeded", limit: 1 });
      await other.sql().updateTable("jobs").set({ type: "switched_off" }).where("id", "=", job.id).execute();
      const off = await other.call("POST", `/jobs/${job.id}/retry`, { as });
      expect(off.status).toBe(503);
    });
  });
});
