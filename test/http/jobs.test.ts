import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { sql as raw } from "kysely";
import { v7 } from "uuid";
import { createOpenApiDocument } from "../../src/http/openapi.js";
import type { Job } from "../../src/jobs/schema.js";
import { createJobApp, eventually, type JobAnswer, type JobApp, type JobAppOptions } from "../kit/job-app.js";
import { createGate } from "../kit/job-queue.js";
import type { TestUser } from "../kit/project-app.js";

let app: JobApp;
let ada: TestUser;
let ben: TestUser;
let eve: TestUser;

beforeAll(async () => {
  app = await createJobApp({ queuedPerUser: 1_100 });
  app.handlers.set("quick", (_context, value) => value);
  app.handlers.set("broken", () => {
    throw new Error("always");
  });
});
afterAll(() => app.close());
beforeEach(async () => {
  [ada, ben, eve] = [await app.user(), await app.user(), await app.user()];
});

const post = (as: TestUser | undefined, body: unknown, headers: Record<string, string> = {}) =>
  app.call("POST", "/jobs", { ...(as ? { as } : {}), body, headers });
const code = (payload: Record<string, unknown> = {}) => ({
  type: "code_execution",
  payload: { language: "javascript", code: "console.log('Hello World')", ...payload },
});
const quick = { type: "task", payload: { name: "quick", value: 1 } };
const pointers = (answer: JobAnswer) => answer.body.errors.map(({ pointer }) => pointer);

/** An app with other settings, for one test. */
async function withApp(options: JobAppOptions, test: (other: JobApp) => Promise<void>): Promise<void> {
  const other = await createJobApp(options);
  try {
    await test(other);
  } finally {
    await other.close();
  }
}

/** Ends the job without a worker. */
async function end(job: Job, status: "completed" | "failed" | "cancelled"): Promise<void> {
  await app
    .sql()
    .updateTable("jobs")
    .set({ status, attempt: 3, finished_at: new Date() })
    .where("id", "=", job.id)
    .execute();
}

describe("POST /jobs", () => {
  describe("202", () => {
    it("[JOB1] takes the job of the first README and says where it is", async () => {
      const answer = await post(ada, code());
      expect(answer.status).toBe(202);
      const { job } = answer.body;
      expect(answer.headers.get("location")).toBe(`/api/v1/jobs/${job.id}`);
      expect(answer.headers.get("etag")).toBe('"v1"');
      expect(job).toEqual({
        id: expect.any(String),
        type: "code_execution",
        status: "pending",
        ownerId: ada.id,
        projectId: null,
        workspaceId: null,
        priority: 50,
        attempt: 0,
        maxAttempts: 3,
        progress: 0,
        progressMessage: null,
        error: null,
        result: null,
        payload: { code: "console.log('Hello World')", language: "javascript" },
        runAt: job.createdAt,
        queuedSince: job.createdAt,
        createdAt: expect.any(String),
        startedAt: null,
        finishedAt: null,
        requestId: answer.headers.get("x-request-id"),
        version: 1,
      });
      expect((await app.read(ada, job.id)).id).toBe(job.id);
    });

    it("[JOB2] makes one job of a request that is repeated with its Idempotency-Key", async () => {
      const headers = { "Idempotency-Key": v7() };
      const answers = [await post(ada, quick, headers), await post(ada, quick, headers)];
      expect(answers.map(({ status }) => status)).toEqual([202, 202]);
      expect(answers[1]?.headers.get("idempotency-replayed")).toBe("true");
      expect(answers[1]?.body).toEqual(answers[0]?.body);
      expect((await app.call("GET", "/jobs", { as: ada })).body.jobs).toHaveLength(1);
      const other = await post(ada, { ...quick, payload: { name: "broken" } }, headers);
      expect(other.status).toBe(422);
      expect(other.body.code).toBe("idempotency_key_reused");
    });

    it("[JOB3] keeps project, workspace and options, and finds the project of a workspace alone", async () => {
      const projectId = await app.projects.project(ada);
      const workspace = await app.projects.call("POST", `/projects/${projectId}/workspaces`, {
        as: ada,
        body: { name: "Space" },
      });
      const workspaceId = workspace.body.workspace.id;
      const options = { priority: 7, delayMs: 60_000, maxAttempts: 5 };
      const both = await post(ada, { ...quick, projectId, workspaceId, options });
      expect(both.body.job).toMatchObject({ projectId, workspaceId, priority: 7, maxAttempts: 5 });
      const { createdAt, runAt } = both.body.job;
      expect(Date.parse(runAt) - Date.parse(createdAt)).toBe(60_000);
      const alone = await post(ada, { ...quick, workspaceId });
      expect(alone.body.job).toMatchObject({ projectId, workspaceId });
      const past = await post(ada, { ...quick, options: { runAt: "2020-01-01T00:00:00+02:00" } });
      expect(past.body.job.runAt).toBe(past.body.job.createdAt);
    });
  });

  describe("400", () => {
    it.each([
      ["no type", { payload: {} }, ["/type"]],
      ["an unknown type", { type: "mine_bitcoin", payload: {} }, ["/type"]],
      ["no payload", { type: "code_execution" }, ["/payload"]],
      ["no code", { type: "code_execution", payload: { language: "javascript" } }, ["/payload/code"]],
      ["no language", { type: "code_execution", payload: { code: "1" } }, ["/payload/language"]],
      ["empty code", code({ code: "" }), ["/payload/code"]],
      ["code that is no text", code({ code: { $ne: null } }), ["/payload/code"]],
      ["code and files", code({ files: { "a.js": "1" }, entry: "a.js" }), ["/payload/code"]],
      ["files without entry", code({ code: undefined, files: { "a.js": "1" } }), ["/payload/entry"]],
      [
        "an entry that is no file",
        code({ code: undefined, files: { "a.js": "1" }, entry: "b.js" }),
        ["/payload/entry"],
      ],
      [
        "a path that leads out",
        code({ code: undefined, files: { "../a.js": "1" }, entry: "../a.js" }),
        ["/payload/files/..~1a.js"],
      ],
      ["an entry without files", code({ entry: "a.js" }), ["/payload/entry"]],
      ["too much code", code({ code: "x".repeat(256 * 1024 + 1) }), ["/payload/code"]],
      ["too much input", code({ stdin: "é".repeat(128 * 1024 + 1) }), ["/payload/stdin"]],
      ["too many arguments", code({ args: Array(65).fill("x") }), ["/payload/args"]],
      ["limits beyond the most", code({ limits: { wallMs: 30_001 } }), ["/payload/limits/wallMs"]],
      [
        "more output than is kept",
        code({ limits: { outputBytes: 262_145 } }),
        ["/payload/limits/outputBytes"],
      ],
      ["an unknown member of the payload", code({ network: true }), ["/payload/network"]],
      ["an unknown member", { ...code(), ownerId: v7() }, ["/ownerId"]],
      ["a project that is no id", { ...code(), projectId: "p1" }, ["/projectId"]],
      [
        "two starts",
        { ...code(), options: { delayMs: 1, runAt: "2030-01-01T00:00:00Z" } },
        ["/options/runAt"],
      ],
      [
        "a start too far ahead",
        { ...code(), options: { runAt: "2999-01-01T00:00:00Z" } },
        ["/options/runAt"],
      ],
      ["a negative delay", { ...code(), options: { delayMs: -1 } }, ["/options/delayMs"]],
      ["no priority", { ...code(), options: { priority: 0 } }, ["/options/priority"]],
      ["too many attempts", { ...code(), options: { maxAttempts: 11 } }, ["/options/maxAttempts"]],
    ])("[JOB4] refuses %s and points at it", async (_what, body, where) => {
      const answer = await post(ada, body);
      expect(answer.status).toBe(400);
      expect(answer.body.code).toBe("validation_failed");
      expect(pointers(answer)).toEqual(where);
    });

    it("[JOB4] creates nothing when it refuses", async () => {
      await post(ada, code({ code: "" }));
      expect((await app.call("GET", "/jobs", { as: ada })).body.jobs).toEqual([]);
    });
  });

  it("[JOB5] 401 without a token", async () => {
    expect((await post(undefined, quick)).status).toBe(401);
  });

  it("[JOB6] 403 for a Viewer of the project", async () => {
    const projectId = await app.projects.project(ada, [[ben, "viewer"]]);
    const answer = await post(ben, { ...quick, projectId });
    expect(answer.status).toBe(403);
    expect(answer.body.code).toBe("forbidden");
  });

  it("[JOB7] 404 for a project or workspace of others, or a workspace of another project", async () => {
    const [mine, his] = [await app.projects.project(ada), await app.projects.project(ben)];
    const workspace = async (as: TestUser, projectId: string) =>
      (await app.projects.call("POST", `/projects/${projectId}/workspaces`, { as, body: { name: "Space" } }))
        .body.workspace.id;
    const [mySpace, hisSpace] = [await workspace(ada, mine), await workspace(ben, his)];
    const second = await app.projects.project(ada);
    for (const where of [
      { projectId: his },
      { projectId: v7() },
      { workspaceId: hisSpace },
      { workspaceId: v7() },
      { projectId: mine, workspaceId: hisSpace },
      { projectId: second, workspaceId: mySpace },
      { projectId: his, workspaceId: mySpace },
    ]) {
      const answer = await post(ada, { ...quick, ...where });
      expect(answer.status).toBe(404);
      expect(answer.body.code).toBe("not_found");
    }
    expect((await app.call("GET", "/jobs", { as: ada })).body.jobs).toEqual([]);
  });

  it("[JOB8] 422 for a language the sandbox does not know", async () => {
    const answer = await post(ada, code({ language: "cobol" }));
    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({
      code: "unsupported_language",
      errors: [{ pointer: "/payload/language", code: "unsupported_language" }],
    });
  });

  it("[JOB9] 429 with the limit when too many jobs of the user wait, however many ask at once", async () => {
    await withApp({ queuedPerUser: 3, dispatching: false }, async (other) => {
      const [first, second] = [await other.user(), await other.user()];
      const submit = (as: TestUser) => other.call("POST", "/jobs", { as, body: quick });
      // All six get as far as they can before the first of them commits.
      const answers = await other.projects.database
        .transaction(async (tx) => {
          await raw`lock table outbox in access exclusive mode`.execute(tx.tables());
          const six = [1, 2, 3, 4, 5, 6].map(() => submit(first));
          await eventually(async () => {
            const { rows } = await raw`select 1 from pg_locks
              where not granted and database = (select oid from pg_database where datname = current_database())`.execute(
              tx.tables(),
            );
            expect(rows).toHaveLength(6);
          });
          return { six };
        })
        .then(({ six }) => Promise.all(six));
      expect(answers.filter(({ status }) => status === 202)).toHaveLength(3);
      const refused = answers.filter(({ status }) => status === 429);
      expect(refused).toHaveLength(3);
      expect(refused[0]?.body).toMatchObject({ code: "quota_exceeded", limit: 3 });
      expect(refused[0]?.headers.get("retry-after")).not.toBeNull();
      expect((await submit(second)).status).toBe(202);
    });
  });

  it("[JOB10] 429 beyond the runs per hour, submissions and retries together", async () => {
    await withApp({ runsPerHour: 2 }, async (other) => {
      const as = await other.user();
      const job = await other.task(as, "x");
      await other.call("POST", `/jobs/${job.id}/cancel`, { as });
      expect((await other.call("POST", `/jobs/${job.id}/retry`, { as })).status).toBe(202);
      const refused = await other.call("POST", "/jobs", { as, body: quick });
      expect(refused.status).toBe(429);
      expect(refused.body).toMatchObject({ code: "rate_limited", limit: 2 });
      expect((await other.call("POST", "/jobs", { as: await other.user(), body: quick })).status).toBe(202);
    });
  });

  it("[JOB11] 503 for a type that is switched off", async () => {
    expect((await post(ada, { ...quick, type: "switched_off" })).body.code).toBe("feature_disabled");
    await withApp({ codeExecution: false }, async (other) => {
      const as = await other.user();
      const answer = await other.call("POST", "/jobs", { as, body: code() });
      expect(answer.status).toBe(503);
      expect(answer.body.code).toBe("feature_disabled");
      expect((await other.call("POST", "/jobs", { as, body: quick })).status).toBe(202);
    });
  });
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
    await end(own, "failed");
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
    expect(pointers(answer)).toEqual([pointer]);
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
      await end(ended, status);
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
    await withApp({}, async (other) => {
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
    await withApp({}, async (other) => {
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
    await end(job, "completed");
    expect((await retry(ada, job.id)).status).toBe(409);
    await end(job, "failed");
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
    await withApp({ queuedPerUser: 1 }, async (other) => {
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
      limits: {
        default: { cpuMs: 1, wallMs: 1, memoryBytes: 1, outputBytes: 1 },
        maximum: { cpuMs: 1, wallMs: 1, memoryBytes: 1, outputBytes: 1 },
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
      return languages.map(({ id, available }) => [id, available]).sort();
    };
    expect(await list()).toEqual([]);
    await put(300_000, language("old", true));
    await put(200_000, language("last", true));
    expect(await list()).toEqual([["last", true]]);
    await put(1_000, language("a", false), language("b", true));
    await put(2_000, language("a", true));
    expect(await list()).toEqual([
      ["a", true],
      ["b", true],
    ]);
    expect((await post(ada, code({ language: "A" }))).status).toBe(202);
    expect((await post(ada, code())).status).toBe(422);
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
        "task",
        "short_task",
        "switched_off",
      ]);
    }
    expect(JSON.stringify(schemas["JobSubmission"])).toContain("wallMs");
  });
});
