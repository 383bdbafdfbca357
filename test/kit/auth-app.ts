import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { sql as raw } from "kysely";
import { v7 } from "uuid";
import type { z } from "zod";
import { type Auth, authzHistoryMs, createAuth } from "../../src/auth/auth.js";
import type { sessionSchema, tokensSchema, userSchema } from "../../src/auth/schema.js";
import { createAuthzLog } from "../../src/events/authz-log.js";
import { createAuthzWatch } from "../../src/events/authz-watch.js";
import { createOutbox } from "../../src/events/outbox.js";
import { createIdempotency } from "../../src/http/idempotency.js";
import { createCursors } from "../../src/http/pagination.js";
import { createHttpRateLimit } from "../../src/http/rate-limit.js";
import { createHttpApp } from "../../src/http/server.js";
import type { Cache } from "../../src/platform/cache/cache.js";
import { createMemoryCache } from "../../src/platform/cache/memory.js";
import type { Database } from "../../src/platform/database/database.js";
import { createPostgresDatabase } from "../../src/platform/database/postgres.js";
import type { PostgresConnection } from "../../src/platform/database/postgres-connection.js";
import type { Mail, Mailer } from "../../src/platform/mail/mailer.js";
import { createNullLogger } from "../../src/platform/observability/logger.js";
import { createMemoryPubSub } from "../../src/platform/pubsub/memory.js";
import type { PubSub } from "../../src/platform/pubsub/pubsub.js";
import { createMemoryRateLimiter } from "../../src/platform/rate-limit/memory.js";
import type { RateLimiter } from "../../src/platform/rate-limit/rate-limiter.js";
import { createTestDatabase } from "./postgres.js";

/** Secrets of the app under test. */
export const ACCESS_SECRET = "access-secret-of-the-tests-0123456789abcdef";
export const REFRESH_SECRET = "refresh-secret-of-the-tests-0123456789abcdef";

/** The password of every account a test makes without saying otherwise. */
export const PASSWORD = "correct horse battery";

/** The members the tests look at; one that an answer lacks makes its test fail. */
export interface Json {
  readonly user: z.output<typeof userSchema>;
  readonly tokens: z.output<typeof tokensSchema>;
  readonly sessions: readonly z.output<typeof sessionSchema>[];
  readonly nextCursor: string | null;
  readonly ticket: string;
  readonly expiresIn: number;
  readonly code: string;
  readonly policy: string;
  readonly errors: readonly { readonly pointer: string }[];
}

/** An answer; `body` is the parsed JSON. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
  readonly text: string;
}

/** What a request carries. */
export interface Call {
  /** Access token. */
  readonly token?: string;
  /** Sent as JSON; a string goes as it is. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Address the request seems to come from. */
  readonly from?: string;
}

/** Somebody signed in. */
export interface Person {
  readonly id: string;
  readonly email: string;
  readonly sessionId: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}

/** What a test can change. */
export interface AuthAppOptions {
  readonly limits?: { readonly login?: number; readonly register?: number; readonly refresh?: number };
  readonly anonymousLimit?: number;
  readonly idleMs?: number;
  readonly absoluteMs?: number;
  readonly accessTtlMs?: number;
  readonly rounds?: number;
  readonly accessSecrets?: readonly [string, ...string[]];
  readonly refreshSecrets?: readonly [string, ...string[]];
  /** Shares the stores of another app: a second node. */
  readonly peer?: AuthApp;
  /** A peer that hears no doorbell and has to find changes by itself. */
  readonly deaf?: boolean;
  /** Where the database is, instead of one of its own: a door that can be shut. */
  readonly connection?: PostgresConnection;
}

/** Auth behind a real server. */
export interface AuthApp {
  readonly auth: Auth;
  readonly database: Database;
  readonly connection: PostgresConnection;
  readonly pubsub: PubSub;
  readonly cache: Cache;
  readonly limiter: RateLimiter;
  readonly base: string;
  /** Every mail sent so far. */
  readonly mails: Mail[];
  /** Makes the next mails fail. */
  failMails(fail: boolean): void;
  /** Resolves with the first mail to `to` whose subject matches, also one that was sent already; removes it. */
  mail(to: string, subject: RegExp): Promise<Mail>;
  /** Moves the node's clock. */
  advance(ms: number): void;
  call(method: string, path: string, call?: Call): Promise<Answer>;
  register(options?: { email?: string; password?: string; name?: string }): Promise<Person>;
  login(email: string, options?: { password?: string; from?: string }): Promise<Person>;
  refresh(refreshToken: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** Makes everything about the session happen `ms` earlier, as if that time had passed for the database. */
  age(sessionId: string, ms: number): Promise<void>;
  /** Every table with every column as text. */
  dump(): Promise<string>;
  /** Closes this node and every one that was started as its peer. */
  close(): Promise<void>;
  /** Open peers. */
  readonly peers: Set<AuthApp>;
}

/** The token in the link of a mail. */
export function tokenIn(mail: Mail): string {
  const token = /#token=(\S+)/.exec(mail.text)?.[1];
  if (token === undefined) throw new Error(`no link in: ${mail.text}`);
  return token;
}

/** How often each status was answered. */
export function tally(answers: readonly { readonly status: number }[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** The session a refresh token is for. */
function sessionOf(refreshToken: string): string {
  return refreshToken.split(".")[1] ?? "";
}

/** Starts the app on a free port; limits are off unless given. */
export async function createAuthApp(options: AuthAppOptions = {}): Promise<AuthApp> {
  const { peer } = options;
  const own = peer || options.connection ? undefined : await createTestDatabase();
  const connection = own?.connection ?? options.connection ?? peer?.connection;
  if (!connection) throw new Error("no database");
  const database = own?.database ?? createPostgresDatabase({ connection, onError: () => undefined });
  let ahead = 0;
  const clock = { now: () => Date.now() + ahead };
  const logger = createNullLogger();
  const pubsub =
    (options.deaf ? undefined : peer?.pubsub) ?? createMemoryPubSub({ onError: () => undefined });
  const limiter = peer?.limiter ?? createMemoryRateLimiter();
  const cache = peer?.cache ?? createMemoryCache({ clock });
  const accessTtlMs = options.accessTtlMs ?? 900_000;
  const authzLog = createAuthzLog({ database });
  const authzWatch = createAuthzWatch({
    log: authzLog,
    database,
    pubsub,
    nodeId: v7(),
    recentMs: authzHistoryMs(accessTtlMs),
    logger,
  });
  const mails: Mail[] = [];
  const waiting = new Set<() => void>();
  let failing = false;
  const mailer: Mailer = {
    async send(mail) {
      if (failing) throw new Error("no route to the mail server");
      mails.push(mail);
      for (const look of waiting) look();
    },
    close: async () => undefined,
  };
  const auth = createAuth({
    config: {
      accessSecrets: options.accessSecrets ?? [ACCESS_SECRET],
      refreshSecrets: options.refreshSecrets ?? [REFRESH_SECRET],
      accessTtlMs,
      sessions: {
        idleMs: options.idleMs ?? 7 * 86_400_000,
        absoluteMs: options.absoluteMs ?? 30 * 86_400_000,
      },
      bcryptRounds: options.rounds ?? 4,
      publicUrl: "https://atelier.test",
      limits: { login: 0, register: 0, refresh: 0, ...options.limits },
      signInLinks: true,
    },
    database,
    clock,
    outbox: createOutbox({ database, clock }),
    authzLog,
    authzWatch,
    mailer,
    cache,
    limiter,
    logger,
  });
  await authzWatch.start();
  auth.start();
  const unlimited = { name: "any", limit: 0, windowMs: 1_000 };
  const server = createServer(
    createHttpApp({
      routes: auth.routes,
      basePath: "/api/v1",
      mounts: [],
      logger,
      corsOrigins: [],
      trustProxy: "1",
      observe: () => undefined,
      inFlight: () => undefined,
      authenticator: auth.authenticator,
      rateLimit: createHttpRateLimit({
        limiter,
        policies: {
          anonymous: { name: "anonymous", limit: options.anonymousLimit ?? 0, windowMs: 900_000 },
          user: unlimited,
          write: unlimited,
          signIn: { name: "sign-in", limit: 0, windowMs: 1_000 },
          mode: "tiered",
        },
        onRefused: () => undefined,
      }),
      idempotency: createIdempotency({ database, clock, key: Buffer.alloc(32, 1) }),
      cursors: createCursors(Buffer.alloc(32, 2)),
      checkReplies: true,
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1`;

  const personOf = (answer: Answer, status: number): Person => {
    if (answer.status !== status) throw new Error(`${answer.status}: ${answer.text}`);
    const { user, tokens } = answer.body;
    return { id: user.id, email: user.email, sessionId: sessionOf(tokens.refreshToken), ...tokens };
  };

  const app: AuthApp = {
    auth,
    database,
    connection,
    pubsub,
    cache,
    limiter,
    base,
    mails,
    failMails(fail) {
      failing = fail;
    },
    mail: (to, subject) =>
      new Promise((resolve) => {
        const look = () => {
          const index = mails.findIndex((mail) => mail.to === to && subject.test(mail.subject));
          if (index < 0) return;
          waiting.delete(look);
          resolve(mails.splice(index, 1)[0]!);
        };
        waiting.add(look);
        look();
      }),
    advance(ms) {
      ahead += ms;
    },
    async call(method, path, { token, body, headers = {}, from } = {}) {
      const response = await fetch(base + path, {
        method,
        headers: {
          ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
          ...(from === undefined ? {} : { "X-Forwarded-For": from }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        text,
        body: (text === "" ? {} : JSON.parse(text)) as Json,
      };
    },
    async register({ email, password = PASSWORD, name = "Ada Lovelace" } = {}) {
      const body = { email: email ?? `${v7()}@example.test`, password, name };
      return personOf(await app.call("POST", "/auth/register", { body }), 201);
    },
    async login(email, { password = PASSWORD, from } = {}) {
      return personOf(
        await app.call("POST", "/auth/login", {
          body: { email, password },
          ...(from === undefined ? {} : { from }),
        }),
        200,
      );
    },
    refresh: (refreshToken, headers = {}) =>
      app.call("POST", "/auth/refresh", { body: { refreshToken }, headers }),
    async age(sessionId, ms) {
      const by = raw`make_interval(secs => ${ms / 1000})`;
      await raw`
        update auth_sessions set created_at = created_at - ${by}, rotated_at = rotated_at - ${by},
          last_used_at = last_used_at - ${by}, idle_expires_at = idle_expires_at - ${by},
          absolute_expires_at = absolute_expires_at - ${by} where id = ${sessionId}`.execute(
        database.tables(),
      );
    },
    async dump() {
      const { rows } = await raw<{ table_name: string }>`
        select table_name from information_schema.tables where table_schema = 'public'`.execute(
        database.tables(),
      );
      const texts: string[] = [];
      for (const { table_name } of rows) {
        const content = await raw<{
          row: string;
        }>`select t::text as row from ${raw.table(table_name)} t`.execute(database.tables());
        texts.push(...content.rows.map(({ row }) => `${table_name} ${row}`));
      }
      return texts.join("\n");
    },
    peers: new Set(),
    async close() {
      peer?.peers.delete(app);
      for (const other of app.peers) await other.close();
      server.closeAllConnections();
      server.close();
      await auth.stop();
      await authzWatch.stop();
      await (own ? own.close() : database.close());
    },
  };
  peer?.peers.add(app);
  return app;
}
