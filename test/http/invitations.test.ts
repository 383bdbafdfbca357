import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { v7 } from "uuid";
import { createInvitationTokens } from "../../src/projects/invitation-tokens.js";
import { createProjectApp, type ProjectApp, type TestTables, type TestUser } from "../kit/project-app.js";

const DAY_MS = 86_400_000;

let app: ProjectApp;
let ada: TestUser;
let ben: TestUser;
let id: string;
let email: string;

beforeAll(async () => {
  app = await createProjectApp();
});
afterAll(() => app.close());
beforeEach(async () => {
  ada = await app.user({ name: "Ada" });
  ben = await app.user({ name: "Ben" });
  id = await app.project(ada, [[ben, "owner"]]);
  email = `new-${v7()}@example.test`;
});

const invitations = () => `/projects/${id}/invitations`;
const add = (body: object = { email, role: "collaborator" }, as = ada, headers = {}) =>
  app.call("POST", `/projects/${id}/members`, { as, body, headers });
const invite = async (body?: object, as?: TestUser) => (await add(body, as)).body.invitation;
const list = async () => (await app.call("GET", invitations(), { as: ada })).body.invitations;
const resend = (invitationId: string, as = ada, headers = {}) =>
  app.call("POST", `${invitations()}/${invitationId}/resend`, { as, headers });
const revoke = (invitationId: string) => app.call("DELETE", `${invitations()}/${invitationId}`, { as: ada });
const tokenOf = (link: string) => link.split("#token=")[1] ?? "";
const accept = (as: TestUser, link: string, more: object = {}) =>
  app.call("POST", "/invitations/accept", { as, body: { token: tokenOf(link), ...more } });
const mailedLink = (to: string) => {
  const mail = app.mails.filter((sent) => sent.to === to).at(-1);
  return /https:\/\/atelier\.test\/\S+/.exec(mail?.text ?? "")?.[0] ?? "";
};
const verifiedAt = async (user: TestUser) =>
  (
    await app.database
      .tables<TestTables>()
      .selectFrom("users")
      .select("email_verified_at")
      .where("id", "=", user.id)
      .executeTakeFirstOrThrow()
  ).email_verified_at;
const lastEvent = async () => (await app.events(id)).at(-1);
const refused = async (user: TestUser, link: string) => {
  const before = await app.events(id);
  const { status, body } = await accept(user, link);
  expect([status, body.code]).toEqual([410, "link_expired"]);
  expect(await app.projects.access.roleIn(id, user.id)).toBeUndefined();
  expect(await app.events(id)).toEqual(before);
};

describe("POST /projects/:projectId/members for an address without an account", () => {
  it("[INV1] answers 201 with an invitation and its link, for 7 days", async () => {
    const answer = await add();
    expect(answer.status).toBe(201);
    const { invitation } = answer.body;
    expect(invitation).toMatchObject({ email, role: "collaborator", invitedBy: ada.id });
    expect(invitation.link).toMatch(/^https:\/\/atelier\.test\/invitations\/accept#token=inv1\./);
    expect(Date.parse(invitation.expiresAt) - Date.parse(invitation.createdAt)).toBe(7 * DAY_MS);
    expect(answer.headers.get("location")).toBe(`/api/v1${invitations()}/${invitation.id}`);
    expect(await lastEvent()).toEqual({
      type: "invitation_created",
      userId: ada.id,
      payload: { invitationId: invitation.id, role: "collaborator", resent: false },
    });
  });

  it("[INV2] mails the address after the commit, and answers 201 when no mail can be sent", async () => {
    await invite();
    expect(app.mails.filter((mail) => mail.to === email)).toHaveLength(1);
    app.failMails(true);
    try {
      const other = await add({ email: `other-${v7()}@example.test`, role: "viewer" });
      expect([other.status, typeof other.body.invitation.link]).toEqual([201, "string"]);
    } finally {
      app.failMails(false);
    }
  });

  it("[INV3] keeps what people chose as names inert in the mail", async () => {
    const mallory = await app.user({ name: "https://evil.test/x <b>Bank</b>\r\nBcc: a@b.test" });
    const made = await app.call("POST", "/projects", {
      as: mallory,
      body: { name: "Verify at http://evil.test/login or mail help@evil.test" },
    });
    await app.call("POST", `/projects/${made.body.project.id}/members`, {
      as: mallory,
      body: { email, role: "viewer" },
    });
    const mail = app.mails.find((sent) => sent.to === email);
    expect(mail?.html).toBeUndefined();
    expect(mail?.subject).not.toMatch(/[\r\n<>]|:\/\/|evil\.test|@\S/);
    const text = mail?.text.replace(mailedLink(email), "") ?? "";
    expect(text).not.toMatch(/[<>]|:\/\/|evil\.test|b\.test|\S@\S/);
    expect(text.split("\n").filter((line) => line.startsWith("Bcc"))).toEqual([]);
  });

  it("[INV4] replaces the pending invitation of the same address: one entry, the new role, the old link dead", async () => {
    const first = await invite();
    const again = await invite({ email: email.toUpperCase(), role: "viewer" }, ben);
    expect(again).toMatchObject({ id: first.id, email, role: "viewer", invitedBy: ben.id });
    expect(await list()).toHaveLength(1);
    const user = await app.user({ email });
    await refused(user, first.link);
    expect((await accept(user, again.link)).body.member.role).toBe("viewer");
  });

  it("[INV5] gives the same link to a repeat with the same Idempotency-Key, and mails once", async () => {
    const key = { "Idempotency-Key": v7() };
    const first = await add(undefined, ada, key);
    const again = await add(undefined, ada, key);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect(again.body).toEqual(first.body);
    expect(app.mails.filter((mail) => mail.to === email)).toHaveLength(1);
    expect((await add({ email, role: "viewer" }, ada, key)).body.code).toBe("idempotency_key_reused");
  });

  it("[INV6] gives nothing to who only signs up with the address", async () => {
    await invite();
    const user = await app.user({ email });
    expect((await app.call("GET", "/projects", { as: user })).body.projects).toEqual([]);
    expect((await app.call("GET", `/projects/${id}`, { as: user })).status).toBe(404);
  });

  it("[INV7] stores nothing that makes a link without the key, and writes no link anywhere", async () => {
    const answer = await add(undefined, ada, { "Idempotency-Key": v7() });
    const tokens = [answer.body.invitation.link, mailedLink(email)].map(tokenOf);
    const t = app.database.tables<Record<string, Record<string, unknown>>>();
    const plain = (_name: string, value: unknown) =>
      value !== null && typeof value === "object" && "data" in value && Array.isArray(value.data)
        ? Buffer.from(value.data).toString("latin1")
        : value;
    for (const table of [
      "projects",
      "project_members",
      "project_invitations",
      "outbox",
      "idempotency_keys",
    ]) {
      const dump = JSON.stringify(await t.selectFrom(table).selectAll().execute(), plain);
      for (const token of tokens) expect(dump).not.toContain(token.split(".")[3]);
    }
    const row = await app.database
      .tables<TestTables>()
      .selectFrom("project_invitations")
      .selectAll()
      .where("email", "=", email)
      .executeTakeFirstOrThrow();
    const forged = createInvitationTokens(Buffer.alloc(32)).create(row, "copied");
    await refused(await app.user({ email }), `#token=${forged}`);
  });
});

describe("GET /projects/:projectId/invitations", () => {
  it("[INV8] lists pending invitations newest first, without links, page by page", async () => {
    const made = [];
    for (let i = 0; i < 5; i++) made.push(await invite({ email: `p${i}-${email}`, role: "viewer" }));
    const seen: string[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const query: string = cursor === "" ? "?limit=2" : `?limit=2&cursor=${cursor}`;
      const { body } = await app.call("GET", invitations() + query, { as: ada });
      for (const invitation of body.invitations) {
        expect(Object.keys(invitation).sort()).toEqual(
          ["createdAt", "email", "expiresAt", "id", "invitedBy", "role"].sort(),
        );
        seen.push(invitation.id);
      }
      cursor = body.nextCursor;
    }
    expect(seen).toEqual(made.map((invitation) => invitation.id).reverse());
  });
});

describe("DELETE /projects/:projectId/invitations/:invitationId", () => {
  it("[INV9] kills the link", async () => {
    const invitation = await invite();
    expect((await revoke(invitation.id)).status).toBe(204);
    expect(await list()).toEqual([]);
    expect(await lastEvent()).toEqual({
      type: "invitation_revoked",
      userId: ada.id,
      payload: { invitationId: invitation.id },
    });
    await refused(await app.user({ email }), invitation.link);
    expect((await revoke(invitation.id)).status).toBe(404);
    expect((await resend(invitation.id)).status).toBe(404);
  });
});

describe("POST /projects/:projectId/invitations/:invitationId/resend", () => {
  it("[INV10] makes a new link for 7 more days, kills the old one and takes the invitation over", async () => {
    const first = await invite();
    app.advance(8 * DAY_MS);
    const user = await app.user({ email });
    await refused(user, first.link);
    const answer = await resend(first.id, ben);
    expect(answer.status).toBe(200);
    const { invitation } = answer.body;
    expect(invitation).toMatchObject({ id: first.id, email, invitedBy: ben.id });
    expect(Date.parse(invitation.expiresAt)).toBeGreaterThanOrEqual(Date.parse(first.expiresAt) + 8 * DAY_MS);
    expect(app.mails.filter((mail) => mail.to === email)).toHaveLength(2);
    expect((await lastEvent())?.payload).toEqual({
      invitationId: first.id,
      role: "collaborator",
      resent: true,
    });
    await refused(user, first.link);
    expect((await accept(user, invitation.link)).status).toBe(200);
  });
});

describe("POST /invitations/accept", () => {
  it("[INV11] makes the account of the address a member, once", async () => {
    const { link, id: invitationId } = await invite();
    const user = await app.user({ email, name: "New" });
    const answer = await accept(user, link);
    expect(answer.status).toBe(200);
    expect(answer.body.project).toMatchObject({ id, role: "collaborator" });
    expect(answer.body.member).toMatchObject({ userId: user.id, email, role: "collaborator" });
    expect((await app.events(id)).slice(-2)).toEqual([
      { type: "invitation_accepted", userId: user.id, payload: { invitationId, role: "collaborator" } },
      {
        type: "member_added",
        userId: user.id,
        payload: { memberId: user.id, name: "New", role: "collaborator" },
      },
    ]);
    expect(await list()).toEqual([]);
    const again = await accept(user, link);
    expect([again.status, again.body.code]).toEqual([410, "link_expired"]);
    expect(await app.projects.access.roleIn(id, user.id)).toBe("collaborator");
  });

  it("[INV12] of 20 at once lets one through", async () => {
    for (let round = 0; round < 5; round++) {
      email = `race-${v7()}@example.test`;
      const { link } = await invite();
      const user = await app.user({ email });
      const answers = await Promise.all(Array.from({ length: 20 }, () => accept(user, link)));
      expect(answers.map((answer) => answer.status).sort((a, b) => a - b)).toEqual([
        200,
        ...Array<number>(19).fill(410),
      ]);
      const { members } = (await app.call("GET", `/projects/${id}/members`, { as: ada })).body;
      expect(members.filter((member) => member.userId === user.id)).toHaveLength(1);
    }
  });

  it("[INV13] a link that came by mail proves the mailbox; a copied one works and proves nothing", async () => {
    await invite();
    const mailed = await app.user({ email, verified: false });
    expect((await accept(mailed, mailedLink(email))).status).toBe(200);
    expect(await verifiedAt(mailed)).not.toBeNull();
    email = `copied-${v7()}@example.test`;
    const { link } = await invite();
    expect(link).not.toBe(mailedLink(email));
    const copied = await app.user({ email, verified: false });
    expect((await accept(copied, link)).status).toBe(200);
    expect(await verifiedAt(copied)).toBeNull();
    await refused(await app.user(), mailedLink(email));
  });

  it("[INV14] answers 403 to another account, and keeps the link alive", async () => {
    const { link } = await invite();
    const answer = await accept(await app.user(), link);
    expect([answer.status, answer.body.code]).toEqual([403, "invitation_for_another"]);
    expect((await accept(await app.user({ email }), link)).status).toBe(200);
  });

  it("[INV15] refuses a role, and anything else, in the body (400)", async () => {
    const { link } = await invite();
    const user = await app.user({ email });
    for (const more of [{ role: "owner" }, { projectId: id }, { email }]) {
      expect((await accept(user, link, more)).status).toBe(400);
    }
    expect((await accept(user, link)).body.member.role).toBe("collaborator");
  });

  it.each([
    "",
    "x",
    `rt1.0198c2f4-7b3a-7000-8000-3f6d1c9a5e21.1.${"A".repeat(43)}`,
    `inv1.${"-".repeat(36)}.1.${"A".repeat(43)}`,
    `inv1.0198c2f4-7b3a-7000-8000-3f6d1c9a5e21.0.${"A".repeat(43)}`,
    `inv1.0198c2f4-7b3a-7000-8000-3f6d1c9a5e21.1.${"A".repeat(42)}`,
    "eyJhbGciOiJIUzI1NiJ9.e30.AAAA",
  ])("[INV16] refuses %j, which is no invitation token (400)", async (token) => {
    const answer = await app.call("POST", "/invitations/accept", { as: ada, body: { token } });
    expect([answer.status, answer.body.errors[0]?.pointer]).toEqual([400, "/token"]);
  });

  it("[INV17] answers 410 for a forged, an unknown and an expired link, byte for byte alike", async () => {
    const { link } = await invite();
    const user = await app.user({ email });
    const [prefix, invitationId = "", issue, mac = ""] = tokenOf(link).split(".");
    const flipped = (mac.startsWith("A") ? "B" : "A") + mac.slice(1);
    const links = [
      [prefix, invitationId, issue, flipped],
      [prefix, v7(), issue, mac],
      [prefix, invitationId, "2", mac],
    ].map((parts) => `#token=${parts.join(".")}`);
    const bodies = [];
    for (const forged of links) {
      await refused(user, forged);
      bodies.push({ ...(await accept(user, forged)).body, requestId: "" });
    }
    app.advance(7 * DAY_MS);
    await refused(user, link);
    bodies.push({ ...(await accept(user, link)).body, requestId: "" });
    for (const body of bodies) expect(body).toEqual(bodies[0]);
  });

  it.each(["demoted", "removed"])(
    "[INV18] is void once its inviter was %s, also when they are Owner again",
    async (how) => {
      const { link, id: invitationId } = await invite(undefined, ben);
      const member = `/projects/${id}/members/${ben.id}`;
      const user = await app.user({ email });
      if (how === "demoted") await app.call("PATCH", member, { as: ada, body: { role: "collaborator" } });
      else await app.call("DELETE", member, { as: ada });
      expect(
        (await app.events(id)).some(
          ({ type, payload }) => type === "invitation_revoked" && payload["invitationId"] === invitationId,
        ),
      ).toBe(true);
      await refused(user, link);
      if (how === "demoted") await app.call("PATCH", member, { as: ada, body: { role: "owner" } });
      else await add({ email: ben.email, role: "owner" });
      await refused(user, link);
    },
  );

  it("[INV18] is void while its inviter is disabled", async () => {
    const { link } = await invite(undefined, ben);
    const user = await app.user({ email });
    await app.database
      .tables<TestTables>()
      .updateTable("users")
      .set({ disabled_at: new Date() })
      .where("id", "=", ben.id)
      .execute();
    await refused(user, link);
  });

  it("[INV19] is gone with its project, and with a membership given otherwise", async () => {
    const { link } = await invite();
    const user = await app.user({ email });
    expect((await add({ email, role: "viewer" })).status).toBe(201);
    expect(await list()).toEqual([]);
    expect((await accept(user, link)).status).toBe(410);
    expect(await app.projects.access.roleIn(id, user.id)).toBe("viewer");
    email = `late-${v7()}@example.test`;
    const other = await invite();
    const late = await app.user({ email });
    await app.call("DELETE", `/projects/${id}`, { as: ada });
    expect((await accept(late, other.link)).status).toBe(410);
  });

  it("[INV20] never changes the role of a member whose address changed to an invited one", async () => {
    const { link } = await invite({ email, role: "viewer" });
    await app.database
      .tables<TestTables>()
      .updateTable("users")
      .set({ email })
      .where("id", "=", ben.id)
      .execute();
    const answer = await accept(ben, link);
    expect([answer.status, answer.body.code]).toEqual([409, "already_member"]);
    expect(await app.projects.access.roleIn(id, ben.id)).toBe("owner");
  });

  it("[INV21] and a revocation at the same time: one of them wins, wholly", async () => {
    for (let round = 0; round < 20; round++) {
      email = `vs-${v7()}@example.test`;
      const { link, id: invitationId } = await invite();
      const user = await app.user({ email });
      const [accepted, revoked] = await Promise.all([accept(user, link), revoke(invitationId)]);
      const member = (await app.projects.access.roleIn(id, user.id)) !== undefined;
      expect([accepted.status, revoked.status, member]).toEqual(
        member ? [200, 404, true] : [410, 204, false],
      );
    }
  });
});
