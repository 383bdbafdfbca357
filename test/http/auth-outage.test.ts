import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { type Answer, type AuthApp, createAuthApp, PASSWORD, type Person } from "../kit/auth-app.js";
import { createTestDatabase, type TestDatabase } from "../kit/postgres.js";
import { startTcpProxy, type TcpProxy } from "../kit/tcp-proxy.js";

/** How long a node may act on what it last knew, with room for a slow machine. */
const LEASE_MS = 6_000;

let store: TestDatabase;
let door: TcpProxy;
let app: AuthApp;
let person: Person;

beforeEach(async () => {
  store = await createTestDatabase();
  const { url, host = "127.0.0.1", port = 5432 } = store.connection;
  const target = url === undefined ? { host, port } : new URL(url);
  const address =
    target instanceof URL
      ? { host: target.hostname, port: Number(target.port || 5432) }
      : target.host.startsWith("/")
        ? { path: `${target.host}/.s.PGSQL.${target.port}` }
        : target;
  door = await startTcpProxy(address);
  const connection =
    url === undefined
      ? { ...store.connection, host: door.host, port: door.port }
      : { url: Object.assign(new URL(url), { host: `${door.host}:${door.port}` }).href };
  app = await createAuthApp({ connection });
  person = await app.register();
});

afterEach(async () => {
  await door.restore();
  await app.close();
  await door.close();
  await store.close();
});

const everything = (): readonly (readonly [string, () => Promise<Answer>])[] => {
  const token = person.accessToken;
  const post = (path: string, body?: unknown) => () => app.call("POST", path, { token, body });
  return [
    ["refresh", () => app.refresh(person.refreshToken)],
    ["login", () => app.call("POST", "/auth/login", { body: { email: person.email, password: PASSWORD } })],
    [
      "register",
      () =>
        app.call("POST", "/auth/register", { body: { email: "a@b.test", password: PASSWORD, name: "Ada" } }),
    ],
    ["forgot", () => app.call("POST", "/auth/password/forgot", { body: { email: person.email } })],
    ["me", () => app.call("GET", "/auth/me", { token })],
    ["sessions", () => app.call("GET", "/auth/sessions", { token })],
    ["logout", post("/auth/logout")],
    ["logout-all", post("/auth/logout-all")],
    ["password", post("/auth/password", { currentPassword: PASSWORD, newPassword: "another password" })],
  ];
};

async function expectAway(): Promise<void> {
  const answers = await Promise.all(everything().map(async ([name, ask]) => [name, await ask()] as const));
  for (const [name, answer] of answers) {
    expect([name, answer.status, answer.body.code]).toEqual([name, 503, "dependency_unavailable"]);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(answer.text).not.toMatch(/select|pg_|ECONN|127\.0\.0\.1|stack/i);
  }
}

describe("the database is away", () => {
  it.each([
    ["stopped", () => door.stop()],
    ["silent", async () => door.stall()],
  ])("[AUTH15] %s: 503 with Retry-After, never 401, and nobody is signed out by it", async (_name, away) => {
    await away();
    await expectAway();
    // A node that cannot read what was revoked calls no token good, even where it needs no store to answer.
    const deadline = Date.now() + LEASE_MS;
    let refused: unknown;
    while (refused === undefined && Date.now() < deadline) {
      refused = await app.auth.authenticator.authenticateToken(person.accessToken).then(
        () => undefined,
        (error: unknown) => error,
      );
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(refused).toMatchObject({ code: "dependency_unavailable" });
    const ticket = app.auth.authenticator.authenticateTicket(`wst1.${"a".repeat(43)}`);
    await expect(ticket).rejects.toMatchObject({ code: "dependency_unavailable" });
    await expectAway();
    await door.restore();
    for (let status = 503; status !== 200; )
      status = (await app.call("GET", "/auth/me", { token: person.accessToken })).status;
    expect((await app.refresh(person.refreshToken)).status).toBe(200);
  });

  it("[AUTH15] a login that met the outage costs the owner no attempt", async () => {
    const node = await createAuthApp({
      connection: app.connection,
      limits: { login: 5, register: 0, refresh: 0 },
    });
    await door.stop();
    const login = () =>
      node.call("POST", "/auth/login", { body: { email: person.email, password: PASSWORD } });
    for (let i = 0; i < 8; i++) expect((await login()).status).toBe(503);
    await door.restore();
    const back = await login();
    await node.close();
    expect(back.status).toBe(200);
  });
});
