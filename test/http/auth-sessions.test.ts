import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sql as raw } from "kysely";
import { v7 } from "uuid";
import { type Answer, type AuthApp, createAuthApp, PASSWORD, type Person, tally } from "../kit/auth-app.js";

let app: AuthApp;
/** A second node over the same stores. */
let peer: AuthApp;

beforeAll(async () => {
  app = await createAuthApp();
  peer = await createAuthApp({ peer: app });
});

afterAll(() => app.close());

const codeOf = ({ status, body }: Answer) => `${status} ${body.code}`;
const me = (node: AuthApp, { accessToken: token }: Person) => node.call("GET", "/auth/me", { token });
const sessionsOf = async ({ accessToken: token }: Person) =>
  (await app.call("GET", "/auth/sessions", { token })).body.sessions;

/** The session is over on every node, at once. */
async function expectDead(person: Person): Promise<void> {
  for (const node of [app, peer]) {
    expect(codeOf(await me(node, person))).toBe("401 session_revoked");
    expect(codeOf(await node.refresh(person.refreshToken))).toBe("401 session_revoked");
  }
}

async function expectAlive(person: Person): Promise<void> {
  for (const node of [app, peer]) expect((await me(node, person)).status).toBe(200);
}

async function endings(person: Person): Promise<string[]> {
  const { rows } = await raw<{ detail: string }>`
    select detail from auth_audit where user_id = ${person.id} and action = 'sessions_ended' order by id`.execute(
    app.database.tables(),
  );
  return rows.map(({ detail }) => detail.split(":")[0]!);
}

describe("GET /auth/sessions", () => {
  it("[AUTH28] 200: each device, without secrets", async () => {
    const person = await app.register();
    const answer = await app.call("POST", "/auth/login", {
      body: { email: person.email, password: PASSWORD },
      from: "203.0.113.77",
      headers: { "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" },
    });
    const list = await app.call("GET", "/auth/sessions", { token: answer.body.tokens.accessToken });
    expect(list.status).toBe(200);
    expect(list.body.nextCursor).toBeNull();
    expect(list.body.sessions).toEqual([
      {
        id: answer.body.tokens.refreshToken.split(".")[1],
        name: "Firefox on Linux",
        userAgent: expect.stringContaining("Firefox/140.0"),
        ip: "203.0.113.0/24",
        current: true,
        createdAt: expect.stringMatching(/Z$/),
        lastUsedAt: expect.stringMatching(/Z$/),
      },
      expect.objectContaining({ id: person.sessionId, current: false }),
    ]);
    expect(list.text).not.toMatch(/salt|hash|secret|counter|203\.0\.113\.77/i);
  });

  it("[AUTH28] 200: in pages, and only what is alive and one's own", async () => {
    const person = await app.register();
    const others = [
      await app.login(person.email),
      await app.login(person.email),
      await app.login(person.email),
    ];
    await app.register();
    await app.call("POST", "/auth/logout", { token: others[1]!.accessToken });
    await raw`update auth_sessions set idle_expires_at = now() where id = ${others[0]!.sessionId}`.execute(
      app.database.tables(),
    );
    const seen: string[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const query: string = cursor === "" ? "?limit=1" : `?limit=1&cursor=${cursor}`;
      const page: Answer = await app.call("GET", `/auth/sessions${query}`, { token: person.accessToken });
      seen.push(...page.body.sessions.map(({ id }) => id));
      cursor = page.body.nextCursor;
    }
    expect(seen).toEqual([others[2]!.sessionId, person.sessionId]);
  });

  it("[AUTH28] lastUsedAt follows the use of access tokens", async () => {
    const person = await app.register();
    await app.age(person.sessionId, 3_600_000);
    const [before] = await sessionsOf(person);
    await me(peer, person);
    const deadline = Date.now() + 10_000;
    let after = before;
    while (after!.lastUsedAt === before!.lastUsedAt && Date.now() < deadline)
      [after] = await sessionsOf(person);
    expect(Date.parse(after!.lastUsedAt) - Date.parse(before!.lastUsedAt)).toBeGreaterThan(3_500_000);
  });
});

describe("DELETE /auth/sessions/:id", () => {
  it("[AUTH29] 204: that device is out on every node, the others stay", async () => {
    const person = await app.register();
    const lost = await app.login(person.email);
    await expectAlive(lost);
    const end = () => app.call("DELETE", `/auth/sessions/${lost.sessionId}`, { token: person.accessToken });
    const answer = await end();
    expect([answer.status, answer.headers.get("x-access-applied")]).toEqual([204, "true"]);
    await expectDead(lost);
    await expectAlive(person);
    expect((await end()).status).toBe(204);
    expect(await endings(person)).toEqual(["ended"]);
  });

  it("[AUTH29] 404: somebody else's session is like one that never was", async () => {
    const person = await app.register();
    const other = await app.register();
    const foreign = await app.call("DELETE", `/auth/sessions/${other.sessionId}`, {
      token: person.accessToken,
    });
    const nothing = await app.call("DELETE", `/auth/sessions/${v7()}`, { token: person.accessToken });
    const plain = ({ body }: Answer) => ({ ...body, requestId: "", instance: "" });
    expect(codeOf(foreign)).toBe("404 not_found");
    expect(plain(nothing)).toEqual(plain(foreign));
    await expectAlive(other);
  });

  it.each(["not-an-id", "507f1f77bcf86cd799439011", "1", "%27%20or%201=1--"])(
    "[AUTH29] 400: %s",
    async (id) => {
      const person = await app.register();
      expect((await app.call("DELETE", `/auth/sessions/${id}`, { token: person.accessToken })).status).toBe(
        400,
      );
    },
  );

  it("[AUTH33] 204: ended on one node, refused by the other for as long as the token lives", async () => {
    const person = await app.register();
    const devices = await Promise.all(Array.from({ length: 10 }, () => app.login(person.email)));
    for (const device of devices) {
      const path = `/auth/sessions/${device.sessionId}`;
      const answer = await app.call("DELETE", path, { token: person.accessToken });
      expect(answer.headers.get("x-access-applied")).toBe("true");
      expect(codeOf(await me(peer, device))).toBe("401 session_revoked");
    }
  });

  it("[AUTH33] 204: the answer waits for a node that the doorbell does not reach", async () => {
    const deaf = await createAuthApp({ peer: app, deaf: true });
    const person = await app.register();
    for (let i = 0; i < 3; i++) {
      const device = await app.login(person.email);
      const path = `/auth/sessions/${device.sessionId}`;
      const answer = await app.call("DELETE", path, { token: person.accessToken });
      expect(answer.headers.get("x-access-applied")).toBe("true");
      expect(codeOf(await me(deaf, device))).toBe("401 session_revoked");
    }
    await deaf.close();
  });

  it("[AUTH33] a node that starts later knows what was ended before", async () => {
    const person = await app.register();
    await app.call("POST", "/auth/logout", { token: person.accessToken });
    const late = await createAuthApp({ peer: app });
    const answer = await me(late, person);
    await late.close();
    expect(codeOf(answer)).toBe("401 session_revoked");
  });
});

describe("POST /auth/logout", () => {
  it("[AUTH30] 204: the session of the access token, with or without a body", async () => {
    const person = await app.register();
    const other = await app.login(person.email);
    const answer = await app.call("POST", "/auth/logout", { token: person.accessToken });
    expect([answer.status, answer.headers.get("x-access-applied")]).toEqual([204, "true"]);
    await expectDead(person);
    await expectAlive(other);
    const body = { refreshToken: other.refreshToken };
    expect((await app.call("POST", "/auth/logout", { token: other.accessToken, body })).status).toBe(204);
    await expectDead(other);
    expect(await endings(person)).toEqual(["logout", "logout"]);
  });

  it("[AUTH30] 204: also the session of a refresh token of the same account, and of no other", async () => {
    const person = await app.register();
    const mine = await app.login(person.email);
    const stranger = await app.register();
    const out = (who: Person, refreshToken: string) =>
      app.call("POST", "/auth/logout", { token: who.accessToken, body: { refreshToken } });
    expect((await out(person, mine.refreshToken)).status).toBe(204);
    await expectDead(person);
    await expectDead(mine);
    const again = await app.login(person.email);
    expect((await out(again, stranger.refreshToken)).status).toBe(204);
    await expectDead(again);
    await expectAlive(stranger);
    const last = await app.login(person.email);
    expect((await out(last, "nonsense")).status).toBe(204);
    await expectDead(last);
  });

  it("[AUTH30] 20 at once end it once", async () => {
    const person = await app.register();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => app.call("POST", "/auth/logout", { token: person.accessToken })),
    );
    expect(answers.every(({ status }) => status === 204 || status === 401)).toBe(true);
    expect(await endings(person)).toEqual(["logout"]);
  });
});

describe("POST /auth/logout-all", () => {
  it("[AUTH31] 204: every device, this one too", async () => {
    const person = await app.register();
    const other = await app.login(person.email);
    const answer = await app.call("POST", "/auth/logout-all", { token: person.accessToken });
    expect([answer.status, answer.headers.get("x-access-applied")]).toEqual([204, "true"]);
    await expectDead(person);
    await expectDead(other);
  });

  it("[AUTH31] 204: every device but this one, twice", async () => {
    const person = await app.register();
    const other = await app.login(person.email);
    for (let i = 0; i < 2; i++) {
      const body = { keepCurrent: true };
      expect((await app.call("POST", "/auth/logout-all", { token: person.accessToken, body })).status).toBe(
        204,
      );
    }
    await expectDead(other);
    await expectAlive(person);
    expect(await endings(person)).toEqual(["logout_all"]);
  });
});

describe("devices", () => {
  it("[AUTH32] with the 21st device the one unused for longest goes", async () => {
    const person = await app.register();
    await raw`update auth_sessions set last_used_at = now() - interval '1 hour' where id = ${person.sessionId}`.execute(
      app.database.tables(),
    );
    const devices: Person[] = [];
    for (let i = 0; i < 19; i++) devices.push(await app.login(person.email));
    await expectAlive(person);
    // Used again: now the first of the logins is the one unused for longest.
    await app.refresh(person.refreshToken);
    const newest = await app.login(person.email);
    expect(codeOf(await app.refresh(devices[0]!.refreshToken))).toBe("401 session_revoked");
    expect(await sessionsOf(newest)).toHaveLength(20);
    expect(await endings(person)).toEqual(["evicted"]);
  });

  it("[AUTH32] logins at once never leave more than 20", async () => {
    const person = await app.register();
    const answers = await Promise.all(
      Array.from({ length: 40 }, () =>
        app.call("POST", "/auth/login", { body: { email: person.email, password: PASSWORD } }),
      ),
    );
    expect(tally(answers)[200]).toBe(40);
    const { rows } = await raw<{ n: number }>`
      select count(*)::int as n from auth_sessions where user_id = ${person.id} and state = 'active'`.execute(
      app.database.tables(),
    );
    expect(rows[0]!.n).toBe(20);
  });
});

describe("housekeeping", () => {
  it("[AUTH44] deletes what is over, and nothing that is still needed", async () => {
    const node = await createAuthApp();
    const kept = await node.register();
    const old = await node.register();
    await node.age(old.sessionId, 61 * 86_400_000);
    const ended = await node.login(kept.email);
    await node.call("POST", "/auth/logout", { token: ended.accessToken });
    await raw`update auth_mails set expires_at = now() - interval '2 days' where user_id = ${old.id}`.execute(
      node.database.tables(),
    );
    await raw`update auth_audit set at = now() - interval '2 years' where user_id = ${old.id}`.execute(
      node.database.tables(),
    );
    await node.auth.prune(1_000);
    const { rows } = await raw<{ id: string }>`select id from auth_sessions`.execute(node.database.tables());
    expect(rows.map(({ id }) => id).sort()).toEqual([kept.sessionId, ended.sessionId].sort());
    const { rows: rest } = await raw<{ mails: number; entries: number }>`
      select (select count(*)::int from auth_mails where user_id = ${old.id}) as mails,
        (select count(*)::int from auth_audit where user_id = ${old.id}) as entries`.execute(
      node.database.tables(),
    );
    expect(rest).toEqual([{ mails: 0, entries: 0 }]);
    await node.close();
  });
});
