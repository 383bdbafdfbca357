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
let cleo: TestUser;
let id: string;

beforeAll(async () => {
  app = await createProjectApp();
});
afterAll(() => app.close());
beforeEach(async () => {
  ada = await app.user({ name: "Ada" });
  ben = await app.user({ name: "Ben" });
  cleo = await app.user({ name: "Cleo" });
  id = await app.project(ada, [[ben, "collaborator"]]);
});

const path = (user?: TestUser) => `/projects/${id}/members${user ? `/${user.id}` : ""}`;
const add = (as: TestUser, email: string, role: unknown = "viewer", headers = {}) =>
  app.call("POST", path(), { as, body: { email, role }, headers });
const setRole = (as: TestUser, user: TestUser, role: string, method = "PATCH", headers = {}) =>
  app.call(method, path(user), { as, body: { role }, headers });
const remove = (as: TestUser, user: TestUser, headers = {}) =>
  app.call("DELETE", path(user), { as, headers });
const membersOf = async (as: TestUser) => (await app.call("GET", path(), { as })).body.members;
const authzLog = () =>
  app.database
    .tables<TestTables>()
    .selectFrom("authz_log")
    .select(["kind", "subject", "reason"])
    .where("project_id", "=", id)
    .orderBy("seq")
    .execute();

describe("GET /projects/:projectId/members", () => {
  it("[MEM1] shows members to each other, with address and role, in the order of joining", async () => {
    const members = await membersOf(ben);
    expect(members).toEqual([
      {
        userId: ada.id,
        name: "Ada",
        email: ada.email,
        role: "owner",
        version: 1,
        joinedAt: expect.any(String),
      },
      {
        userId: ben.id,
        name: "Ben",
        email: ben.email,
        role: "collaborator",
        version: 2,
        joinedAt: expect.any(String),
      },
    ]);
  });

  it("[MEM2] walks 1,000 rows, many of the same instant, while rows come and go", async () => {
    const t = app.database.tables<TestTables>();
    const at = new Date(Date.now() + 1_000);
    const users = Array.from({ length: 1_000 }, (_none, index) => ({
      id: v7(),
      name: "Row",
      email: `row${index}-${id}@example.test`,
      password_hash: "-",
      email_verified_at: at,
      disabled_at: null,
    }));
    await t.insertInto("users").values(users).execute();
    await t
      .insertInto("project_members")
      .values(
        users.map((user, index) => ({
          project_id: id,
          user_id: user.id,
          role: "viewer",
          version: 3,
          joined_at: new Date(at.getTime() + Math.floor(index / 300)),
        })),
      )
      .execute();
    const going = new Set(users.filter((_user, index) => index % 10 === 5).map((user) => user.id));
    const leaving = [...going];
    const seen: string[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const query: string = cursor === "" ? "?limit=41" : `?limit=41&cursor=${cursor}`;
      const answer: Answer = await app.call("GET", path() + query, { as: ada });
      expect(answer.status).toBe(200);
      seen.push(...answer.body.members.map(({ userId }) => userId));
      cursor = answer.body.nextCursor;
      await add(ada, (await app.user()).email);
      for (const userId of leaving.splice(0, 4)) {
        expect((await app.call("DELETE", `${path()}/${userId}`, { as: ada })).status).toBe(204);
      }
    }
    expect(new Set(seen).size).toBe(seen.length);
    const lasting = users.map((user) => user.id).filter((userId) => !going.has(userId));
    const rows = new Set(lasting);
    expect(seen.filter((userId) => rows.has(userId)).sort()).toEqual(lasting.sort());
  });

  it("[MEM2] refuses the cursor of another project", async () => {
    const { nextCursor } = (await app.call("GET", `${path()}?limit=1`, { as: ada })).body;
    const other = await app.project(ada, [[ben, "viewer"]]);
    const answer = await app.call("GET", `/projects/${other}/members?limit=1&cursor=${nextCursor}`, {
      as: ada,
    });
    expect([answer.status, answer.body.code]).toEqual([400, "invalid_cursor"]);
  });
});

describe("POST /projects/:projectId/members", () => {
  describe("201", () => {
    it.each(["owner", "collaborator", "viewer"])("[MEM3] makes an account a member: %s", async (role) => {
      const answer = await add(ada, cleo.email.toUpperCase(), role);
      expect(answer.status).toBe(201);
      expect(answer.body.member).toMatchObject({ userId: cleo.id, email: cleo.email, name: "Cleo", role });
      expect(answer.headers.get("location")).toBe(`/api/v1${path(cleo)}`);
      expect(answer.headers.get("etag")).toBe(`"v${answer.body.member.version}"`);
      expect((await app.call("GET", `/projects/${id}`, { as: cleo })).body.project.role).toBe(role);
      expect((await app.events(id)).at(-1)).toEqual({
        type: "member_added",
        userId: ada.id,
        payload: { memberId: cleo.id, name: "Cleo", role },
      });
      expect((await authzLog()).at(-1)).toEqual({
        kind: "membership",
        subject: cleo.id,
        reason: "member_added",
      });
      expect(app.mails.filter((mail) => mail.to === cleo.email)).toEqual([]);
    });

    it("[MEM4] adds once, however many ask at once", async () => {
      const answers = await Promise.all(Array.from({ length: 10 }, () => add(ada, cleo.email)));
      expect(answers.map((answer) => answer.status).sort((a, b) => a - b)).toEqual([
        201,
        ...Array<number>(9).fill(409),
      ]);
      expect((await membersOf(ada)).filter(({ userId }) => userId === cleo.id)).toHaveLength(1);
    });
  });

  describe("409", () => {
    it("[MEM5] refuses a member and leaves the role as it was", async () => {
      const before = await membersOf(ada);
      const answer = await add(ada, ben.email, "owner");
      expect([answer.status, answer.body.code]).toEqual([409, "already_member"]);
      expect((await add(ada, ada.email, "viewer")).status).toBe(409);
      expect(await membersOf(ada)).toEqual(before);
    });
  });

  describe("400", () => {
    it.each([
      "a@x.test,b@y.test",
      '"x@evil.test y"@victim.test',
      "u@x.test(c)evil.test",
      "a: b@c.test;",
      "Ben <b@c.test>",
      "a@c.test\r\nBcc: d@e.test",
      "nothing",
      "",
    ])("[MEM6] refuses %j as an address", async (email) => {
      const answer = await add(ada, email);
      expect(answer.status).toBe(400);
      expect(answer.body.errors[0]?.pointer).toBe("/email");
    });

    it.each([undefined, "admin", "Owner", null, 1, ["owner"], { $ne: null }])(
      "[MEM6] refuses the role %j and takes none by default",
      async (role) => {
        const answer = await app.call("POST", path(), { as: ada, body: { email: cleo.email, role } });
        expect(answer.status).toBe(400);
        expect(answer.body.errors[0]?.pointer).toBe("/role");
        expect(await membersOf(ada)).toHaveLength(2);
      },
    );
  });
});

describe.each(["PUT", "PATCH"])("%s /projects/:projectId/members/:userId", (method) => {
  it("[MEM7] changes the role, on every node when X-Access-Applied is true", async () => {
    const answer = await setRole(ada, ben, "viewer", method);
    expect(answer.status).toBe(200);
    expect(answer.body.member).toMatchObject({ userId: ben.id, role: "viewer", version: 3 });
    expect(answer.headers.get("etag")).toBe('"v3"');
    expect(answer.headers.get("x-access-applied")).toBe("true");
    expect(await app.projects.access.roleIn(id, ben.id)).toBe("viewer");
    expect((await app.events(id)).at(-1)).toEqual({
      type: "role_changed",
      userId: ada.id,
      payload: { memberId: ben.id, name: "Ben", from: "collaborator", to: "viewer" },
    });
    expect((await authzLog()).at(-1)).toEqual({
      kind: "membership",
      subject: ben.id,
      reason: "role_changed",
    });
  });

  it("[MEM8] writes nothing for the role a member has", async () => {
    const events = await app.events(id);
    const answer = await setRole(ada, ben, "collaborator", method);
    expect([answer.status, answer.body.member.version]).toEqual([200, 2]);
    expect(await app.events(id)).toEqual(events);
  });

  it("[MEM9] keeps the last Owner (409), and lets one of two go down", async () => {
    const answer = await setRole(ada, ada, "viewer", method);
    expect([answer.status, answer.body.code]).toEqual([409, "last_owner"]);
    expect((await setRole(ada, ben, "owner", method)).status).toBe(200);
    expect((await setRole(ada, ada, "collaborator", method)).status).toBe(200);
    expect((await setRole(ada, ada, "owner", method)).status).toBe(403);
  });

  it("[MEM10] honours If-Match (412)", async () => {
    const stale = await setRole(ada, ben, "viewer", method, { "If-Match": '"v1"' });
    expect([stale.status, stale.headers.get("etag")]).toEqual([412, '"v2"']);
    expect((await setRole(ada, ben, "viewer", method, { "If-Match": '"v2"' })).status).toBe(200);
  });

  it("[MEM11] refuses a body without exactly a role (400)", async () => {
    for (const body of [
      {},
      { role: null },
      { role: "viewer", name: "x" },
      { role: "viewer", userId: ada.id },
      [],
    ]) {
      expect((await app.call(method, path(ben), { as: ada, body })).status).toBe(400);
    }
    expect((await membersOf(ada))[1]?.role).toBe("collaborator");
  });

  it("[MEM12] finds nobody who is no member (404)", async () => {
    expect((await setRole(ada, cleo, "viewer", method)).status).toBe(404);
  });
});

describe("DELETE /projects/:projectId/members/:userId", () => {
  it("[MEM13] removes a member at once", async () => {
    const answer = await remove(ada, ben);
    expect([answer.status, answer.headers.get("x-access-applied")]).toEqual([204, "true"]);
    expect((await app.call("GET", `/projects/${id}`, { as: ben })).status).toBe(404);
    expect(await app.projects.access.roleIn(id, ben.id)).toBeUndefined();
    expect((await app.events(id)).at(-1)).toEqual({
      type: "member_removed",
      userId: ada.id,
      payload: { memberId: ben.id, name: "Ben", left: false },
    });
    expect((await authzLog()).at(-1)).toEqual({
      kind: "membership",
      subject: ben.id,
      reason: "member_removed",
    });
    expect((await remove(ada, ben)).status).toBe(404);
  });

  it.each(["viewer", "collaborator"])("[MEM14] lets a %s leave", async (role) => {
    await add(ada, cleo.email, role);
    expect((await remove(cleo, cleo)).status).toBe(204);
    expect((await app.events(id)).at(-1)?.payload).toEqual({ memberId: cleo.id, name: "Cleo", left: true });
  });

  it("[MEM9] keeps the last Owner (409), and lets one of two leave", async () => {
    const answer = await remove(ada, ada);
    expect([answer.status, answer.body.code]).toEqual([409, "last_owner"]);
    await setRole(ada, ben, "owner");
    expect((await remove(ada, ada)).status).toBe(204);
    expect((await membersOf(ben)).map(({ userId }) => userId)).toEqual([ben.id]);
  });

  it("[MEM10] honours If-Match (412)", async () => {
    expect((await remove(ada, ben, { "If-Match": '"v9"' })).status).toBe(412);
    expect((await remove(ada, ben, { "If-Match": '"v2"' })).status).toBe(204);
  });
});

describe("races", () => {
  const owners = async () =>
    (
      await app.database
        .tables<TestTables>()
        .selectFrom("project_members")
        .select("user_id")
        .where("project_id", "=", id)
        .where("role", "=", "owner")
        .execute()
    ).length;

  it("[MEM15] two Owners who demote and remove each other 200 times never leave none", async () => {
    for (let round = 0; round < 200; round++) {
      id = await app.project(ada, [[ben, "owner"]]);
      const answers = await Promise.all(
        round % 2 === 0
          ? [setRole(ada, ben, "viewer"), setRole(ben, ada, "viewer")]
          : [remove(ada, ben), remove(ben, round % 4 === 1 ? ben : ada)],
      );
      expect(await owners()).toBe(1);
      expect(answers.filter((answer) => answer.status < 300)).toHaveLength(1);
      for (const answer of answers) expect([200, 204, 403, 404, 409]).toContain(answer.status);
    }
  });

  it("[MEM15] both of two Owners who leave at once cannot", async () => {
    for (let round = 0; round < 20; round++) {
      id = await app.project(ada, [[ben, "owner"]]);
      const answers = await Promise.all([remove(ada, ada), remove(ben, ben)]);
      expect(answers.map((answer) => answer.status).sort((a, b) => a - b)).toEqual([204, 409]);
      expect(await owners()).toBe(1);
    }
  });

  it("[ACC5] no write of a member is accepted after the demotion, 50 times", async () => {
    for (let round = 0; round < 50; round++) {
      const accepted: number[] = [];
      const underWay = gate();
      const hammers = Array.from({ length: 3 }, async (_none, hammer) => {
        for (let n = 0; ; n++) {
          const body = { name: `Name ${hammer}.${n}` };
          const write = await app.call("PATCH", `/projects/${id}`, { as: ben, body });
          if (write.status !== 200) return write.status;
          accepted.push(write.body.project.version);
          if (n === 2) underWay.resolve();
        }
      });
      await underWay.promise;
      const { member } = (await setRole(ada, ben, "viewer")).body;
      // Begun after the 200; and of those under way none came after it in the order of the project's changes.
      const late = await app.call("PATCH", `/projects/${id}`, { as: ben, body: { name: "Too late" } });
      expect([late.status, ...(await Promise.all(hammers))]).toEqual([403, 403, 403, 403]);
      expect(Math.max(...accepted)).toBeLessThan(member.version);
      await setRole(ada, ben, "collaborator");
    }
  });

  it("[ACC6] a demotion waits for the write under way, and the next write for the demotion", async () => {
    const { access } = app.projects;
    const order: string[] = [];
    const end = gate();
    const holding = gate();
    const write = (holds: Promise<void>, name: string) =>
      app.database.transaction(async (tx) => {
        await access.requireForWrite(tx, ben.id, id, "file.write");
        holding.resolve();
        await holds;
        order.push(name);
      });
    const first = write(end.promise, "first write");
    await holding.promise;
    const demotion = setRole(ada, ben, "viewer").then(() => order.push("demotion"));
    while (order.length === 0 && (await app.lockWaits()) < 1);
    const second = expect(write(Promise.resolve(), "second write")).rejects.toMatchObject({
      code: "forbidden",
    });
    while (order.length === 0 && (await app.lockWaits()) < 2);
    end.resolve();
    await Promise.all([first, demotion, second]);
    expect(order).toEqual(["first write", "demotion"]);
  });
});

/** A promise to be resolved from outside. */
function gate(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((open) => {
    resolve = open;
  });
  return { promise, resolve };
}
