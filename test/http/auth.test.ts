import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sql as raw } from "kysely";
import { type AuthApp, createAuthApp, PASSWORD, type Person, tally } from "../kit/auth-app.js";

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
