import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { v7 } from "uuid";
import { type Answer, createProjectApp, type ProjectApp, type TestTables } from "../kit/project-app.js";
import {
  createWorlds,
  MATRIX,
  type MatrixRow,
  PERSONAS,
  type Persona,
  type ProjectIds,
  type World,
} from "../kit/project-matrix.js";

let app: ProjectApp;
let newWorld: () => Promise<World>;
/** For tests that leave everything as it was, and say so. */
let world: World;

beforeAll(async () => {
  app = await createProjectApp();
  newWorld = await createWorlds(app);
  world = await newWorld();
});
afterAll(() => app.close());

const rows = Object.entries(MATRIX).map(([operationId, row]) => ({ operationId, ...row }));

/** Ids one can find again in a path. */
const NAMED: ProjectIds = {
  projectId: "project1",
  workspaceId: "workspace1",
  invitationId: "invitation1",
  memberId: "member1",
  token: "token1",
};

function ask(row: MatrixRow, world: World, persona: Persona, ids: ProjectIds = world): Promise<Answer> {
  return app.call(row.method, row.path(ids), {
    ...(persona === "anonymous" ? {} : { as: world.personas[persona] }),
    ...(row.body ? { body: row.body(ids) } : {}),
  });
}

/** Everything stored of a project. */
async function stateOf({ projectId }: ProjectIds): Promise<unknown> {
  const t = app.database.tables<TestTables>();
  const of = (table: "project_members" | "project_invitations" | "workspaces" | "outbox" | "authz_log") =>
    t.selectFrom(table).selectAll().where("project_id", "=", projectId).orderBy("project_id").execute();
  return Promise.all([
    t.selectFrom("projects").selectAll().where("id", "=", projectId).execute(),
    of("project_members"),
    of("project_invitations"),
    of("workspaces"),
    of("outbox"),
    of("authz_log"),
  ]);
}

/** What a client can tell answers apart by, without what differs in every one. */
function visible({ status, headers, body }: Answer): unknown {
  const kept = [...headers].filter(([name]) => !["date", "x-request-id", "content-length"].includes(name));
  return { status, headers: kept, body: { ...body, requestId: "", instance: "" } };
}

describe("roles × routes", () => {
  it("[ACC1] every route has a row", () => {
    expect(app.routes.map(({ spec }) => spec.operationId).sort()).toEqual(Object.keys(MATRIX).sort());
    for (const { spec } of app.routes) expect(spec.auth).toBe("user");
  });

  const cells = rows.flatMap((row) =>
    PERSONAS.map((persona) => ({ ...row, persona, status: row.expected[persona] })),
  );
  it.each(cells)("[ACC1] $operationId as $persona: $status", async ({ persona, status, ...row }) => {
    if (status < 400) {
      expect((await ask(row, await newWorld(), persona)).status).toBe(status);
      return;
    }
    const before = await stateOf(world);
    const answer = await ask(row, world, persona);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
    expect(await stateOf(world)).toEqual(before);
  });
});

describe("existence", () => {
  const guarded = rows.filter((row) => row.expected.outsider === 404);
  it.each(guarded)("[ACC2] $operationId answers a foreign and a missing id alike", async (row) => {
    const nowhere = { ...world, projectId: v7(), workspaceId: v7(), invitationId: v7(), memberId: v7() };
    const missing = visible(await ask(row, world, "outsider", nowhere));
    expect(visible(await ask(row, world, "outsider"))).toEqual(missing);
    expect(visible(await ask(row, world, "removed"))).toEqual(missing);
  });

  const nested = rows.filter(({ path }) => /member1|invitation1/.test(path(NAMED)));
  it.each(nested)("[ACC3] $operationId finds no child of another project, nor of none", async (row) => {
    const { foreign } = await newWorld();
    const before = await stateOf(world);
    await app.call("DELETE", `/projects/${foreign.projectId}/members/${foreign.memberId}`, {
      as: world.personas.outsider,
    });
    const mixed = { ...world, projectId: foreign.projectId };
    const strange = await ask(row, world, "outsider", mixed);
    const missing = await ask(row, world, "outsider", { ...mixed, memberId: v7(), invitationId: v7() });
    expect(strange.status).toBe(404);
    expect(visible(strange)).toEqual(visible(missing));
    expect(await stateOf(world)).toEqual(before);
  });

  it.each(["1", "507f1f77bcf86cd799439011", "%00", "null", "..%2f", "a".repeat(300)])(
    "[ACC4] the id %j is malformed (400)",
    async (id) => {
      const as = world.personas.owner;
      const answer = await app.call("GET", `/projects/${id}`, { as });
      expect([answer.status, answer.body.errors[0]?.pointer]).toEqual([400, ":projectId"]);
      expect((await app.call("GET", `/workspaces/${id}`, { as })).status).toBe(400);
    },
  );
});

describe("other ways to write a request", () => {
  it("[ACC7] give the same verdict", async () => {
    const { projectId, personas } = world;
    const before = await stateOf(world);
    const paths = [
      `/projects/${projectId}/`,
      `/PROJECTS/${projectId}`,
      `/projects/${projectId.toUpperCase()}`,
      `/pr%6fjects/${projectId}`,
      `//projects/${projectId}`,
      `/projects/${projectId}/%2e`,
      `/projects/${projectId}?role=owner`,
    ];
    const headers = { "X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE" };
    for (const path of paths) {
      for (const as of [personas.outsider, personas.viewer]) {
        const read = await app.call("GET", path, { as, headers });
        if (as === personas.outsider) expect(read.status).toBeGreaterThanOrEqual(400);
        const head = await app.call("HEAD", path, { as });
        expect(head.status).toBe((await app.call("GET", path, { as })).status);
        const write = await app.call("PATCH", path, { as, body: { name: "Taken" }, headers });
        expect(write.status).toBeGreaterThanOrEqual(400);
        expect((await app.call("DELETE", path, { as })).status).toBeGreaterThanOrEqual(400);
      }
    }
    expect(await stateOf(world)).toEqual(before);
  });
});

describe("bodies", () => {
  const taking = rows.filter((row) => row.body !== undefined);
  const EXTRA = [
    "id",
    "_id",
    "ownerId",
    "tenantId",
    "createdAt",
    "version",
    "emailVerified",
    "isAdmin",
    "passwordHash",
    "projectId",
    "constructor",
  ];
  const WRONG = [
    { $ne: null },
    { $gt: "" },
    { $regex: ".*" },
    { $where: "sleep(2000)" },
    ["a"],
    1,
    true,
    "\u0000x",
  ];

  it.each(taking)("[ACC8] $operationId refuses members it does not know", async (row) => {
    const before = await stateOf(world);
    const as = world.personas.owner;
    for (const name of [...EXTRA, ...("role" in (row.body?.(world) ?? {}) ? [] : ["role"])]) {
      const body = { ...row.body?.(world), [name]: "owner" };
      const answer = await app.call(row.method, row.path(world), { as, body });
      expect([name, answer.status, answer.body.errors[0]]).toEqual([
        name,
        400,
        { pointer: `/${name}`, code: "unknown_member", message: expect.any(String) },
      ]);
    }
    const polluted = JSON.stringify(row.body?.(world)).replace("{", '{"__proto__":{"role":"owner"},');
    expect((await app.call(row.method, row.path(world), { as, body: polluted })).status).toBe(400);
    expect(await stateOf(world)).toEqual(before);
  });

  it.each(taking)("[ACC9] $operationId refuses values of another type with a pointer", async (row) => {
    const before = await stateOf(world);
    const as = world.personas.owner;
    for (const name of Object.keys(row.body?.(world) ?? {})) {
      for (const value of WRONG) {
        // Any object is good as settings.
        if (name === "settings" && typeof value === "object" && !Array.isArray(value)) continue;
        const answer = await app.call(row.method, row.path(world), {
          as,
          body: { ...row.body?.(world), [name]: value },
        });
        expect([value, answer.status, answer.body.errors[0]?.pointer]).toEqual([value, 400, `/${name}`]);
      }
    }
    for (const body of ["null", "[]", '"text"', "1"]) {
      expect((await app.call(row.method, row.path(world), { as, body })).status).toBe(400);
    }
    expect(await stateOf(world)).toEqual(before);
  });

  it.each(rows)("[ACC10] $operationId refuses a query it does not know", async (row) => {
    const before = await stateOf(world);
    for (const query of [
      "?q[$ne]=",
      "?__proto__[x]=1",
      "?sort=passwordHash",
      "?limit=1&limit=2",
      "?role=owner",
    ]) {
      const answer = await app.call(row.method, row.path(world) + query, {
        as: world.personas.owner,
        ...(row.body ? { body: row.body(world) } : {}),
      });
      expect([query, answer.status]).toEqual([query, 400]);
    }
    expect(await stateOf(world)).toEqual(before);
  });
});
