import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { sql as raw } from "kysely";
import { type Answer, type AuthApp, createAuthApp, PASSWORD, tally } from "../kit/auth-app.js";

let app: AuthApp;

beforeEach(async () => {
  app = await createAuthApp({ limits: { login: 5, register: 10, refresh: 30 } });
});

afterEach(() => app.close());

const login = (email: string, from: string, password = "not the password", node = app) =>
  node.call("POST", "/auth/login", { body: { email, password }, from });

function expectLimited(answer: Answer, policy: string): void {
  expect([answer.status, answer.body.code, answer.body.policy]).toEqual([429, "rate_limited", policy]);
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
}

describe("login failures", () => {
  it("[AUTH7] 429: the 6th from one address for one account, however both are written, right or wrong", async () => {
    const { email } = await app.register();
    const spellings = [email, email.toUpperCase(), `${email}.`, email.replace("@", "＠"), ` ${email}`];
    for (const spelling of spellings) expect((await login(spelling, "203.0.113.9")).status).toBe(401);
    expectLimited(await login(email, "203.0.113.9"), "login");
    expectLimited(await login(email, "203.0.113.9", PASSWORD), "login");
    expectLimited(await login(email, "::ffff:203.0.113.9"), "login");
    expect((await login("someone.else@example.test", "203.0.113.9")).status).toBe(401);
  });

  it("[AUTH7] 429: an unknown account is limited in the same way", async () => {
    const answers: Answer[] = [];
    for (let i = 0; i < 6; i++) answers.push(await login("nobody@example.test", "203.0.113.9"));
    expect(tally(answers)).toEqual({ 401: 5, 429: 1 });
  });

  it("[AUTH7] 429: guesses sent at once count too, and so do those at another node", async () => {
    const { email } = await app.register();
    const peer = await createAuthApp({ peer: app, limits: { login: 5, register: 10, refresh: 30 } });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        login(email, "203.0.113.9", "not the password", i % 2 ? app : peer),
      ),
    );
    expect(tally(answers)).toEqual({ 401: 5, 429: 15 });
  });

  it("[AUTH7] one IPv6 network is one address", async () => {
    const { email } = await app.register();
    for (let i = 0; i < 5; i++) await login(email, `2001:db8:1:2::${i + 1}`);
    expectLimited(await login(email, "2001:db8:1:2:ffff::1"), "login");
    expect((await login(email, "2001:db8:1:3::1")).status).toBe(401);
  });

  it("[AUTH8] 200: a success counts for nothing", async () => {
    const { email } = await app.register();
    for (let i = 0; i < 4; i++) await login(email, "203.0.113.9");
    for (let i = 0; i < 10; i++) expect((await login(email, "203.0.113.9", PASSWORD)).status).toBe(200);
    expect((await login(email, "203.0.113.9")).status).toBe(401);
    expectLimited(await login(email, "203.0.113.9"), "login");
  });

  it("[AUTH8] 503: an attempt that could not be judged counts for nothing", async () => {
    const { email, id } = await app.register();
    await app.database.transaction(async (tx) => {
      await raw`select 1 from users where id = ${id} for update`.execute(tx.tables());
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => login(email, "203.0.113.9", PASSWORD)),
      );
      expect(tally(answers)).toEqual({ 503: 5 });
    });
    expect((await login(email, "203.0.113.9", PASSWORD)).status).toBe(200);
  });

  it("[AUTH8] 429: an account guessed from many networks is closed to strangers, its owner still gets in", async () => {
    const { email } = await app.register();
    await app.login(email, { from: "198.51.100.7" });
    const answers: Answer[] = [];
    for (let i = 0; i < 30; i++) answers.push(await login(email, `203.0.${i}.1`));
    expect(tally(answers)).toEqual({ 401: 20, 429: 10 });
    expectLimited(await login(email, "192.0.2.1", PASSWORD), "login-account");
    // The same network, another address in it.
    expect((await login(email, "198.51.100.99", PASSWORD)).status).toBe(200);
  });

  it("[AUTH8] one address cannot use up the account's allowance with refused attempts", async () => {
    const { email } = await app.register();
    for (let i = 0; i < 50; i++) await login(email, "203.0.113.9");
    expect((await login(email, "192.0.2.1", PASSWORD)).status).toBe(200);
  });

  it("[AUTH7] 429: 100 failures from one address, over any accounts", async () => {
    for (let i = 0; i < 100; i++)
      expect((await login(`nobody${i}@example.test`, "203.0.113.9")).status).toBe(401);
    expectLimited(await login("nobody100@example.test", "203.0.113.9"), "login-address");
    expect((await login("nobody100@example.test", "203.0.113.8")).status).toBe(401);
  });
});

describe("POST /auth/password", () => {
  it("[AUTH27] 429: wrong current passwords are counted, per account", async () => {
    const person = await app.register();
    const change = (currentPassword: string, from: string) =>
      app.call("POST", "/auth/password", {
        token: person.accessToken,
        body: { currentPassword, newPassword: "another good password" },
        from,
      });
    for (let i = 0; i < 5; i++) expect((await change("not the password", `203.0.113.${i}`)).status).toBe(403);
    expectLimited(await change("not the password", "198.51.100.1"), "password");
    expectLimited(await change(PASSWORD, "198.51.100.1"), "password");
  });
});

describe("registrations and mails", () => {
  it("[AUTH42] 429: the 11th of an hour from one address", async () => {
    const register = (i: number, from: string) =>
      app.call("POST", "/auth/register", {
        body: { email: `many${i}@example.test`, password: PASSWORD, name: "Many" },
        from,
      });
    for (let i = 0; i < 10; i++) expect((await register(i, "203.0.113.9")).status).toBe(201);
    expectLimited(await register(10, "203.0.113.9"), "register");
    const forgot = { body: { email: "many0@example.test" }, from: "203.0.113.9" };
    expectLimited(await app.call("POST", "/auth/password/forgot", forgot), "register");
    expect((await register(11, "203.0.113.10")).status).toBe(201);
  });

  it("[AUTH42] 429: the 4th mail of an hour to one e-mail address, whether it has an account or not", async () => {
    const person = await app.register();
    for (const [email, already] of [
      [person.email, 1],
      ["nobody@example.test", 0],
    ] as const) {
      for (let i = already; i < 3; i++) {
        const answer = await app.call("POST", "/auth/password/forgot", {
          body: { email },
          from: `203.0.113.${i}`,
        });
        expect(answer.status).toBe(202);
      }
      const body = { email: email.toUpperCase() };
      expectLimited(
        await app.call("POST", "/auth/password/forgot", { body, from: "198.51.100.1" }),
        "auth-mail",
      );
    }
    const resend = await app.call("POST", "/auth/email/verify/resend", { token: person.accessToken });
    expectLimited(resend, "auth-mail");
  });
});

describe("POST /auth/refresh", () => {
  it("[AUTH24] 429: the 31st rotation of a session; a retry of the last one is still answered", async () => {
    const person = await app.register();
    const other = await app.login(person.email);
    let token = person.refreshToken;
    let parent = token;
    for (let i = 0; i < 30; i++) {
      parent = token;
      token = (await app.refresh(token)).body.tokens.refreshToken;
    }
    expectLimited(await app.refresh(token), "refresh");
    expect((await app.refresh(parent)).body.tokens.refreshToken).toBe(token);
    expect((await app.refresh(other.refreshToken)).status).toBe(200);
  });

  it("[AUTH24] 200: 50 requests with one token are one rotation", async () => {
    const person = await app.register();
    const answers = await Promise.all(Array.from({ length: 50 }, () => app.refresh(person.refreshToken)));
    expect(tally(answers)).toEqual({ 200: 50 });
    let token = answers[0]!.body.tokens.refreshToken;
    for (let i = 0; i < 29; i++) token = (await app.refresh(token)).body.tokens.refreshToken;
    expectLimited(await app.refresh(token), "refresh");
  });

  it("[AUTH24] forged tokens use nothing of the session's allowance", async () => {
    const person = await app.register();
    for (let i = 0; i < 60; i++)
      await app.refresh(`rt1.${person.sessionId}.1.${String(i).padStart(43, "x")}`);
    expect((await app.refresh(person.refreshToken)).status).toBe(200);
  });
});

describe("switched off", () => {
  it("[AUTH7] 0 switches the policies off", async () => {
    const node = await createAuthApp({ limits: { login: 0, register: 0, refresh: 0 } });
    const { email } = await node.register();
    for (let i = 0; i < 30; i++) expect((await login(email, "203.0.113.9", "wrong", node)).status).toBe(401);
    for (let i = 0; i < 15; i++)
      expect((await node.call("POST", "/auth/password/forgot", { body: { email } })).status).toBe(202);
    await node.close();
  });
});
