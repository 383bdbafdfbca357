import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createArtifactRepository } from "../../src/jobs/artifact-repository.js";
import { ARTIFACT_LIMITS, createArtifacts } from "../../src/jobs/artifacts.js";
import type { JobContext } from "../../src/jobs/job-type.js";
import type { Job } from "../../src/jobs/schema.js";
import { createJobApp, eventually, type JobApp } from "../kit/job-app.js";
import type { TestUser } from "../kit/project-app.js";

let app: JobApp;
let ada: TestUser;
let eve: TestUser;

beforeAll(async () => {
  app = await createJobApp({ runningPerUser: 10 });
  await app.worker();
  [ada, eve] = [await app.user(), await app.user()];
});
afterAll(() => app.close());

let tasks = 0;
async function task(
  work: (context: JobContext) => unknown,
  more: Record<string, unknown> = {},
): Promise<{ job: Job; ended: Job }> {
  tasks += 1;
  app.handlers.set(`artifact-${tasks}`, work);
  const job = await app.task(ada, `artifact-${tasks}`, more);
  await Promise.race([app.event("job_completed", job.id), app.event("job_failed", job.id)]);
  return { job, ended: await app.read(ada, job.id) };
}

const content = (jobId: string, name: string, as = ada) => app.fetch(`/jobs/${jobId}/artifacts/${name}`, as);

async function blobKeys(jobId: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of app.parts.blobs.list(`jobs/${jobId}/`)) keys.push(key);
  return keys;
}

describe("artifacts", () => {
  it("[JOB70] a job's files are listed with size and hash, and come back as they were, as a download no browser runs", async () => {
    const page = "<script>alert(1)</script>";
    const { ended } = await task(async (context) => {
      await context.artifact("page.html", page, "text/html");
      await context.artifact(
        "rows.csv",
        Readable.from([Buffer.from("a,b\n"), Buffer.from("1,2\n")]),
        "text/csv",
      );
    });
    const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
    expect(ended.artifacts).toEqual([
      {
        name: "page.html",
        mediaType: "text/html",
        size: page.length,
        sha256: sha256(page),
        createdAt: expect.any(String),
      },
      expect.objectContaining({ name: "rows.csv", size: 8, sha256: sha256("a,b\n1,2\n") }),
    ]);
    const answer = await content(ended.id, "page.html");
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe(page);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "content-type": "text/html",
      "content-length": String(page.length),
      "content-disposition": 'attachment; filename="page.html"',
      "x-content-type-options": "nosniff",
      "content-security-policy": expect.stringContaining("sandbox"),
      "content-digest": `sha-256=:${createHash("sha256").update(page).digest("base64")}:`,
    });
    expect(await (await content(ended.id, "rows.csv")).text()).toBe("a,b\n1,2\n");
  });

  it("[JOB71] who may not see the job, a name it has not, and a name that is none get nothing", async () => {
    const { ended } = await task((context) => context.artifact("a.txt", "text", "text/plain"));
    const foreign = await content(ended.id, "a.txt", eve);
    const missing = await content(ended.id, "b.txt");
    expect([foreign.status, missing.status]).toEqual([404, 404]);
    for (const name of ["..%2Fa.txt", "a%00.txt", `${"x".repeat(101)}`, "a%22.txt"])
      expect([name, (await content(ended.id, name)).status]).toEqual([name, 400]);
    // What became of a member decides, not what was true when it was made.
    const projectId = await app.projects.project(eve, [[ada, "collaborator"]]);
    const { job } = await task((context) => context.artifact("a.txt", "text", "text/plain"), { projectId });
    expect((await content(job.id, "a.txt", eve)).status).toBe(200);
    await app.projects.call("DELETE", `/projects/${projectId}/members/${ada.id}`, { as: eve });
    expect((await content(job.id, "a.txt")).status).toBe(404);
  });

  it("[JOB72] a run that is none any more keeps nothing, and its content is cleared away", async () => {
    let refused: unknown;
    const artifacts = createArtifacts({
      database: app.projects.database,
      repository: createArtifactRepository(),
      blobs: app.parts.blobs,
      clock: { now: () => Date.now() },
    });
    const { job } = await task(async ({ jobId }) => {
      const gone = { jobId, attempt: 0 };
      refused = await artifacts
        .store(gone, "late.txt", "late", "text/plain")
        .catch((error: unknown) => error);
    });
    expect(refused).toMatchObject({ code: "conflict" });
    expect((await app.read(ada, job.id)).artifacts).toEqual([]);
    expect(await blobKeys(job.id)).toHaveLength(1);
    await app.parts.jobs.clearArtifacts(100);
    expect(await blobKeys(job.id)).toEqual([]);
  });

  it("[JOB73] a result over 256 KiB is kept whole as result.json, and in the job with its long texts cut", async () => {
    const value = { text: "ä".repeat(200_000), list: ["b"], n: 1 };
    const { ended } = await task(() => value);
    expect(ended.status).toBe("completed");
    const kept = (ended.result as { value: typeof value }).value;
    expect(kept).toMatchObject({ list: ["b"], n: 1 });
    expect(kept.text).toBe("ä".repeat(16_384));
    expect(ended.artifacts).toEqual([expect.objectContaining({ name: "result.json" })]);
    expect(await (await content(ended.id, "result.json")).json()).toEqual({ value });
    expect((await task(() => ({ text: "a".repeat(200_000) }))).ended.artifacts).toEqual([]);
    // What is large without long texts has no short form.
    const numbers = Array.from({ length: 100_000 }, (_none, index) => index);
    expect((await task(() => numbers)).ended).toMatchObject({
      status: "failed",
      attempt: 1,
      error: { code: "unprocessable" },
      artifacts: [expect.objectContaining({ name: "result.json" })],
    });
  });

  it("[JOB74] another attempt does not show the files of the one before; retried, deleted and replaced ones are freed", async () => {
    const { job, ended } = await task(async (context) => {
      await context.artifact(`attempt-${context.attempt}.txt`, "1", "text/plain");
      await context.artifact("same.txt", "1", "text/plain");
      await context.artifact("same.txt", "22", "text/plain");
      if (context.attempt === 1) throw new Error("once more");
    });
    expect(ended.attempt).toBe(2);
    expect(ended.artifacts.map(({ name, size }) => [name, size])).toEqual([
      ["attempt-2.txt", 1],
      ["same.txt", 2],
    ]);
    await app.parts.jobs.clearArtifacts(100);
    expect(await blobKeys(job.id)).toHaveLength(2);
    await app.sql().updateTable("jobs").set({ status: "failed" }).where("id", "=", job.id).execute();
    app.handlers.set(`artifact-${tasks}`, () => "nothing");
    const retried = await app.call("POST", `/jobs/${job.id}/retry`, { as: ada });
    expect(retried.body.job.artifacts).toEqual([]);
    await app.event("job_completed", job.id, 2);
    expect((await app.read(ada, job.id)).artifacts).toEqual([]);
    await app.parts.jobs.clearArtifacts(100);
    expect(await blobKeys(job.id)).toEqual([]);

    const { job: other } = await task((context) => context.artifact("a.txt", "1", "text/plain"));
    await app.sql().deleteFrom("jobs").where("id", "=", other.id).execute();
    expect((await content(other.id, "a.txt")).status).toBe(404);
    await app.parts.jobs.clearArtifacts(100);
    expect(await blobKeys(other.id)).toEqual([]);
  });

  it("[JOB75] too many and too large ones are refused, and a source that fails leaves nothing", async () => {
    const { ended } = await task(async (context) => {
      for (let n = 0; n <= ARTIFACT_LIMITS.perJob; n++) await context.artifact(`${n}.txt`, "", "text/plain");
    });
    expect(ended).toMatchObject({ status: "failed", attempt: 1, error: { code: "unprocessable" } });
    expect(ended.artifacts).toHaveLength(ARTIFACT_LIMITS.perJob);
    function* endless() {
      for (;;) yield Buffer.alloc(4 * 1024 * 1024);
    }
    const large = await task((context) => context.artifact("a.bin", Readable.from(endless()), "text/plain"));
    expect(large.ended).toMatchObject({
      status: "failed",
      attempt: 1,
      error: { code: "payload_too_large" },
      artifacts: [],
    });
    const broken = await task((context) => {
      if (context.attempt > 1) return null;
      const source = new Readable({ read() {} });
      source.destroy(new Error("the source broke"));
      return context.artifact("b.bin", source, "text/plain");
    });
    expect(broken.ended).toMatchObject({ status: "completed", attempt: 2, artifacts: [] });
    await app.parts.jobs.clearArtifacts(100);
    expect([...(await blobKeys(large.job.id)), ...(await blobKeys(broken.job.id))]).toEqual([]);
  });

  it("[JOB76] all artifacts of one user together are limited", async () => {
    const { job } = await task((context) => context.artifact("a.txt", "1", "text/plain"));
    await app
      .sql()
      .updateTable("job_artifacts")
      .set({ size: ARTIFACT_LIMITS.ownerBytes })
      .where("job_id", "=", job.id)
      .execute();
    expect((await task((context) => context.artifact("b.txt", "1", "text/plain"))).ended).toMatchObject({
      status: "failed",
      error: { code: "unprocessable" },
    });
    await app.sql().deleteFrom("jobs").where("id", "=", job.id).execute();
    expect((await task((context) => context.artifact("b.txt", "1", "text/plain"))).ended.status).toBe(
      "completed",
    );
  });

  it("[JOB77] content that was written while the process died is cleared away a day later", async () => {
    const { database } = app.projects;
    const repository = createArtifactRepository();
    const key = "jobs/x/1-lost";
    await repository.reserve(database, key, 60_000);
    await app.parts.blobs.put(key, Buffer.from("lost"));
    await app.parts.jobs.clearArtifacts(100);
    expect(await app.parts.blobs.get(key).then((blob) => blob?.content.destroy() && blob.size)).toBe(4);
    await app
      .sql()
      .updateTable("job_artifact_garbage")
      .set({ free_at: new Date(0) })
      .where("blob_key", "=", key)
      .execute();
    await app.parts.jobs.clearArtifacts(100);
    expect(await app.parts.blobs.get(key)).toBeUndefined();
    expect(await repository.garbage(database, 10)).toEqual([]);
  });

  it("[JOB78] a store that is away is no missing artifact, and nothing is forgotten", async () => {
    const { job } = await task((context) => context.artifact("a.txt", "1", "text/plain"));
    const away = async () => Promise.reject(new Error("away"));
    const artifacts = createArtifacts({
      database: app.projects.database,
      repository: createArtifactRepository(),
      blobs: { ...app.parts.blobs, get: away, delete: away },
      clock: { now: () => Date.now() },
    });
    const { open } = await artifacts.open(job.id, "a.txt");
    await expect(open()).rejects.toThrow("away");
    await app.sql().deleteFrom("jobs").where("id", "=", job.id).execute();
    await expect(artifacts.clear(100)).rejects.toThrow("away");
    await app.parts.jobs.clearArtifacts(100);
    expect(await blobKeys(job.id)).toEqual([]);
  });

  it("[JOB79] a reader that leaves early holds nothing up", async () => {
    const { job } = await task((context) =>
      context.artifact("a.bin", Buffer.alloc(32 * 1024 * 1024), "application/octet-stream"),
    );
    const leaving = new AbortController();
    const answer = await app.fetch(`/jobs/${job.id}/artifacts/a.bin`, ada, leaving.signal);
    await answer.body?.getReader().read();
    leaving.abort();
    await eventually(async () => expect((await content(job.id, "a.bin")).status).toBe(200));
  });
});
