import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sql as raw } from "kysely";
import { v7 } from "uuid";
import { createRefreshTokens } from "../../src/auth/refresh-tokens.js";
import {
  type Answer,
  type AuthApp,
  createAuthApp,
  type Person,
  REFRESH_SECRET,
  tally,
  tokenIn,
} from "../kit/auth-app.js";

const MINUTE = 60_000;

let app: AuthApp;
/** A second node over the same stores. */
let peer: AuthApp;

beforeAll(async () => {
  app = await createAuthApp();
  peer = await createAuthApp({ peer: app });
});

afterAll(() => app.close());

const next = (answer: Answer): string => {
  if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.text}`);
  return answer.body.tokens.refreshToken;
};
const codeOf = ({ status, body }: Answer) => `${status} ${body.code}`;
const rotate = async (token: string) => next(await app.refresh(token));

/** Uses the access token of an answer, which confirms that it arrived. */
async function use(node: AuthApp, answer: Answer): Promise<void> {
  const token = answer.body.tokens.accessToken;
  expect((await node.call("GET", "/auth/me", { token })).status).toBe(200);
  await confirmed(answer.body.tokens.refreshToken);
}

/** Resolves when the session of `token` is marked as used; the mark is written a moment after the request. */
async function confirmed(token: string): Promise<void> {
  for (;;) {
    const { rows } = await raw<{ confirmed: boolean }>`
      select confirmed from auth_sessions where id = ${token.split(".")[1]}`.execute(app.database.tables());
    if (rows[0]?.confirmed) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Resolves when a statement of the app waits for a lock. */
async function blocked(): Promise<void> {
  for (;;) {
    const { rows } = await raw<{ n: number }>`
      select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(
      app.database.tables(),
    );
    if (rows[0]!.n > 0) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function audited(person: Person, action: string): Promise<number> {
  const { rows } = await raw<{ n: number }>`
    select count(*)::int as n from auth_audit where user_id = ${person.id} and action = ${action}`.execute(
    app.database.tables(),
  );
  return rows[0]!.n;
}

describe("POST /auth/refresh", () => {
  it("[AUTH16] 200: a new pair each time, on any node", async () => {
    const person = await app.register();
    const first = await app.refresh(person.refreshToken);
    expect(Object.keys(first.body)).toEqual(["tokens"]);
    expect(first.body.tokens).toMatchObject({ expiresIn: 900, tokenType: "Bearer" });
    const second = await peer.refresh(next(first));
    expect(new Set([person.refreshToken, next(first), next(second)]).size).toBe(3);
    for (const answer of [first, second])
      expect((await app.call("GET", "/auth/me", { token: answer.body.tokens.accessToken })).status).toBe(200);
  });

  it("[AUTH16] 200: 50 at once with one token, over two nodes, get one successor, and the session lives", async () => {
    const person = await app.register();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? app : peer).refresh(person.refreshToken)),
    );
    expect(tally(answers)).toEqual({ 200: 50 });
    const successors = new Set(answers.map(next));
    expect(successors.size).toBe(1);
    await use(peer, answers[7]!);
    await app.age(person.sessionId, 30_000);
    next(await peer.refresh([...successors][0]!));
  });

  it("[AUTH17] 200: the answer was lost; five minutes later the same token gives the same working pair", async () => {
    const person = await app.register();
    const lost = await rotate(person.refreshToken);
    await app.age(person.sessionId, 5 * MINUTE);
    const again = await peer.refresh(person.refreshToken);
    expect(next(again)).toBe(lost);
    await use(app, again);
    next(await app.refresh(lost));
  });

  it("[AUTH19] 401: a token used again after its successor was used ends the session for good", async () => {
    const person = await app.register();
    const answer = await app.refresh(person.refreshToken);
    const r2 = next(answer);
    await use(app, answer);
    await app.age(person.sessionId, 11_000);
    expect(codeOf(await peer.refresh(person.refreshToken))).toBe("401 refresh_reused");
    expect(codeOf(await app.refresh(r2))).toBe("401 session_revoked");
    expect(codeOf(await app.refresh(person.refreshToken))).toBe("401 session_revoked");
    for (const node of [app, peer])
      for (const token of [person.accessToken, answer.body.tokens.accessToken])
        expect(codeOf(await node.call("GET", "/auth/me", { token }))).toBe("401 session_revoked");
    const mail = await Promise.race([
      app.mail(person.email, /signed out for your safety/),
      peer.mail(person.email, /signed out for your safety/),
    ]);
    expect(mail.text).toContain("https://atelier.test/forgot-password");
    expect(await audited(person, "refresh_reused")).toBe(1);
    const { rows } = await raw`
      select kind, reason from authz_log where subject = ${person.sessionId}`.execute(app.database.tables());
    expect(rows).toEqual([{ kind: "session", reason: "reuse" }]);
  });

  it("[AUTH19] 401: the successor in the hands of a thief who refreshes first is found out by its owner", async () => {
    const person = await app.register();
    const stolen = await app.refresh(person.refreshToken);
    const thief = await app.refresh(next(stolen));
    await use(app, thief);
    expect(codeOf(await app.refresh(person.refreshToken))).toBe("401 refresh_reused");
    expect(codeOf(await app.refresh(next(thief)))).toBe("401 session_revoked");
  });

  it("[AUTH19] 401: only that session ends, the other devices stay", async () => {
    const person = await app.register();
    const other = await app.login(person.email);
    await rotate(await rotate(person.refreshToken));
    expect(codeOf(await app.refresh(person.refreshToken))).toBe("401 refresh_reused");
    next(await app.refresh(other.refreshToken));
  });

  it("[AUTH18] 401: within a second, the parent's parent is not excused", async () => {
    const person = await app.register();
    const r2 = await rotate(person.refreshToken);
    const r3 = await rotate(r2);
    expect(codeOf(await app.refresh(person.refreshToken))).toBe("401 refresh_reused");
    for (const token of [r2, r3]) expect(codeOf(await app.refresh(token))).toBe("401 session_revoked");
  });

  it("[AUTH19] 401: nothing brings an ended session back, 20 at once, at any time", async () => {
    const person = await app.register();
    const r2 = await rotate(person.refreshToken);
    const r3 = await rotate(r2);
    await app.refresh(person.refreshToken);
    for (const passed of [50, 250, 1_700, 13_000, 10 * MINUTE]) {
      await app.age(person.sessionId, passed);
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          (i % 2 === 0 ? app : peer).refresh([r3, r2, person.refreshToken][i % 3]!),
        ),
      );
      expect(new Set(answers.map(codeOf))).toEqual(new Set(["401 session_revoked"]));
    }
  });

  it("[AUTH19] 401: of 20 reuses at once one is reported", async () => {
    const person = await app.register();
    await rotate(await rotate(person.refreshToken));
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? app : peer).refresh(person.refreshToken)),
    );
    expect(tally(answers)).toEqual({ 401: 20 });
    expect(await audited(person, "refresh_reused")).toBe(1);
    const { rows } = await raw<{ n: number }>`
      select count(*)::int as n from auth_mails where user_id = ${person.id} and kind = 'session_reused'`.execute(
      app.database.tables(),
    );
    expect(rows[0]!.n).toBe(1);
  });

  it("[AUTH19] rotations and reuses at once never leave two living successors", async () => {
    for (let round = 0; round < 10; round++) {
      const person = await app.register();
      const r2 = await rotate(person.refreshToken);
      const answers = await Promise.all(
        [r2, person.refreshToken, r2, person.refreshToken, r2, person.refreshToken].map((token, i) =>
          (i % 2 === 0 ? app : peer).refresh(token),
        ),
      );
      const given = new Set(answers.filter(({ status }) => status === 200).map(next));
      given.delete(r2);
      expect(given.size).toBeLessThanOrEqual(1);
      const { rows } = await raw<{ state: string; counter: number }>`
        select state, counter from auth_sessions where id = ${person.sessionId}`.execute(
        app.database.tables(),
      );
      expect(rows[0]!.counter).toBeLessThanOrEqual(3);
    }
  });

  it("[AUTH19] 401: a session that ends while its rotation waits stays ended", async () => {
    const person = await app.register();
    const waiting = await app.database.transaction(async (tx) => {
      await raw`update auth_sessions set state = 'revoked' where id = ${person.sessionId}`.execute(
        tx.tables(),
      );
      const answer = app.refresh(person.refreshToken);
      await blocked();
      return [answer];
    });
    expect(codeOf(await waiting[0]!)).toBe("401 session_revoked");
  });

  it("[AUTH20] 401: 1,000 forged tokens write nothing, and the true one still works", async () => {
    const node = await createAuthApp();
    const person = await node.register();
    await node.mail(person.email, /Verify/);
    const versions = async () => {
      const tables = ["users", "auth_sessions", "auth_mails", "auth_audit", "authz_log", "outbox"];
      const marks = tables.map((table) =>
        raw<{ mark: string }>`
          select md5(string_agg(t::text || xmin::text, ' ' order by t::text)) as mark from ${raw.table(table)} t`.execute(
          node.database.tables(),
        ),
      );
      return (await Promise.all(marks)).map(({ rows }) => rows[0]!.mark);
    };
    // Ends after the mail is noted as sent.
    await node.auth.stop();
    const before = await versions();
    const codes = new Map<string, number>();
    for (let i = 0; i < 1_000; i += 50) {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, j) => {
          const n = [1, 2, 3, 999_999_999][(i + j) % 4];
          const sid = (i + j) % 5 === 0 ? v7() : person.sessionId;
          return node.refresh(`rt1.${sid}.${n}.${randomBytes(32).toString("base64url")}`);
        }),
      );
      for (const answer of answers) codes.set(codeOf(answer), (codes.get(codeOf(answer)) ?? 0) + 1);
    }
    expect([...codes]).toEqual([["401 session_expired", 1_000]]);
    expect(await versions()).toEqual(before);
    next(await node.refresh(person.refreshToken));
    await node.close();
  });

  it.each([
    "",
    "x",
    "rt1",
    "rt1.a.b.c",
    "null",
    "../../etc/passwd",
    "' or 1=1--",
    "rt1." + "9".repeat(2_000),
  ])("[AUTH20] 400 or 401: %j is no refresh token", async (token) => {
    expect([400, 401]).toContain((await app.refresh(token)).status);
  });

  it.each([{ $ne: null }, ["x"], 1, true, null])("[AUTH5] 400: %j in place of the token", async (value) => {
    const answer = await app.call("POST", "/auth/refresh", { body: { refreshToken: value } });
    expect(codeOf(answer)).toBe("400 validation_failed");
  });

  it("[AUTH23] 401: a token ahead of a restored backup ends that sign-in quietly", async () => {
    const person = await app.register();
    const r3 = await rotate(await rotate(person.refreshToken));
    await raw`update auth_sessions set counter = 1 where id = ${person.sessionId}`.execute(
      app.database.tables(),
    );
    expect(codeOf(await app.refresh(r3))).toBe("401 session_expired");
    expect(await audited(person, "refresh_ahead")).toBe(1);
    expect(await audited(person, "refresh_reused")).toBe(0);
  });

  it("[AUTH25] 200: tokens of the former secret while it is kept, and their successors are of the new one", async () => {
    const person = await app.register();
    const other = "another-refresh-secret-0123456789abcdef01";
    const rotated = await createAuthApp({ peer: app, refreshSecrets: [other, REFRESH_SECRET] });
    const strange = await createAuthApp({ peer: app, refreshSecrets: [other] });
    expect(codeOf(await strange.refresh(person.refreshToken))).toBe("401 session_expired");
    const r2 = next(await rotated.refresh(person.refreshToken));
    next(await strange.refresh(r2));
    await rotated.close();
    await strange.close();
  });
});

describe("two clocks", () => {
  it("[AUTH22] 401: the idle end, and no rotation after the absolute end", async () => {
    const node = await createAuthApp({ idleMs: 3_000, absoluteMs: 8_000 });
    const lazy = await node.register();
    await node.age(lazy.sessionId, 4_000);
    expect(codeOf(await node.refresh(lazy.refreshToken))).toBe("401 session_expired");
    const busy = await node.register();
    let token = busy.refreshToken;
    for (let at = 2_000; at < 8_000; at += 2_000) {
      await node.age(busy.sessionId, 2_000);
      const answer = await node.refresh(token);
      token = next(answer);
      expect(answer.body.tokens.expiresIn).toBeLessThanOrEqual((8_000 - at) / 1_000);
    }
    await node.age(busy.sessionId, 2_000);
    expect(codeOf(await node.refresh(token))).toBe("401 session_expired");
    await node.close();
  });

  it("[AUTH22] 200: a node whose clock jumps a day ends no session: the database's time decides", async () => {
    const node = await createAuthApp({ peer: app, idleMs: 60_000, absoluteMs: 120_000 });
    const person = await node.register();
    node.advance(86_400_000);
    next(await node.refresh(person.refreshToken));
    await node.close();
  });
});

describe("at rest", () => {
  it("[AUTH21] no token or password is in any table, in any form", async () => {
    const person = await app.register({ email: "rest@example.test", password: "canary-password-7c1f" });
    const r2 = await rotate(person.refreshToken);
    const ticket = (await app.call("POST", "/ws-ticket", { token: person.accessToken })).body.ticket;
    await app.call("POST", "/auth/password/forgot", { body: { email: person.email } });
    const mailed = [await app.mail(person.email, /Reset/), await app.mail(person.email, /Verify/)].map(
      tokenIn,
    );
    const dump = await app.dump();
    expect(dump).toContain("rest@example.test");
    for (const secret of [
      person.accessToken,
      person.refreshToken,
      r2,
      ticket,
      ...mailed,
      "canary-password-7c1f",
    ]) {
      const last = secret.split(".").at(-1)!;
      expect(dump).not.toContain(secret);
      expect(dump).not.toContain(last);
      expect(dump).not.toContain(Buffer.from(last, "base64url").toString("hex"));
    }
  });

  it("[AUTH21] the rows without the server's key make no token", async () => {
    const person = await app.register();
    const { rows } = await raw<{ salt: Buffer }>`
      select salt from auth_sessions where id = ${person.sessionId}`.execute(app.database.tables());
    const session = { id: person.sessionId, salt: rows[0]!.salt };
    for (const key of [Buffer.alloc(32), randomBytes(32), Buffer.from(REFRESH_SECRET)]) {
      const made = createRefreshTokens([key]).issue(session, 1);
      expect(codeOf(await app.refresh(made))).toBe("401 session_expired");
    }
  });
});
