import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { v7 } from "uuid";
import { createOpenApiDocument } from "../../src/http/openapi.js";
import { codeJob, createJobApp, endJob, type JobAnswer, type JobApp, pointersOf } from "../kit/job-app.js";
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

describe("GET /jobs/:jobId", () => {
  it("[JOB12] shows a job to its owner and to the members of its project, to others it is not there", async () => {
    const projectId = await app.projects.project(ada, [[ben, "viewer"]]);
    const own = await app.task(ada, "quick");
    const shared = await app.task(ada, "quick", { projectId });
    const read = async (as: TestUser, id: string, path = "") =>
      (await app.call("GET", `/jobs/${id}${path}`, { as })).status;
    for (const path of ["", "/logs"]) {
      expect(await read(ada, own.id, path)).toBe(200);
      expect(await read(ben, own.id, path)).toBe(404);
      expect(await read(ada, shared.id, path)).toBe(200);
      expect(await read(ben, shared.id, path)).toBe(200);
      expect(await read(eve, shared.id, path)).toBe(404);
      expect(await read(ada, v7(), path)).toBe(404);
      expect(await read(ada, "no-id", path)).toBe(400);
      expect((await app.call("GET", `/jobs/${own.id}${path}`)).status).toBe(401);
    }
    const strip = ({ text }: JobAnswer, id: string) =>
      text.replaceAll(id, "ID").replace(/"requestId":"[^"]+"/, "");
    const unknown = v7();
    expect(strip(await app.call("GET", `/jobs/${shared.id}`, { as: eve }), shared.id)).toBe(
      strip(await app.call("GET", `/jobs/${unknown}`, { as: eve }), unknown),
    );
  });

  it("[JOB12] hides the jobs of a project from somebody who left it, also their own", async () => {
    const projectId = await app.projects.project(ada, [[ben, "collaborator"]]);
    const job = await app.task(ben, "quick", { projectId });
    const outside = await app.task(ben, "quick");
    await app.projects.call("DELETE", `/projects/${projectId}/members/${ben.id}`, { as: ada });
    expect((await app.call("GET", `/jobs/${job.id}`, { as: ben })).status).toBe(404);
    expect((await app.call("POST", `/jobs/${job.id}/cancel`, { as: ben })).status).toBe(404);
    const { jobs } = (await app.call("GET", "/jobs", { as: ben })).body;
    expect(jobs.map(({ id }) => id)).toEqual([outside.id]);
    expect((await app.call("GET", `/jobs/${job.id}`, { as: ada })).status).toBe(200);
  });

  it("[JOB13] answers 304 while nothing has changed", async () => {
    const job = await app.task(ada, "quick");
    const headers = { "If-None-Match": `"v${job.version}"` };
    expect((await app.call("GET", `/jobs/${job.id}`, { as: ada, headers })).status).toBe(304);
    await app.call("POST", `/jobs/${job.id}/cancel`, { as: ada });
    expect((await app.call("GET", `/jobs/${job.id}`, { as: ada, headers })).status).toBe(200);
  });
});

describe("GET /jobs", () => {
  it("[JOB14] lists one's own jobs, or those of a project, newest first and without payloads", async () => {
    const projectId = await app.projects.project(ada, [[ben, "viewer"]]);
    const own = await app.task(ada, "quick");
    const shared = await app.task(ada, "quick", { projectId });
    await app.task(eve, "quick");
    const list = async (as: TestUser, query = "") => {
      const { status, body } = await app.call("GET", `/jobs${query}`, { as });
      expect(status).toBe(200);
      return body.jobs.map(({ id }) => id);
    };
    expect(await list(ada)).toEqual([shared.id, own.id]);
    expect(await list(ben)).toEqual([]);
    expect(await list(ben, `?projectId=${projectId}`)).toEqual([shared.id]);
    expect((await app.call("GET", `/jobs?projectId=${projectId}`, { as: eve })).status).toBe(404);
    const { jobs } = (await app.call("GET", "/jobs", { as: ada })).body;
    expect(jobs[0]).not.toHaveProperty("payload");
    expect(jobs[0]).not.toHaveProperty("result");
    await endJob(app, own, "failed");
    expect(await list(ada, "?status=failed")).toEqual([own.id]);
    expect(await list(ada, "?status=pending&type=task")).toEqual([shared.id]);
    expect(await list(ada, "?type=code_execution")).toEqual([]);
  });

  it("[JOB15] walks a list page by page, each job once while others come and go", async () => {
    const jobs: string[] = [];
    for (let i = 0; i < 7; i += 1) jobs.unshift((await app.task(ada, "quick")).id);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? "?limit=2" : `?limit=2&cursor=${cursor}`;
      const { body } = await app.call("GET", `/jobs${query}`, { as: ada });
      seen.push(...body.jobs.map(({ id }) => id));
      cursor = body.nextCursor;
      await app.task(ada, "quick");
      await app
        .sql()
        .deleteFrom("jobs")
        .where("id", "=", seen[0] ?? "")
        .execute();
    } while (cursor !== null);
    expect(seen).toEqual(jobs);
  });

  it.each([
    ["limit=0", "?limit"],
    ["limit=101", "?limit"],
    ["status=running", "?status"],
    ["type=unknown", "?type"],
    ["projectId=1", "?projectId"],
    ["ownerId=1", "?ownerId"],
  ])("[JOB16] 400 for %s", async (query, pointer) => {
    const answer = await app.call("GET", `/jobs?${query}`, { as: ada });
    expect(answer.status).toBe(400);
    expect(pointersOf(answer)).toEqual([pointer]);
  });

  it("[JOB16] 400 for a cursor of another list", async () => {
    for (let i = 0; i < 2; i += 1) await app.task(ada, "quick");
    const { nextCursor } = (await app.call("GET", "/jobs?limit=1", { as: ada })).body;
    expect(nextCursor).not.toBeNull();
    const answer = await app.call("GET", `/jobs?limit=1&status=pending&cursor=${nextCursor}`, { as: ada });
    expect(answer.status).toBe(400);
    expect(answer.body.code).toBe("invalid_cursor");
  });

  it.each(["after=-1", "after=x", "limit=0", "limit=101", "after=1;", "from=1"])(
    "[JOB16] 400 for the logs with %s",
    async (query) => {
      const job = await app.task(ada, "quick");
      expect((await app.call("GET", `/jobs/${job.id}/logs?${query}`, { as: ada })).status).toBe(400);
    },
  );
});

describe("GET /languages", () => {
  it("[JOB19] 200 for every user, 401 without a token", async () => {
    expect((await app.call("GET", "/languages", { as: ada })).status).toBe(200);
    expect((await app.call("GET", "/languages")).status).toBe(401);
  });

  it("[JOB19] is what the live workers can run, or the last one when none is live", async () => {
    const language = (id: string, available: boolean) => ({
      id,
      aliases: [],
      extension: id,
      engine: { id: "e", version: "1", isolation: "wasm" },
      available,
      multiFile: true,
      stdin: true,
      files: false,
      limits: {
        default: { cpuMs: 1, wallMs: 1, memoryBytes: 1, outputBytes: 1, diskBytes: 1 },
        maximum: { cpuMs: 1, wallMs: 1, memoryBytes: 1, outputBytes: 1, diskBytes: 1 },
      },
    });
    const put = (ageMs: number, ...languages: unknown[]) =>
      app
        .sql()
        .insertInto("worker_languages")
        .values({
          worker_id: v7(),
          languages: JSON.stringify(languages),
          seen_at: new Date(Date.now() - ageMs),
        })
        .execute();
    const list = async () => {
      const { languages } = (await app.call("GET", "/languages", { as: ada })).body;
      return languages.map(({ id, available }) => `${id} ${available}`).sort();
    };
    expect(await list()).toEqual([]);
    await put(300_000, language("old", true));
    await put(200_000, language("last", true));
    expect(await list()).toEqual(["last true"]);
    await put(1_000, language("a", false), language("b", true));
    await put(2_000, language("a", true));
    expect(await list()).toEqual(["a true", "b true"]);
    expect((await app.call("POST", "/jobs", { as: ada, body: codeJob({ language: "A" }) })).status).toBe(202);
    expect((await app.call("POST", "/jobs", { as: ada, body: codeJob() })).status).toBe(422);
    await app.sql().deleteFrom("worker_languages").execute();
  });
});

describe("the documentation", () => {
  it("[JOB19] lists each job type with its payload", () => {
    const document = createOpenApiDocument(app.parts.jobs.routes, {
      title: "t",
      version: "1",
      basePath: "/api/v1",
    });
    const { schemas } = document["components"] as {
      schemas: Record<string, { oneOf?: { title: string }[] }>;
    };
    for (const name of ["JobSubmission", "Job"]) {
      expect(schemas[name]?.oneOf?.map(({ title }) => title)).toEqual([
        "code_execution",
        "data_processing",
        "task",
        "short_task",
        "switched_off",
      ]);
    }
    expect(JSON.stringify(schemas["JobSubmission"])).toContain("wallMs");
  });
});
