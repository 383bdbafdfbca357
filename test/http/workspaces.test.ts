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
let id: string;

beforeAll(async () => {
  app = await createProjectApp();
});
afterAll(() => app.close());
beforeEach(async () => {
  ada = await app.user({ name: "Ada" });
  ben = await app.user({ name: "Ben" });
  id = await app.project(ada, [[ben, "collaborator"]]);
});

const create = (body: unknown, headers = {}) =>
  app.call("POST", `/projects/${id}/workspaces`, { as: ben, body, headers });
const made = async (body: object = { name: "Space", settings: { theme: "dark" } }) =>
  (await create(body)).body.workspace;
const change = (method: string, workspaceId: string, body: unknown, headers = {}) =>
  app.call(method, `/workspaces/${workspaceId}`, { as: ben, body, headers });

describe("POST /projects/:projectId/workspaces", () => {
  it("[WSP1] creates a workspace with settings that come back as they are (201)", async () => {
    const settings = { b: 1, a: [null, true, { "": "ü\u2028" }], n: 0.1, deep: { z: 1, y: 2 } };
    const answer = await create({ name: " Development ", settings });
    expect(answer.status).toBe(201);
    const { workspace } = answer.body;
    expect(workspace).toMatchObject({ projectId: id, name: "Development", version: 1 });
    expect(JSON.stringify(workspace.settings)).toBe(JSON.stringify(settings));
    expect(answer.headers.get("location")).toBe(`/api/v1/workspaces/${workspace.id}`);
    expect(answer.headers.get("etag")).toBe('"v1"');
    const read = await app.call("GET", `/workspaces/${workspace.id}`, { as: ada });
    expect(JSON.stringify(read.body.workspace)).toBe(JSON.stringify(workspace));
    expect((await app.events(id)).at(-1)).toEqual({
      type: "workspace_created",
      userId: ben.id,
      payload: { workspaceId: workspace.id, name: "Development" },
    });
    expect((await create({ name: "Bare" })).body.workspace.settings).toEqual({});
  });

  it("[WSP2] takes settings of 16 KiB and not a byte more", async () => {
    const body = (bytes: number) => ({ name: "Big", settings: { s: "é".repeat((bytes - 8) / 2) } });
    expect((await create(body(16 * 1024))).status).toBe(201);
    const answer = await create(body(16 * 1024 + 2));
    expect([answer.status, answer.body.errors[0]?.pointer]).toEqual([400, "/settings"]);
  });

  it.each([
    ['{"__proto__": {"x": 1}}', "/settings/__proto__"],
    ['{"a": [{"__proto__": 1}]}', "/settings/a/0/__proto__"],
    ['{"constructor": {"prototype": {"x": 1}}}', "/settings/constructor"],
    ['{"a": {"b": [1, {"prototype": 1}]}}', "/settings/a/b/1/prototype"],
    ['{"a": "\\u0000"}', "/settings/a"],
    ["[]", "/settings"],
    ["null", "/settings"],
    ['"text"', "/settings"],
    ["1", "/settings"],
  ])("[WSP3] refuses the settings %s (400)", async (settings, pointer) => {
    const answer = await create(`{"name": "Space", "settings": ${settings}}`);
    expect([answer.status, answer.body.errors[0]?.pointer]).toEqual([400, pointer]);
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  it("[WSP4] answers 409 while the first request with the key runs, then its reply", async () => {
    const key = { "Idempotency-Key": v7() };
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let holding = () => {};
    const begun = new Promise<void>((resolve) => {
      holding = resolve;
    });
    const blocker = app.database.transaction(async (tx) => {
      await app.projects.access.requireForMembership(tx, ada.id, id, "member.manage");
      holding();
      await held;
    });
    await begun;
    const first = create({ name: "Space" }, key);
    while ((await app.lockWaits()) < 1);
    const second = await create({ name: "Space" }, key);
    expect([second.status, second.body.code]).toEqual([409, "idempotency_in_progress"]);
    release();
    await blocker;
    const { workspace } = (await first).body;
    const again = await create({ name: "Space" }, key);
    expect(again.body.workspace).toEqual(workspace);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect((await create({ name: "Other" }, key)).status).toBe(422);
    const other = await app.project(ben);
    const elsewhere = await app.call("POST", `/projects/${other}/workspaces`, {
      as: ben,
      body: { name: "Space" },
      headers: key,
    });
    expect(elsewhere.status).toBe(422);
  });
});

describe("GET /projects/:projectId/workspaces", () => {
  it("[WSP5] walks 1,000 rows while rows come and go, and gives every lasting one once", async () => {
    const ids = Array.from({ length: 1_000 }, () => v7());
    const at = new Date();
    const rows = ids.map((workspaceId) => ({
      id: workspaceId,
      project_id: id,
      name: "Row",
      settings: "{}",
      version: 1,
      created_at: at,
      updated_at: at,
    }));
    await app.database.tables<TestTables>().insertInto("workspaces").values(rows).execute();
    const going = new Set(ids.filter((_id, index) => index % 10 === 5));
    const leaving = [...going];
    const seen: string[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const query: string = cursor === "" ? "?limit=41" : `?limit=41&cursor=${cursor}`;
      const answer: Answer = await app.call("GET", `/projects/${id}/workspaces${query}`, { as: ben });
      expect(answer.status).toBe(200);
      seen.push(...answer.body.workspaces.map((workspace) => workspace.id));
      cursor = answer.body.nextCursor;
      await made();
      for (const gone of leaving.splice(0, 4)) await app.call("DELETE", `/workspaces/${gone}`, { as: ben });
    }
    expect(new Set(seen).size).toBe(seen.length);
    const lasting = ids.filter((workspaceId) => !going.has(workspaceId));
    const known = new Set(lasting);
    expect(seen.filter((workspaceId) => known.has(workspaceId)).sort()).toEqual(lasting.sort());
  });

  it("[WSP5] shows one project's alone, and refuses its cursor for another", async () => {
    const other = await app.project(ada, [[ben, "collaborator"]]);
    const mine = [await made(), await made()].map((workspace) => workspace.id).reverse();
    await app.call("POST", `/projects/${other}/workspaces`, { as: ben, body: { name: "There" } });
    const list = await app.call("GET", `/projects/${id}/workspaces`, { as: ben });
    expect(list.body.workspaces.map((workspace) => workspace.id)).toEqual(mine);
    const { nextCursor } = (await app.call("GET", `/projects/${id}/workspaces?limit=1`, { as: ben })).body;
    const foreign = await app.call("GET", `/projects/${other}/workspaces?limit=1&cursor=${nextCursor}`, {
      as: ben,
    });
    expect([foreign.status, foreign.body.code]).toEqual([400, "invalid_cursor"]);
  });
});

describe("GET /workspaces/:workspaceId", () => {
  it("[WSP6] answers 304 for the current ETag", async () => {
    const { id: workspaceId } = await made();
    const read = () =>
      app.call("GET", `/workspaces/${workspaceId}`, { as: ben, headers: { "If-None-Match": '"v1"' } });
    expect((await read()).status).toBe(304);
    await change("PATCH", workspaceId, { name: "Renamed" });
    expect((await read()).status).toBe(200);
  });
});

describe("PUT /workspaces/:workspaceId", () => {
  it("[WSP7] replaces name and settings; settings left out are emptied", async () => {
    const workspace = await made();
    const put = await change("PUT", workspace.id, { name: "After", settings: { a: 1 } });
    expect(put.status).toBe(200);
    expect(put.body.workspace).toMatchObject({ name: "After", settings: { a: 1 }, version: 2 });
    expect((await change("PUT", workspace.id, { name: "After" })).body.workspace.settings).toEqual({});
    expect((await change("PUT", workspace.id, { settings: {} })).status).toBe(400);
    expect((await app.events(id)).slice(-2).map(({ payload }) => payload)).toEqual([
      { workspaceId: workspace.id, name: "After", changed: ["name", "settings"] },
      { workspaceId: workspace.id, name: "After", changed: ["settings"] },
    ]);
  });
});

describe("PATCH /workspaces/:workspaceId", () => {
  it("[WSP8] changes what is named; settings as a whole; nothing when nothing changes", async () => {
    const workspace = await made({ name: "Space", settings: { a: 1, b: 2 } });
    const patch = async (body: unknown) => (await change("PATCH", workspace.id, body)).body.workspace;
    expect(await patch({ name: "After" })).toMatchObject({ name: "After", settings: { a: 1, b: 2 } });
    expect(await patch({ settings: { b: 3 } })).toMatchObject({ settings: { b: 3 }, version: 3 });
    const events = await app.events(id);
    expect((await patch({})).version).toBe(3);
    expect((await patch({ name: "After", settings: { b: 3 } })).version).toBe(3);
    expect(await app.events(id)).toEqual(events);
    expect((await change("PATCH", workspace.id, { settings: null })).status).toBe(400);
  });

  it("[WSP9] of 20 updates from the same ETag lets one through (412 with the current one)", async () => {
    const { id: workspaceId } = await made();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_none, index) =>
        change("PATCH", workspaceId, { name: `Name ${index}` }, { "If-Match": '"v1"' }),
      ),
    );
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
    const lost = answers.filter((answer) => answer.status === 412);
    expect(lost.map((answer) => answer.headers.get("etag"))).toEqual(Array<string>(19).fill('"v2"'));
  });
});

describe("DELETE /workspaces/:workspaceId", () => {
  it("[WSP10] deletes the workspace alone, and honours If-Match", async () => {
    const [gone, kept] = [await made(), await made()];
    expect((await change("DELETE", gone.id, undefined, { "If-Match": '"v2"' })).status).toBe(412);
    expect((await change("DELETE", gone.id, undefined, { "If-Match": '"v1"' })).status).toBe(204);
    expect((await app.call("GET", `/workspaces/${gone.id}`, { as: ben })).status).toBe(404);
    expect((await change("DELETE", gone.id, undefined)).status).toBe(404);
    const list = await app.call("GET", `/projects/${id}/workspaces`, { as: ben });
    expect(list.body.workspaces).toEqual([kept]);
    expect((await app.events(id)).at(-1)).toEqual({
      type: "workspace_deleted",
      userId: ben.id,
      payload: { workspaceId: gone.id, name: "Space" },
    });
  });
});
