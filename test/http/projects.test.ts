import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { v7 } from "uuid";
import {
  type Answer,
  createProjectApp,
  type ProjectApp,
  type TestTables,
  type TestUser,
} from "../kit/project-app.js";

let app: ProjectApp;
let ada: TestUser;
let ben: TestUser;
let eve: TestUser;

beforeAll(async () => {
  app = await createProjectApp();
});
afterAll(() => app.close());
beforeEach(async () => {
  ada = await app.user({ name: "Ada" });
  ben = await app.user({ name: "Ben" });
  eve = await app.user({ name: "Eve" });
});

const create = (body: unknown, headers = {}) => app.call("POST", "/projects", { as: ada, body, headers });

describe("POST /projects", () => {
  describe("201", () => {
    it("[PRJ1] makes the creator the Owner and says where the project is", async () => {
      const answer = await create({ name: "Compiler", description: "Ours" });
      expect(answer.status).toBe(201);
      const { project } = answer.body;
      expect(project).toMatchObject({ name: "Compiler", description: "Ours", role: "owner", version: 1 });
      expect(answer.headers.get("location")).toBe(`/api/v1/projects/${project.id}`);
      expect(answer.headers.get("etag")).toBe('"v1"');
      const read = await app.call("GET", `/projects/${project.id}`, { as: ada });
      expect(read.body.project).toEqual(project);
      expect(await app.events(project.id)).toEqual([
        { type: "project_created", userId: ada.id, payload: { name: "Compiler" } },
      ]);
    });

    it("[PRJ2] trims the name and counts 3 to 100 characters, not UTF-16 units", async () => {
      expect((await create({ name: "  abc  " })).body.project.name).toBe("abc");
      expect((await create({ name: "🦀".repeat(100) })).status).toBe(201);
      expect((await create({ name: "مشروع" })).status).toBe(201);
      expect((await create({ name: "👩‍💻 team" })).status).toBe(201);
      expect((await create({ name: "abc", description: "é".repeat(500) })).status).toBe(201);
      expect((await create({ name: "abc", description: "two\nlines" })).status).toBe(201);
      expect((await create({ name: "abc", description: null })).body.project.description).toBeNull();
    });

    it("[PRJ3] answers a repeat with the same Idempotency-Key from the first reply, once", async () => {
      const key = { "Idempotency-Key": v7() };
      const first = await create({ name: "Once" }, key);
      const again = await create({ name: "Once" }, key);
      expect(again.status).toBe(201);
      expect(again.headers.get("idempotency-replayed")).toBe("true");
      expect(again.body).toEqual(first.body);
      expect(again.headers.get("etag")).toBe(first.headers.get("etag"));
      expect((await app.call("GET", "/projects", { as: ada })).body.projects).toHaveLength(1);
      const other = await app.call("POST", "/projects", { as: ben, body: { name: "Once" }, headers: key });
      expect(other.body.project.id).not.toBe(first.body.project.id);
    });
  });

  describe("400", () => {
    it.each([
      ["two characters", { name: "ab" }, "/name"],
      ["101 characters", { name: "a".repeat(101) }, "/name"],
      ["a megabyte", { name: "a".repeat(1_000_000) }, "/name"],
      ["white space", { name: "      " }, "/name"],
      ["a line break", { name: "abc\r\nBcc: x" }, "/name"],
      ["a direction mark", { name: "abc\u202egpj" }, "/name"],
      ["a zero-width space", { name: "ab\u200bc" }, "/name"],
      ["nothing visible", { name: "\u200d\u200d\u200d" }, "/name"],
      ["no name", {}, "/name"],
      ["501 characters of description", { name: "abc", description: "a".repeat(501) }, "/description"],
      ["an escape in the description", { name: "abc", description: "\u001b[31m" }, "/description"],
    ])("[PRJ4] refuses %s with a pointer", async (_what, body, pointer) => {
      const answer = await create(body);
      expect(answer.status).toBe(400);
      expect(answer.body.code).toBe("validation_failed");
      expect(answer.body.errors.map((error) => error.pointer)).toContain(pointer);
    });
  });

  describe("409 and 422", () => {
    it("[PRJ3] refuses the key for another body, and while the first request runs", async () => {
      const key = { "Idempotency-Key": v7() };
      await create({ name: "First" }, key);
      expect((await create({ name: "Second" }, key)).body.code).toBe("idempotency_key_reused");
      const busy = { "Idempotency-Key": v7() };
      const answers = await Promise.all(Array.from({ length: 8 }, () => create({ name: "Race" }, busy)));
      const made = answers.filter((answer) => answer.status === 201);
      expect(new Set(made.map((answer) => answer.body.project.id)).size).toBe(1);
      for (const answer of answers) {
        if (answer.status !== 201) expect(answer.body.code).toBe("idempotency_in_progress");
      }
      expect((await app.call("GET", "/projects", { as: ada })).body.projects).toHaveLength(2);
    });
  });
});

describe("GET /projects", () => {
  it("[PRJ5] lists only own memberships, newest first, each with the own role", async () => {
    const first = await app.project(ada);
    const second = await app.project(ben, [[ada, "viewer"]]);
    await app.project(ben);
    const { projects, nextCursor } = (await app.call("GET", "/projects", { as: ada })).body;
    expect(projects.map(({ id, role }) => [id, role])).toEqual([
      [second, "viewer"],
      [first, "owner"],
    ]);
    expect(nextCursor).toBeNull();
    expect((await app.call("GET", "/projects", { as: eve })).body.projects).toEqual([]);
  });

  it("[PRJ6] walks 1,000 rows while rows come and go, and gives every lasting one once", async () => {
    const t = app.database.tables<TestTables>();
    const ids = Array.from({ length: 1_000 }, () => v7());
    const at = new Date();
    await t
      .insertInto("projects")
      .values(
        ids.map((id) => ({
          id,
          name: "Row",
          description: null,
          revision: 1,
          version: 1,
          created_at: at,
          updated_at: at,
        })),
      )
      .execute();
    await t
      .insertInto("project_members")
      .values(
        ids.map((project_id) => ({ project_id, user_id: ada.id, role: "owner", version: 1, joined_at: at })),
      )
      .execute();
    const going = new Set(ids.filter((_id, index) => index % 10 === 5));
    const coming = new Set<string>();
    const seen: string[] = [];
    let cursor: string | null = "";
    for (let page = 0; cursor !== null; page++) {
      const query: string = cursor === "" ? "?limit=37" : `?limit=37&cursor=${encodeURIComponent(cursor)}`;
      const answer: Answer = await app.call("GET", `/projects${query}`, { as: ada });
      expect(answer.status).toBe(200);
      seen.push(...answer.body.projects.map(({ id }) => id));
      cursor = answer.body.nextCursor;
      coming.add(await app.project(ada));
      for (const id of [...going].slice(page * 4, page * 4 + 4)) {
        await app.call("DELETE", `/projects/${id}`, { as: ada });
      }
    }
    expect(new Set(seen).size).toBe(seen.length);
    const lasting = ids.filter((id) => !going.has(id));
    expect(seen.filter((id) => !going.has(id) && !coming.has(id)).sort()).toEqual(lasting.sort());
  });

  it.each(["0", "101", "-1", "1e9", "1;", "x", ""])("[PRJ7] answers limit=%j with 400", async (limit) => {
    const answer = await app.call("GET", `/projects?limit=${encodeURIComponent(limit)}`, { as: ada });
    expect(answer.status).toBe(400);
    expect(answer.body.errors[0]?.pointer).toBe("?limit");
  });

  it("[PRJ7] answers a forged cursor, and one of somebody else, with 400", async () => {
    for (let i = 0; i < 3; i++) await app.project(ada, [[ben, "viewer"]]);
    const { nextCursor } = (await app.call("GET", "/projects?limit=1", { as: ada })).body;
    expect((await app.call("GET", `/projects?limit=1&cursor=${nextCursor}`, { as: ada })).status).toBe(200);
    const foreign = await app.call("GET", `/projects?limit=1&cursor=${nextCursor}`, { as: ben });
    expect([foreign.status, foreign.body.code]).toEqual([400, "invalid_cursor"]);
    const forged = await app.call("GET", "/projects?cursor=eyJpZCI6IjEifQ.AAAAAAAAAAAAAAAA", { as: ada });
    expect([forged.status, forged.body.code]).toEqual([400, "invalid_cursor"]);
  });
});

describe("GET /projects/:projectId", () => {
  it("[PRJ8] answers 304 for the ETag, until the project or the own role changes", async () => {
    const id = await app.project(ada, [[ben, "collaborator"]]);
    const read = async (etag: string) =>
      app.call("GET", `/projects/${id}`, { as: ben, headers: { "If-None-Match": etag } });
    const first = (await read('"x"')).headers.get("etag") ?? "";
    expect((await read(first)).status).toBe(304);
    await app.project(ada);
    await app.call("POST", `/projects/${id}/members`, {
      as: ada,
      body: { email: eve.email, role: "viewer" },
    });
    expect((await read(first)).status).toBe(304);
    await app.call("PATCH", `/projects/${id}/members/${ben.id}`, { as: ada, body: { role: "viewer" } });
    const demoted = await read(first);
    expect([demoted.status, demoted.body.project.role]).toEqual([200, "viewer"]);
    const second = demoted.headers.get("etag") ?? "";
    expect((await read(second)).status).toBe(304);
    await app.call("PATCH", `/projects/${id}`, { as: ada, body: { name: "Renamed" } });
    expect((await read(second)).body.project.name).toBe("Renamed");
  });
});

describe("PUT /projects/:projectId", () => {
  it("[PRJ9] replaces name and description; a description left out is cleared", async () => {
    const { project } = (await create({ name: "Before", description: "Text" })).body;
    const put = (body: unknown) => app.call("PUT", `/projects/${project.id}`, { as: ada, body });
    const answer = await put({ name: "After", description: "Other" });
    expect(answer.status).toBe(200);
    expect(answer.body.project).toMatchObject({
      name: "After",
      description: "Other",
      version: 2,
      role: "owner",
    });
    expect((await put({ name: "After" })).body.project.description).toBeNull();
    expect((await put({ description: "No name" })).status).toBe(400);
    expect((await app.events(project.id)).slice(1)).toEqual([
      {
        type: "project_updated",
        userId: ada.id,
        payload: { name: "After", changed: ["name", "description"] },
      },
      { type: "project_updated", userId: ada.id, payload: { name: "After", changed: ["description"] } },
    ]);
  });
});

describe("PATCH /projects/:projectId", () => {
  it("[PRJ10] changes what is named, keeps the rest, clears a null description", async () => {
    const { project } = (await create({ name: "Before", description: "Text" })).body;
    const patch = async (body: unknown) =>
      (await app.call("PATCH", `/projects/${project.id}`, { as: ada, body })).body.project;
    expect(await patch({ name: "After" })).toMatchObject({ name: "After", description: "Text" });
    expect(await patch({ description: null })).toMatchObject({ name: "After", description: null });
  });

  it("[PRJ11] writes nothing when nothing changes", async () => {
    const { project } = (await create({ name: "Same", description: "Text" })).body;
    for (const body of [{}, { name: "Same" }, { name: "Same", description: "Text" }]) {
      const answer = await app.call("PATCH", `/projects/${project.id}`, { as: ada, body });
      expect(answer.body.project).toEqual(project);
    }
    expect(await app.events(project.id)).toHaveLength(1);
  });

  it("[PRJ12] of 20 updates from the same ETag lets one through; the others get 412 with the current one", async () => {
    const id = await app.project(ada);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_none, index) =>
        app.call("PATCH", `/projects/${id}`, {
          as: ada,
          body: { name: `Name ${index}` },
          headers: { "If-Match": '"v1"' },
        }),
      ),
    );
    const won = answers.filter((answer) => answer.status === 200);
    const lost = answers.filter((answer) => answer.status === 412);
    expect([won.length, lost.length]).toEqual([1, 19]);
    for (const answer of lost) {
      expect(answer.body.code).toBe("version_mismatch");
      expect(answer.headers.get("etag")).toBe('"v2"');
    }
    const { project } = (await app.call("GET", `/projects/${id}`, { as: ada })).body;
    expect(project.name).toBe(won[0]?.body.project.name);
  });

  it("[PRJ12] counts every update of many at once without If-Match", async () => {
    const id = await app.project(ada);
    const names = Array.from({ length: 20 }, (_none, index) => `Name ${index}`);
    await Promise.all(names.map((name) => app.call("PATCH", `/projects/${id}`, { as: ada, body: { name } })));
    expect((await app.call("GET", `/projects/${id}`, { as: ada })).body.project.version).toBe(21);
    expect(await app.events(id)).toHaveLength(21);
  });
});

describe("DELETE /projects/:projectId", () => {
  it("[PRJ13] leaves nothing of the project to be seen", async () => {
    const id = await app.project(ada, [[ben, "collaborator"]]);
    const workspace = (
      await app.call("POST", `/projects/${id}/workspaces`, { as: ben, body: { name: "Space" } })
    ).body.workspace;
    await app.call("POST", `/projects/${id}/members`, {
      as: ada,
      body: { email: "nobody@example.test", role: "viewer" },
    });
    const answer = await app.call("DELETE", `/projects/${id}`, { as: ada });
    expect(answer.status).toBe(204);
    expect(answer.headers.get("x-access-applied")).toBe("true");
    for (const path of [
      `/projects/${id}`,
      `/projects/${id}/members`,
      `/projects/${id}/workspaces`,
      `/workspaces/${workspace.id}`,
    ]) {
      expect((await app.call("GET", path, { as: ben })).status).toBe(404);
    }
    expect((await app.call("GET", "/projects", { as: ben })).body.projects).toEqual([]);
    expect((await app.call("DELETE", `/projects/${id}`, { as: ada })).status).toBe(404);
    expect((await app.events(id)).at(-1)).toEqual({
      type: "project_deleted",
      userId: ada.id,
      payload: { name: "A project" },
    });
    const t = app.database.tables<TestTables>();
    const log = await t
      .selectFrom("authz_log")
      .selectAll()
      .where("project_id", "=", id)
      .orderBy("seq")
      .execute();
    expect(log.at(-1)).toMatchObject({ kind: "project", subject: id, reason: "deleted" });
    expect((await create({ name: "A project" })).status).toBe(201);
  });

  it("[PRJ14] honours If-Match", async () => {
    const id = await app.project(ada);
    const remove = (etag: string) =>
      app.call("DELETE", `/projects/${id}`, { as: ada, headers: { "If-Match": etag } });
    expect((await remove('"v7"')).status).toBe(412);
    expect((await remove('"v1"')).status).toBe(204);
  });

  it("[PRJ15] and writes that meet it both end cleanly", async () => {
    for (let round = 0; round < 10; round++) {
      const id = await app.project(ada, [[ben, "collaborator"]]);
      const answers = await Promise.all([
        ...Array.from({ length: 4 }, (_none, index) =>
          app.call("POST", `/projects/${id}/workspaces`, { as: ben, body: { name: `Space ${index}` } }),
        ),
        app.call("DELETE", `/projects/${id}`, { as: ada }),
        ...Array.from({ length: 4 }, (_none, index) =>
          app.call("PATCH", `/projects/${id}`, { as: ben, body: { name: `Name ${index}` } }),
        ),
      ]);
      expect(answers[4]?.status).toBe(204);
      for (const answer of answers) expect([200, 201, 204, 404]).toContain(answer.status);
      const last = (await app.events(id)).at(-1);
      expect(last?.type).toBe("project_deleted");
    }
  });
});
