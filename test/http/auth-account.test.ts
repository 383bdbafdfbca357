import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sql as raw } from "kysely";
import { v7 } from "uuid";
import { type AuthApp, createAuthApp, PASSWORD, tally, tokenIn } from "../kit/auth-app.js";

let app: AuthApp;

beforeAll(async () => {
  app = await createAuthApp();
});

afterAll(() => app.close());

async function audit(userId: string): Promise<string[]> {
  const { rows } = await raw<{ action: string }>`
    select action from auth_audit where user_id = ${userId} order by id`.execute(app.database.tables());
  return rows.map(({ action }) => action);
}

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

describe("POST /auth/password", () => {
  const change = (token: string, currentPassword: unknown, newPassword: unknown) =>
    app.call("POST", "/auth/password", { token, body: { currentPassword, newPassword } });

  it("[AUTH27, AUTH41] 204: every other session is over, this one stays, a mail is sent", async () => {
    const person = await app.register();
    const other = await app.login(person.email);
    const answer = await change(person.accessToken, PASSWORD, "a much better password");
    expect([answer.status, answer.headers.get("x-access-applied")]).toEqual([204, "true"]);
    expect((await app.call("GET", "/auth/me", { token: other.accessToken })).body.code).toBe(
      "session_revoked",
    );
    expect((await app.refresh(other.refreshToken)).body.code).toBe("session_revoked");
    expect((await app.call("GET", "/auth/me", { token: person.accessToken })).status).toBe(200);
    expect((await app.refresh(person.refreshToken)).status).toBe(200);
    await app.mail(person.email, /password was changed/);
    await app.login(person.email, { password: "a much better password" });
    const old = { email: person.email, password: PASSWORD };
    expect((await app.call("POST", "/auth/login", { body: old })).status).toBe(401);
    expect(await audit(person.id)).toEqual([
      "registered",
      "login",
      "password_changed",
      "sessions_ended",
      "login",
      "login_failed",
    ]);
  });

  it("[AUTH27] 410: links in earlier mails are void", async () => {
    const person = await app.register();
    const verify = tokenIn(await app.mail(person.email, /Verify/));
    expect((await change(person.accessToken, PASSWORD, "a much better password")).status).toBe(204);
    expect((await app.call("POST", "/auth/email/verify", { body: { token: verify } })).status).toBe(410);
  });

  it("[AUTH27] 403: the current password is wrong, and nothing changes", async () => {
    const person = await app.register();
    const other = await app.login(person.email);
    for (const wrong of ["not the password", PASSWORD.toUpperCase(), `${PASSWORD} `]) {
      const answer = await change(person.accessToken, wrong, "a much better password");
      expect([answer.status, answer.body.code]).toEqual([403, "wrong_password"]);
    }
    expect((await app.call("GET", "/auth/me", { token: other.accessToken })).status).toBe(200);
    expect(await audit(person.id)).toContain("password_refused");
  });

  it("[AUTH27] of 10 changes at once one wins", async () => {
    const person = await app.register();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => change(person.accessToken, PASSWORD, `a better password ${i}`)),
    );
    expect(tally(answers)).toEqual({ 204: 1, 403: 9 });
    const winner = answers.findIndex(({ status }) => status === 204);
    await app.login(person.email, { password: `a better password ${winner}` });
  });

  it.each(["short", "password1", "", null, { $ne: null }])(
    "[AUTH3] 400: %j as new password",
    async (value) => {
      const person = await app.register();
      expect((await change(person.accessToken, PASSWORD, value)).body.code).toBe("validation_failed");
      await app.login(person.email);
    },
  );
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
    expect(
      (await app.call("POST", "/auth/login", { body: { email: person.email, password: PASSWORD } })).body
        .code,
    ).toBe("invalid_credentials");
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

  it("[AUTH34] an account that is disabled while its login is under way opens no session", async () => {
    const person = await app.register();
    const waiting = await app.database.transaction(async (tx) => {
      await raw`update users set disabled_at = now() where id = ${person.id}`.execute(tx.tables());
      const body = { email: person.email, password: PASSWORD };
      const answer = app.call("POST", "/auth/login", { body });
      for (let waiters = 0; waiters === 0; ) {
        const { rows } = await raw<{ n: number }>`
          select count(*)::int as n from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`.execute(app.database.tables());
        waiters = rows[0]!.n;
      }
      return [answer];
    });
    expect((await waiting[0]!).body.code).toBe("invalid_credentials");
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
