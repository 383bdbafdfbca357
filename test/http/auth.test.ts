import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sql as raw } from "kysely";
import { v7 } from "uuid";
import {
  ACCESS_SECRET,
  type AuthApp,
  createAuthApp,
  PASSWORD,
  type Person,
  tokenIn,
} from "../kit/auth-app.js";

let app: AuthApp;

beforeAll(async () => {
  app = await createAuthApp();
});

afterAll(() => app.close());

async function count(table: string): Promise<number> {
  const { rows } = await raw<{ n: number }>`select count(*)::int as n from ${raw.table(table)}`.execute(
    app.database.tables(),
  );
  return rows[0]!.n;
}

async function audit(userId: string): Promise<string[]> {
  const { rows } = await raw<{ action: string }>`
    select action from auth_audit where user_id = ${userId} order by id`.execute(app.database.tables());
  return rows.map(({ action }) => action);
}

const register = (body: unknown) => app.call("POST", "/auth/register", { body });
const login = (email: unknown, password: unknown = PASSWORD) =>
  app.call("POST", "/auth/login", { body: { email, password } });

describe("POST /auth/register", () => {
  it("[AUTH4] 201: the account and its tokens, and nothing else", async () => {
    const answer = await register({ email: "New@Example.test", password: PASSWORD, name: "  Grace Hopper " });
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({
      user: {
        id: expect.any(String),
        email: "new@example.test",
        name: "Grace Hopper",
        emailVerified: false,
        version: 1,
        createdAt: expect.stringMatching(/Z$/),
        updatedAt: expect.stringMatching(/Z$/),
      },
      tokens: {
        accessToken: expect.any(String),
        refreshToken: expect.stringMatching(/^rt1\./),
        expiresIn: 900,
        tokenType: "Bearer",
      },
    });
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(await audit(answer.body.user.id)).toEqual(["registered"]);
  });

  it("[AUTH4] 201: writes user_registered in the same transaction", async () => {
    const person = await app.register({ name: "Event Maker" });
    const { rows } = await raw<{ payload: unknown }>`
      select payload from outbox where user_id = ${person.id} and type = 'user_registered'`.execute(
      app.database.tables(),
    );
    expect(rows).toEqual([{ payload: { name: "Event Maker" } }]);
  });

  it("[AUTH1] 409: every way to write a taken address, and nothing of the account changes", async () => {
    await app.register({ email: "taken@example.test", name: "First" });
    const before = [await count("users"), await count("auth_sessions"), await count("auth_mails")];
    for (const email of [
      "taken@example.test",
      "TAKEN@example.test",
      "taken@EXAMPLE.test.",
      "taken＠example.test",
      "taken@ex\u200bample.test",
      " taken@example.test",
    ]) {
      const answer = await register({ email, password: "another password", name: "Second" });
      expect([answer.status, answer.body.code]).toEqual([409, "email_taken"]);
    }
    expect([await count("users"), await count("auth_sessions"), await count("auth_mails")]).toEqual(before);
    expect((await login("taken@example.test")).body.user.name).toBe("First");
    expect((await login("taken@example.test", "another password")).status).toBe(401);
  });

  it("[AUTH4] 409: of 20 at once one makes the account", async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        register({ email: "race@example.test", password: PASSWORD, name: "Racer" }),
      ),
    );
    expect(tally(answers)).toEqual({ 201: 1, 409: 19 });
  });

  it.each([
    ["password", "short7!"],
    ["password", "password1"],
    ["password", "x".repeat(1_025)],
    ["password", "nul\u0000nul\u0000nul"],
    ["name", "A"],
    ["name", "   "],
    ["name", "x".repeat(101)],
    ["name", "Ada\nLovelace"],
    ["name", "Ada\u202eLovelace"],
    ["name", "Ada\u200bLovelace"],
    ["name", "--- !!!"],
    ["email", "ada"],
    ["email", "ada@example.test,eve@evil.test"],
    ["email", "ada@example.test\r\nBcc: eve@evil.test"],
    ["email", "Ada <ada@example.test>"],
  ])("[AUTH2, AUTH3, AUTH45] 400: %s %j, with a pointer", async (member, value) => {
    const body = { email: "fresh@example.test", password: PASSWORD, name: "Ada", [member]: value };
    const answer = await register(body);
    expect([answer.status, answer.body.code]).toEqual([400, "validation_failed"]);
    expect(answer.body.errors.map(({ pointer }) => pointer)).toEqual([`/${member}`]);
    expect((await login("fresh@example.test")).status).toBe(401);
  });

  it.each(["😀 Ada", "Łukasz Żółć", "علی‌رضا", "O'Hara-Müller Jr.", "李明"])(
    "[AUTH45] 201: a person may be called %j",
    async (name) => {
      const person = await app.register({ name });
      const me = await app.call("GET", "/auth/me", { token: person.accessToken });
      expect(me.body.user.name).toBe(name);
    },
  );

  it.each([
    "id",
    "_id",
    "role",
    "version",
    "createdAt",
    "emailVerified",
    "emailVerifiedAt",
    "email_verified_at",
    "isAdmin",
    "passwordHash",
    "password_hash",
    "disabledAt",
    "__proto__",
    "constructor",
  ])("[AUTH5] 400: a member %j that is not ours to give", async (member) => {
    const before = await count("users");
    const body = `{"email":"mass@example.test","password":"${PASSWORD}","name":"Mass","${member}":"2000-01-01T00:00:00Z"}`;
    const answer = await register(body);
    expect([answer.status, answer.body.code]).toEqual([400, "validation_failed"]);
    expect(await count("users")).toBe(before);
  });
});

describe("POST /auth/login", () => {
  let person: Person;
  beforeAll(async () => {
    person = await app.register({ email: "login@example.test" });
  });

  it("[AUTH6] 200: the account and tokens of a new session", async () => {
    const answer = await login("LOGIN@example.test");
    expect(answer.status).toBe(200);
    expect(answer.body.user.id).toBe(person.id);
    const me = await app.call("GET", "/auth/me", { token: answer.body.tokens.accessToken });
    expect(me.body).toEqual({ user: answer.body.user });
    expect(answer.body.tokens.refreshToken).not.toContain(person.sessionId);
    expect(await audit(person.id)).toContain("login");
  });

  it("[AUTH6] 401: a wrong password and an unknown account get the same answer", async () => {
    const wrong = await login("login@example.test", "not the password");
    const unknown = await login("nobody@example.test", "not the password");
    const plain = ({ body }: typeof wrong) => ({ ...body, requestId: "" });
    expect([wrong.status, wrong.body.code]).toEqual([401, "invalid_credentials"]);
    expect(unknown.status).toBe(401);
    expect(plain(unknown)).toEqual(plain(wrong));
    const names = ({ headers }: typeof wrong) => [...headers.keys()].sort();
    expect(names(unknown)).toEqual(names(wrong));
    expect(wrong.headers.get("www-authenticate")).toBe("Bearer");
    expect(await audit(person.id)).toContain("login_failed");
  });

  it("[AUTH3] 401: a password that differs after 72 bytes, in case or in a space", async () => {
    const email = "long@example.test";
    await app.register({ email, password: `${"a".repeat(72)}REAL` });
    for (const password of [
      `${"a".repeat(72)}OTHER`,
      "a".repeat(72),
      `${"a".repeat(72)}real`,
      ` ${"a".repeat(72)}REAL`,
    ])
      expect((await login(email, password)).status).toBe(401);
    expect((await login(email, `${"a".repeat(72)}REAL`)).status).toBe(200);
  });

  it.each([
    { $ne: null },
    { $gt: "" },
    { $regex: ".*" },
    { $where: "sleep(2000)" },
    ["login@example.test"],
    [PASSWORD],
    1,
    true,
    null,
    "';select pg_sleep(2)--",
    "",
  ])("[AUTH5] never 200: %j in place of a string", async (value) => {
    for (const answer of [
      await login(value),
      await login("login@example.test", value),
      await login(value, value),
    ])
      expect([400, 401]).toContain(answer.status);
    const forgot = await app.call("POST", "/auth/password/forgot", { body: { email: value } });
    expect(forgot.status).toBe(400);
  });

  it("[AUTH5] 400: an unknown member, a repeated member", async () => {
    const more = await app.call("POST", "/auth/login", {
      body: { email: "login@example.test", password: PASSWORD, admin: true },
    });
    expect([more.status, more.body.errors[0]!.pointer]).toEqual([400, "/admin"]);
    const twice = await app.call("POST", "/auth/login", {
      body: `{"email":"nobody@example.test","email":"login@example.test","password":"${PASSWORD}"}`,
    });
    expect([twice.status, twice.body.code]).toEqual([400, "invalid_json"]);
  });

  it("[AUTH3] 200: a password hashed with other rounds is hashed anew", async () => {
    const stronger = await createAuthApp({ peer: app, rounds: 5 });
    const someone = await app.register();
    await stronger.login(someone.email);
    const { rows } = await raw<{ password_hash: string }>`
      select password_hash from users where id = ${someone.id}`.execute(app.database.tables());
    await stronger.close();
    expect(rows[0]!.password_hash).toMatch(/^\$2b\$05\$/);
    await app.login(someone.email);
  });

  it("[AUTH9] 503 or 200: 300 at once, and the event loop stays free", async () => {
    const slow = await createAuthApp({ peer: app, rounds: 9 });
    await slow.register({ email: "flood@example.test" });
    let worst = 0;
    let last = performance.now();
    const pulse = setInterval(() => {
      const now = performance.now();
      worst = Math.max(worst, now - last);
      last = now;
    }, 10);
    const answers = await Promise.all(
      Array.from({ length: 300 }, () =>
        slow.call("POST", "/auth/login", {
          body: { email: "flood@example.test", password: "not the password" },
        }),
      ),
    );
    clearInterval(pulse);
    await slow.close();
    const busy = answers.filter(({ status }) => status === 503);
    expect(answers.every(({ status }) => status === 401 || status === 503)).toBe(true);
    expect(busy.length).toBeGreaterThan(100);
    expect(busy.length).toBeLessThan(300);
    for (const answer of busy) {
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(["overloaded", "dependency_unavailable"]).toContain(answer.body.code);
    }
    expect(worst).toBeLessThan(1_000);
  });
});

describe("Authorization", () => {
  const me = (authorization: string, headers: Readonly<Record<string, string>> = {}) =>
    app.call("GET", "/auth/me", { headers: { Authorization: authorization, ...headers } });

  it("[AUTH14] 401: none at all, and a token in the query is not one", async () => {
    const { accessToken } = await app.register();
    const bare = await app.call("GET", "/auth/me");
    expect([bare.status, bare.body.code]).toEqual([401, "unauthenticated"]);
    expect(bare.headers.get("www-authenticate")).toBe("Bearer");
    expect((await app.call("GET", `/auth/me?access_token=${accessToken}`)).status).toBe(401);
  });

  it("[AUTH14] 200: the scheme in any case", async () => {
    const { accessToken } = await app.register();
    for (const scheme of ["Bearer", "bearer", "BEARER"])
      expect((await me(`${scheme} ${accessToken}`)).status).toBe(200);
  });

  it("[AUTH14] 400, 401 or 431: 200 malformed values, never 5xx", async () => {
    const { accessToken } = await app.register();
    const [head, body, mac] = accessToken.split(".") as [string, string, string];
    const values = [
      "",
      " ",
      "Bearer",
      "Bearer ",
      `Bearer${accessToken}`,
      `Bearer Bearer ${accessToken}`,
      `Bearer ${accessToken} ${accessToken}`,
      `Bearer ${accessToken},Bearer ${accessToken}`,
      `Bearer\t${accessToken}`,
      `Basic ${Buffer.from("ada:pw").toString("base64")}`,
      `Digest ${accessToken}`,
      `Token ${accessToken}`,
      accessToken,
      `Bearer ${head}.${body}`,
      `Bearer ${head}.${body}.`,
      `Bearer .${body}.${mac}`,
      `Bearer ${head}..${mac}`,
      `Bearer ${body}.${head}.${mac}`,
      "Bearer .........",
      "Bearer ..",
      "Bearer null",
      "Bearer undefined",
      "Bearer [object Object]",
      "Bearer {}",
      "Bearer ü",
      "Bearer \u00ff\u00fe",
      `Bearer ${"a".repeat(8_000)}`,
      `Bearer ${"a.".repeat(3_000)}`,
      `Bearer ${"a".repeat(60_000)}`,
      `Bearer ${accessToken}=`,
      `Bearer ${accessToken.toUpperCase()}`,
      `Bearer ${[...accessToken].reverse().join("")}`,
    ];
    while (values.length < 200) {
      const at = (values.length * 37) % accessToken.length;
      const other = accessToken[at] === "A" ? "B" : "A";
      // The last character of a part carries bits that no byte takes.
      const change = values.length % 2 === 0 ? accessToken.slice(0, at) : accessToken.slice(0, at) + other;
      const rest = values.length % 2 === 0 ? "" : accessToken.slice(at + 1);
      values.push(`Bearer ${at === accessToken.length - 1 ? "x" : change + rest}`);
    }
    const statuses = new Set<number>();
    for (const value of values) {
      const { status } = await me(value);
      statuses.add(status);
      if (![400, 401, 431].includes(status)) throw new Error(`${status} for ${value.slice(0, 300)}`);
    }
    expect([...statuses].sort((a, b) => a - b)).toEqual([401, 431]);
  });

  it("[AUTH13] 401: no other token stands in for an access token", async () => {
    const person = await app.register({ email: "confused@example.test" });
    const ticket = await app.call("POST", "/ws-ticket", { token: person.accessToken });
    await app.call("POST", "/auth/password/forgot", { body: { email: person.email } });
    const reset = tokenIn(await app.mail(person.email, /Reset/));
    const verify = tokenIn(await app.mail(person.email, /Verify/));
    for (const token of [person.refreshToken, ticket.body.ticket, reset, verify, ACCESS_SECRET]) {
      const answer = await app.call("GET", "/auth/me", { token });
      expect([answer.status, answer.body.code]).toEqual([401, "invalid_token"]);
    }
    for (const token of [person.accessToken, ticket.body.ticket, reset, verify])
      expect((await app.refresh(token)).status).toBe(401);
    for (const token of [person.accessToken, person.refreshToken, ticket.body.ticket, verify]) {
      const body = { token, password: "a brand new password" };
      expect((await app.call("POST", "/auth/password/reset", { body })).status).toBe(400);
    }
    for (const token of [person.accessToken, person.refreshToken, ticket.body.ticket, reset])
      expect((await app.call("POST", "/auth/email/verify", { body: { token } })).status).toBe(400);
    for (const token of [person.accessToken, person.refreshToken, reset, verify])
      await expect(app.auth.authenticator.authenticateTicket(token)).rejects.toMatchObject({
        code: "invalid_token",
      });
    // None of that used one of them up.
    expect((await app.call("POST", "/auth/email/verify", { body: { token: verify } })).status).toBe(204);
    const body = { token: reset, password: "a brand new password" };
    expect((await app.auth.authenticator.authenticateTicket(ticket.body.ticket)).userId).toBe(person.id);
    expect((await app.call("POST", "/auth/password/reset", { body })).status).toBe(204);
  });

  it("[AUTH10] 401: a token that is too old says so", async () => {
    const node = await createAuthApp({ peer: app });
    const { accessToken } = await app.register();
    node.advance(16 * 60_000);
    const answer = await node.call("GET", "/auth/me", { token: accessToken });
    await node.close();
    expect([answer.status, answer.body.code]).toEqual([401, "token_expired"]);
    expect(answer.headers.get("www-authenticate")).toBe('Bearer error="invalid_token"');
  });

  it("[AUTH12] 200: tokens of the former secret while it is kept", async () => {
    const { accessToken } = await app.register();
    const other = "another-secret-of-the-tests-0123456789abcdef";
    const rotated = await createAuthApp({ peer: app, accessSecrets: [other, ACCESS_SECRET] });
    const forgotten = await createAuthApp({ peer: app, accessSecrets: [other] });
    const statuses = [];
    for (const node of [rotated, forgotten])
      statuses.push((await node.call("GET", "/auth/me", { token: accessToken })).status);
    await rotated.close();
    await forgotten.close();
    expect(statuses).toEqual([200, 401]);
  });
});

describe("GET and PATCH /auth/me", () => {
  it("[AUTH26] 200 and 304: the ETag is the version", async () => {
    const { accessToken: token } = await app.register();
    const me = await app.call("GET", "/auth/me", { token });
    expect([me.status, me.headers.get("etag")]).toEqual([200, '"v1"']);
    const again = await app.call("GET", "/auth/me", { token, headers: { "If-None-Match": '"v1"' } });
    expect([again.status, again.text]).toEqual([304, ""]);
  });

  it("[AUTH26] 200: a new name, a new version; an empty change changes nothing", async () => {
    const { accessToken: token } = await app.register();
    const renamed = await app.call("PATCH", "/auth/me", { token, body: { name: " Countess  " } });
    expect([renamed.status, renamed.headers.get("etag")]).toEqual([200, '"v2"']);
    expect(renamed.body.user).toMatchObject({ name: "Countess", version: 2 });
    const same = await app.call("PATCH", "/auth/me", { token, body: {} });
    expect(same.body).toEqual(renamed.body);
  });

  it("[AUTH26] 412: somebody else was first, and is told the current tag", async () => {
    const { accessToken: token } = await app.register();
    const change = (name: string) =>
      app.call("PATCH", "/auth/me", { token, body: { name }, headers: { "If-Match": '"v1"' } });
    const answers = await Promise.all(["One", "Two", "Three"].map(change));
    expect(tally(answers)).toEqual({ 200: 1, 412: 2 });
    const refused = answers.find(({ status }) => status === 412)!;
    expect([refused.body.code, refused.headers.get("etag")]).toEqual(["version_mismatch", '"v2"']);
    expect(
      (await app.call("PATCH", "/auth/me", { token, body: {}, headers: { "If-Match": '"v1"' } })).status,
    ).toBe(412);
  });

  it.each(["id", "email", "emailVerified", "version", "passwordHash", "disabledAt", "role", "createdAt"])(
    "[AUTH5] 400: %s cannot be changed here",
    async (member) => {
      const { accessToken: token } = await app.register();
      const before = await app.call("GET", "/auth/me", { token });
      const answer = await app.call("PATCH", "/auth/me", { token, body: { name: "Eve", [member]: "x" } });
      expect(answer.status).toBe(400);
      expect((await app.call("GET", "/auth/me", { token })).body).toEqual(before.body);
    },
  );
});

describe("POST /ws-ticket", () => {
  it("[AUTH40] 201: stands in for the access token once", async () => {
    const person = await app.register();
    const answer = await app.call("POST", "/ws-ticket", { token: person.accessToken });
    expect([answer.status, answer.body.expiresIn]).toEqual([201, 30]);
    const ticket = answer.body.ticket;
    const { authenticator } = app.auth;
    const byToken = await authenticator.authenticateToken(person.accessToken);
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, () => authenticator.authenticateTicket(ticket)),
    );
    const good = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(good).toEqual([byToken]);
    expect(byToken).toEqual({
      userId: person.id,
      sessionId: person.sessionId,
      generation: 1,
      expiresAt: expect.any(Number),
    });
    for (const result of results)
      if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "invalid_token" });
  });

  it("[AUTH40] is worth nothing after 30 s, or once its session has ended", async () => {
    const node = await createAuthApp();
    const person = await node.register();
    const ticket = async () =>
      (await node.call("POST", "/ws-ticket", { token: person.accessToken })).body.ticket;
    const old = await ticket();
    node.advance(30_001);
    const late = await node.auth.authenticator.authenticateTicket(old).catch((error: unknown) => error);
    const other = await ticket();
    await node.call("POST", "/auth/logout", { token: person.accessToken });
    const ended = await node.auth.authenticator.authenticateTicket(other).catch((error: unknown) => error);
    const made = await node.auth.authenticator
      .authenticateTicket(`wst1.${"a".repeat(43)}`)
      .catch((e: unknown) => e);
    await node.close();
    expect([late, ended, made]).toMatchObject([
      { code: "invalid_token" },
      { code: "session_revoked" },
      { code: "invalid_token" },
    ]);
  });
});

describe("accounts", () => {
  it("[AUTH34] a disabled account is out at once, everywhere, and cannot come back until it is enabled", async () => {
    const node = await createAuthApp({ peer: app });
    const person = await app.register({ email: "disabled@example.test" });
    await app.call("POST", "/auth/password/forgot", { body: { email: person.email } });
    expect(await app.auth.accounts.disable(person.id)).toBe(true);
    for (const at of [app, node]) {
      const answer = await at.call("GET", "/auth/me", { token: person.accessToken });
      expect([answer.status, answer.body.code]).toEqual([401, "session_revoked"]);
      expect((await at.refresh(person.refreshToken)).body.code).toBe("session_revoked");
    }
    expect((await login(person.email)).body.code).toBe("invalid_credentials");
    expect((await app.call("POST", "/auth/password/forgot", { body: { email: person.email } })).status).toBe(
      202,
    );
    expect(await app.auth.accounts.disable(person.id)).toBeUndefined();
    await app.auth.accounts.enable(person.id);
    await app.auth.accounts.enable(person.id);
    const back = await app.login(person.email);
    expect((await node.call("GET", "/auth/me", { token: back.accessToken })).status).toBe(200);
    expect((await app.refresh(person.refreshToken)).status).toBe(401);
    await node.close();
    const actions = await audit(person.id);
    expect(actions.filter((action) => /abled/.test(action))).toEqual(["disabled", "enabled"]);
  });

  it("[AUTH34] an account disabled in the database alone cannot refresh", async () => {
    const person = await app.register();
    await raw`update users set disabled_at = now() where id = ${person.id}`.execute(app.database.tables());
    expect((await app.refresh(person.refreshToken)).body.code).toBe("session_revoked");
  });

  it("[AUTH43] other features find accounts and note a proven mailbox, without secrets", async () => {
    const { directory } = app.auth;
    const person = await app.register({ email: "found@example.test", name: "Found" });
    const entry = {
      id: person.id,
      email: "found@example.test",
      name: "Found",
      emailVerified: false,
      disabled: false,
    };
    expect(await directory.findByEmail(app.database, "found@example.test")).toEqual(entry);
    expect(await directory.findById(app.database, v7())).toBeUndefined();
    await app.database.transaction((tx) => directory.markEmailVerified(tx, person.id));
    await app.database.transaction((tx) => directory.markEmailVerified(tx, person.id));
    expect(await directory.findById(app.database, person.id)).toEqual({ ...entry, emailVerified: true });
    expect((await audit(person.id)).filter((action) => action === "email_verified")).toHaveLength(1);
  });
});
