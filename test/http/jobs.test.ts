import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { sql as raw } from "kysely";
import { v7 } from "uuid";
import {
  codeJob,
  createJobApp,
  eventually,
  type JobApp,
  pointersOf,
  quickJob,
  withJobApp,
} from "../kit/job-app.js";
import type { TestUser } from "../kit/project-app.js";

let app: JobApp;
let ada: TestUser;
let ben: TestUser;

beforeAll(async () => {
  app = await createJobApp();
});
afterAll(() => app.close());
beforeEach(async () => {
  [ada, ben] = [await app.user(), await app.user()];
});

const post = (as: TestUser | undefined, body: unknown, headers: Record<string, string> = {}) =>
  app.call("POST", "/jobs", { ...(as ? { as } : {}), body, headers });

describe("POST /jobs", () => {
  describe("202", () => {
    it("[JOB1] takes the job of the README and says where it is", async () => {
      const answer = await post(ada, codeJob());
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
        scheduleId: null,
        priority: 50,
        attempt: 0,
        maxAttempts: 3,
        progress: 0,
        progressMessage: null,
        error: null,
        result: null,
        artifacts: [],
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
      const answers = [await post(ada, quickJob, headers), await post(ada, quickJob, headers)];
      expect(answers.map(({ status }) => status)).toEqual([202, 202]);
      expect(answers[1]?.headers.get("idempotency-replayed")).toBe("true");
      expect(answers[1]?.body).toEqual(answers[0]?.body);
      expect((await app.call("GET", "/jobs", { as: ada })).body.jobs).toHaveLength(1);
      const other = await post(ada, { ...quickJob, payload: { name: "broken" } }, headers);
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
      const both = await post(ada, { ...quickJob, projectId, workspaceId, options });
      expect(both.body.job).toMatchObject({ projectId, workspaceId, priority: 7, maxAttempts: 5 });
      const { createdAt, runAt } = both.body.job;
      expect(Date.parse(runAt) - Date.parse(createdAt)).toBe(60_000);
      const alone = await post(ada, { ...quickJob, workspaceId });
      expect(alone.body.job).toMatchObject({ projectId, workspaceId });
      const past = await post(ada, { ...quickJob, options: { runAt: "2020-01-01T00:00:00+02:00" } });
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
      ["empty code", codeJob({ code: "" }), ["/payload/code"]],
      ["code that is no text", codeJob({ code: { $ne: null } }), ["/payload/code"]],
      ["code and files", codeJob({ files: { "a.js": "1" }, entry: "a.js" }), ["/payload/code"]],
      ["files without entry", codeJob({ code: undefined, files: { "a.js": "1" } }), ["/payload/entry"]],
      [
        "an entry that is no file",
        codeJob({ code: undefined, files: { "a.js": "1" }, entry: "b.js" }),
        ["/payload/entry"],
      ],
      [
        "a path that leads out",
        codeJob({ code: undefined, files: { "../a.js": "1" }, entry: "../a.js" }),
        ["/payload/files/..~1a.js"],
      ],
      ["an entry without files", codeJob({ entry: "a.js" }), ["/payload/entry"]],
      ["too much code", codeJob({ code: "x".repeat(256 * 1024 + 1) }), ["/payload/code"]],
      ["too much input", codeJob({ stdin: "é".repeat(128 * 1024 + 1) }), ["/payload/stdin"]],
      ["too many arguments", codeJob({ args: Array(65).fill("x") }), ["/payload/args"]],
      ["limits beyond the most", codeJob({ limits: { wallMs: 30_001 } }), ["/payload/limits/wallMs"]],
      [
        "more output than is kept",
        codeJob({ limits: { outputBytes: 262_145 } }),
        ["/payload/limits/outputBytes"],
      ],
      ["an unknown member of the payload", codeJob({ network: true }), ["/payload/network"]],
      ["an unknown member", { ...codeJob(), ownerId: v7() }, ["/ownerId"]],
      ["a project that is no id", { ...codeJob(), projectId: "p1" }, ["/projectId"]],
      [
        "two starts",
        { ...codeJob(), options: { delayMs: 1, runAt: "2030-01-01T00:00:00Z" } },
        ["/options/runAt"],
      ],
      [
        "a start too far ahead",
        { ...codeJob(), options: { runAt: "2999-01-01T00:00:00Z" } },
        ["/options/runAt"],
      ],
      ["a negative delay", { ...codeJob(), options: { delayMs: -1 } }, ["/options/delayMs"]],
      ["no priority", { ...codeJob(), options: { priority: 0 } }, ["/options/priority"]],
      ["too many attempts", { ...codeJob(), options: { maxAttempts: 11 } }, ["/options/maxAttempts"]],
    ])("[JOB4] refuses %s and points at it", async (_what, body, where) => {
      const answer = await post(ada, body);
      expect(answer.status).toBe(400);
      expect(answer.body.code).toBe("validation_failed");
      expect(pointersOf(answer)).toEqual(where);
    });

    it("[JOB4] creates nothing when it refuses", async () => {
      await post(ada, codeJob({ code: "" }));
      expect((await app.call("GET", "/jobs", { as: ada })).body.jobs).toEqual([]);
    });
  });

  it("[JOB5] 401 without a token", async () => {
    expect((await post(undefined, quickJob)).status).toBe(401);
  });

  it("[JOB6] 403 for a Viewer of the project", async () => {
    const projectId = await app.projects.project(ada, [[ben, "viewer"]]);
    const answer = await post(ben, { ...quickJob, projectId });
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
      const answer = await post(ada, { ...quickJob, ...where });
      expect(answer.status).toBe(404);
      expect(answer.body.code).toBe("not_found");
    }
    expect((await app.call("GET", "/jobs", { as: ada })).body.jobs).toEqual([]);
  });

  it("[JOB8] 422 for a language the sandbox does not know", async () => {
    const answer = await post(ada, codeJob({ language: "cobol" }));
    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({
      code: "unsupported_language",
      errors: [{ pointer: "/payload/language", code: "unsupported_language" }],
    });
  });

  it("[JOB9] 429 with the limit when too many jobs of the user wait, however many ask at once", async () => {
    await withJobApp({ queuedPerUser: 3, dispatching: false }, async (other) => {
      const [first, second] = [await other.user(), await other.user()];
      const submit = (as: TestUser) => other.call("POST", "/jobs", { as, body: quickJob });
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
    await withJobApp({ runsPerHour: 2 }, async (other) => {
      const as = await other.user();
      const job = await other.task(as, "x");
      await other.call("POST", `/jobs/${job.id}/cancel`, { as });
      expect((await other.call("POST", `/jobs/${job.id}/retry`, { as })).status).toBe(202);
      const refused = await other.call("POST", "/jobs", { as, body: quickJob });
      expect(refused.status).toBe(429);
      expect(refused.body).toMatchObject({ code: "rate_limited", limit: 2 });
      expect((await other.call("POST", "/jobs", { as: await other.user(), body: quickJob })).status).toBe(
        202,
      );
    });
  });

  it("[JOB11] 503 for a type that is switched off", async () => {
    expect((await post(ada, { ...quickJob, type: "switched_off" })).body.code).toBe("feature_disabled");
    await withJobApp({ codeExecution: false }, async (other) => {
      const as = await other.user();
      const answer = await other.call("POST", "/jobs", { as, body: codeJob() });
      expect(answer.status).toBe(503);
      expect(answer.body.code).toBe("feature_disabled");
      expect((await other.call("POST", "/jobs", { as, body: quickJob })).status).toBe(202);
    });
  });
});
