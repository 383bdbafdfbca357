import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sql as raw } from "kysely";
import { v7 } from "uuid";
import {
  type Answer,
  type AuthApp,
  createAuthApp,
  PASSWORD,
  type Person,
  tally,
  tokenIn,
} from "../kit/auth-app.js";

const NEW_PASSWORD = "an entirely new password";

let app: AuthApp;

beforeAll(async () => {
  app = await createAuthApp();
});

afterAll(() => app.close());

const codeOf = ({ status, body }: Answer) => `${status} ${body.code}`;
const forgot = (email: string, headers: Readonly<Record<string, string>> = {}) =>
  app.call("POST", "/auth/password/forgot", { body: { email }, headers });
const reset = (token: string, password: unknown = NEW_PASSWORD) =>
  app.call("POST", "/auth/password/reset", { body: { token, password } });
const verify = (token: string) => app.call("POST", "/auth/email/verify", { body: { token } });
const me = async ({ accessToken: token }: Person) => (await app.call("GET", "/auth/me", { token })).body.user;
const login = (email: string, password: string) =>
  app.call("POST", "/auth/login", { body: { email, password } });

async function resetToken(email: string): Promise<string> {
  expect((await forgot(email)).status).toBe(202);
  return tokenIn(await app.mail(email, /Reset/));
}

/** Makes the account's mails of this kind `minutes` older. */
async function ageMails(person: Person, kind: string, minutes: number): Promise<void> {
  await raw`
    update auth_mails set expires_at = expires_at - make_interval(mins => ${minutes})
    where user_id = ${person.id} and kind = ${kind}`.execute(app.database.tables());
}

async function audited(person: Person, action: string): Promise<number> {
  const { rows } = await raw<{ n: number }>`
    select count(*)::int as n from auth_audit where user_id = ${person.id} and action = ${action}`.execute(
    app.database.tables(),
  );
  return rows[0]!.n;
}

describe("POST /auth/password/forgot", () => {
  it("[AUTH35] 202: the same answer with and without an account", async () => {
    const person = await app.register();
    const known = await forgot(person.email.toUpperCase());
    const unknown = await forgot("nobody@example.test");
    expect([known.status, known.text, unknown.status, unknown.text]).toEqual([202, "", 202, ""]);
    expect([...known.headers.keys()].sort()).toEqual([...unknown.headers.keys()].sort());
    await app.mail(person.email, /Reset/);
    expect(app.mails.filter(({ to }) => to === "nobody@example.test")).toEqual([]);
  });

  it("[AUTH39] the link leads to PUBLIC_URL, whatever the request says, with the token in the fragment", async () => {
    const person = await app.register();
    await forgot(person.email, {
      "X-Forwarded-Host": "evil.test",
      Forwarded: "host=evil.test",
      "X-Original-URL": "https://evil.test/",
    });
    const mail = await app.mail(person.email, /Reset/);
    expect(mail.to).toBe(person.email);
    expect(mail.text).toMatch(/^https:\/\/atelier\.test\/reset-password#token=rst1\.[\w.-]+$/m);
    expect(mail.text).not.toContain("evil");
  });

  it("[AUTH39] nothing a user has chosen is in a mail", async () => {
    const email = "stranger@example.test";
    await app.register({ email, name: "WIN at https://evil.test <b>now</b>" });
    const mail = await app.mail(email, /Verify/);
    expect(`${mail.subject} ${mail.text} ${mail.html ?? ""}`).not.toMatch(/evil|WIN|<b>/);
  });

  it.each([
    ["victim@example.test,eve@evil.test"],
    ["victim@example.test\r\nBcc: eve@evil.test"],
    ['"victim@example.test eve"@evil.test'],
    ["Victim <victim@example.test>"],
  ])("[AUTH2] 400: %j, and no mail", async (email) => {
    const before = app.mails.length;
    expect(codeOf(await forgot(email))).toBe("400 validation_failed");
    expect(app.mails.length).toBe(before);
  });
});

describe("POST /auth/password/reset", () => {
  it("[AUTH36] 204: a new password, every session over, the address verified, and nobody signed in", async () => {
    const person = await app.register();
    const other = await app.login(person.email);
    const answer = await reset(await resetToken(person.email));
    expect([answer.status, answer.text, answer.headers.get("x-access-applied")]).toEqual([204, "", "true"]);
    for (const { accessToken: token, refreshToken } of [person, other]) {
      expect(codeOf(await app.call("GET", "/auth/me", { token }))).toBe("401 session_revoked");
      expect(codeOf(await app.refresh(refreshToken))).toBe("401 session_revoked");
    }
    expect(codeOf(await login(person.email, PASSWORD))).toBe("401 invalid_credentials");
    const back = await app.login(person.email, { password: NEW_PASSWORD });
    expect((await me(back)).emailVerified).toBe(true);
    await app.mail(person.email, /password was changed/);
    expect(await audited(person, "password_reset")).toBe(1);
  });

  it("[AUTH36] 204 once: of 20 at once one succeeds, and it does not work again", async () => {
    const person = await app.register();
    const token = await resetToken(person.email);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => reset(token, `${NEW_PASSWORD} ${i}`)),
    );
    expect(tally(answers)).toEqual({ 204: 1, 410: 19 });
    const winner = answers.findIndex(({ status }) => status === 204);
    await app.login(person.email, { password: `${NEW_PASSWORD} ${winner}` });
    expect(codeOf(await reset(token))).toBe("410 link_expired");
  });

  it("[AUTH36] 410: a new request voids the old token, also of two requests at once", async () => {
    const person = await app.register();
    const old = await resetToken(person.email);
    const fresh = await resetToken(person.email);
    expect(codeOf(await reset(old))).toBe("410 link_expired");
    await Promise.all([forgot(person.email), forgot(person.email), forgot(person.email)]);
    const { rows } = await raw<{ n: number }>`
      select count(*)::int as n from auth_mails
      where user_id = ${person.id} and kind = 'reset_password' and void_at is null`.execute(
      app.database.tables(),
    );
    expect(rows[0]!.n).toBe(1);
    expect(codeOf(await reset(fresh))).toBe("410 link_expired");
  });

  it("[AUTH36] 410: after 30 minutes", async () => {
    const person = await app.register();
    const token = await resetToken(person.email);
    await ageMails(person, "reset_password", 29);
    expect(codeOf(await reset(token, "short"))).toBe("400 validation_failed");
    await ageMails(person, "reset_password", 1);
    expect(codeOf(await reset(token))).toBe("410 link_expired");
  });

  it("[AUTH36] 410: after the password was changed, and for a disabled account", async () => {
    const person = await app.register();
    const token = await resetToken(person.email);
    const body = { currentPassword: PASSWORD, newPassword: "yet another password" };
    expect((await app.call("POST", "/auth/password", { token: person.accessToken, body })).status).toBe(204);
    expect(codeOf(await reset(token))).toBe("410 link_expired");
    const next = await resetToken(person.email);
    await app.auth.accounts.disable(person.id);
    expect(codeOf(await reset(next))).toBe("410 link_expired");
  });

  it("[AUTH36] 410: a token with the right form that was never given out, or changed in any part", async () => {
    const person = await app.register();
    const token = await resetToken(person.email);
    const [kind, id, mac] = token.split(".") as [string, string, string];
    const other = mac.startsWith("A") ? `B${mac.slice(1)}` : `A${mac.slice(1)}`;
    for (const forged of [`${kind}.${id}.${other}`, `${kind}.${v7()}.${mac}`])
      expect(codeOf(await reset(forged))).toBe("410 link_expired");
    expect((await reset(token)).status).toBe(204);
  });

  it("[AUTH3] 400: a password that could not be chosen at registration leaves the token good", async () => {
    const person = await app.register();
    const token = await resetToken(person.email);
    for (const password of ["short", "password1", { $ne: null }, null])
      expect(codeOf(await reset(token, password))).toBe("400 validation_failed");
    expect((await reset(token)).status).toBe(204);
  });

  it("[AUTH36] a login with the old password that is under way opens no session", async () => {
    for (let round = 0; round < 5; round++) {
      const person = await app.register();
      const token = await resetToken(person.email);
      const [answer, ...logins] = await Promise.all([
        reset(token),
        ...Array.from({ length: 6 }, () => login(person.email, PASSWORD)),
      ]);
      expect(answer.status).toBe(204);
      for (const made of logins) {
        if (made.status === 200)
          expect(codeOf(await app.refresh(made.body.tokens.refreshToken))).toBe("401 session_revoked");
      }
    }
  });
});

describe("POST /auth/email/verify", () => {
  it("[AUTH37] 204: once", async () => {
    const person = await app.register();
    const mail = await app.mail(person.email, /Verify/);
    expect(mail.text).toMatch(/^https:\/\/atelier\.test\/verify-email#token=vfy1\.[\w.-]+$/m);
    expect((await me(person)).emailVerified).toBe(false);
    const answers = await Promise.all(Array.from({ length: 5 }, () => verify(tokenIn(mail))));
    expect(tally(answers)).toEqual({ 204: 1, 410: 4 });
    expect(await me(person)).toMatchObject({ emailVerified: true, version: 2 });
    expect(await audited(person, "email_verified")).toBe(1);
  });

  it("[AUTH37] 410: after a day", async () => {
    const person = await app.register();
    const token = tokenIn(await app.mail(person.email, /Verify/));
    await ageMails(person, "verify_email", 24 * 60);
    expect(codeOf(await verify(token))).toBe("410 link_expired");
  });
});

describe("POST /auth/email/verify/resend", () => {
  const resend = (person: Person) =>
    app.call("POST", "/auth/email/verify/resend", { token: person.accessToken });

  it("[AUTH38] 202: a new mail, and the old link is void", async () => {
    const person = await app.register();
    const old = tokenIn(await app.mail(person.email, /Verify/));
    expect((await resend(person)).status).toBe(202);
    const fresh = tokenIn(await app.mail(person.email, /Verify/));
    expect(codeOf(await verify(old))).toBe("410 link_expired");
    expect((await verify(fresh)).status).toBe(204);
  });

  it("[AUTH38] 202: no mail when the address is verified", async () => {
    const person = await app.register();
    await verify(tokenIn(await app.mail(person.email, /Verify/)));
    expect((await resend(person)).status).toBe(202);
    const { rows } = await raw<{ n: number }>`
      select count(*)::int as n from auth_mails where user_id = ${person.id}`.execute(app.database.tables());
    expect(rows[0]!.n).toBe(1);
  });

  it("[AUTH38] 401: for nobody", async () => {
    expect((await app.call("POST", "/auth/email/verify/resend")).status).toBe(401);
  });
});

describe("mails", () => {
  it("[AUTH39] a mail server that is away delays a mail and fails no request; the link is the same", async () => {
    app.failMails(true);
    const person = await app.register();
    expect((await forgot(person.email)).status).toBe(202);
    const attempted = async () => {
      const { rows } = await raw<{ attempts: number; waits: boolean }>`
        select attempts, next_attempt_at > now() + interval '10 seconds' as waits from auth_mails
        where user_id = ${person.id} and kind = 'reset_password' and sent_at is null`.execute(
        app.database.tables(),
      );
      return rows[0];
    };
    while ((await attempted())?.attempts === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(await attempted()).toEqual({ attempts: 1, waits: true });
    app.failMails(false);
    await raw`update auth_mails set next_attempt_at = now() where user_id = ${person.id}`.execute(
      app.database.tables(),
    );
    // A node that starts, or any later mail, looks for what is due.
    const node = await createAuthApp({ peer: app });
    const mail = await node.mail(person.email, /Reset/);
    await node.close();
    expect((await reset(tokenIn(mail))).status).toBe(204);
  });

  it("[AUTH39] two nodes send one mail once", async () => {
    const nodes = [app, await createAuthApp({ peer: app }), await createAuthApp({ peer: app })];
    const people = await Promise.all(Array.from({ length: 30 }, (_, i) => nodes[i % 3]!.register()));
    const drained = async () => {
      const { rows } = await raw<{ n: number }>`
        select count(*)::int as n from auth_mails where sent_at is null and void_at is null and expires_at > now()
          and user_id = any(${people.map(({ id }) => id)}::uuid[])`.execute(app.database.tables());
      return rows[0]!.n === 0;
    };
    while (!(await drained())) await new Promise((resolve) => setImmediate(resolve));
    const sent = nodes.flatMap(({ mails }) => mails);
    for (const { email } of people) expect(sent.filter(({ to }) => to === email)).toHaveLength(1);
    await nodes[1]!.close();
    await nodes[2]!.close();
  });
});
