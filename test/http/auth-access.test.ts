import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { ACCESS_SECRET, type AuthApp, createAuthApp, tokenIn } from "../kit/auth-app.js";

let app: AuthApp;

beforeAll(async () => {
  app = await createAuthApp();
});

afterAll(() => app.close());

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
      `Bearer ${accessToken.split("").reverse().join("")}`,
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
