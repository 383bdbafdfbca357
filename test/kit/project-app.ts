import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { sql as raw } from "kysely";
import { v7 } from "uuid";
import { AppError, type FieldError } from "../../src/errors.js";
import { createAuthzLog } from "../../src/events/authz-log.js";
import { createAuthzWatch } from "../../src/events/authz-watch.js";
import { createOutbox } from "../../src/events/outbox.js";
import { createIdempotency } from "../../src/http/idempotency.js";
import { createCursors } from "../../src/http/pagination.js";
import { createHttpRateLimit } from "../../src/http/rate-limit.js";
import type { Route } from "../../src/http/route.js";
import { createHttpApp } from "../../src/http/server.js";
import type { Database } from "../../src/platform/database/database.js";
import type { Mail, Mailer } from "../../src/platform/mail/mailer.js";
import { createNullLogger } from "../../src/platform/observability/logger.js";
import { createMemoryPubSub } from "../../src/platform/pubsub/memory.js";
import { createMemoryRateLimiter } from "../../src/platform/rate-limit/memory.js";
import type { Accounts } from "../../src/projects/accounts.js";
import { createProjects, invitePolicies, type Projects } from "../../src/projects/projects.js";
import type { IssuedInvitation, Member, Project } from "../../src/projects/schema.js";
import type { ProjectTables } from "../../src/projects/tables.js";
import type { Workspace } from "../../src/workspaces/schema.js";
import { createWorkspaces, type Workspaces } from "../../src/workspaces/workspaces.js";
import { createTestDatabase } from "./postgres.js";

/** An account of a test. */
export interface TestUser {
  readonly id: string;
  readonly email: string;
  readonly name: string;
}

/** An answer; `body` is the parsed JSON, or undefined. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

/** Everything a body can hold; a test that looks for what is not there fails. */
export interface Body {
  readonly project: Project;
  readonly projects: readonly Project[];
  readonly member: Member;
  readonly members: readonly Member[];
  readonly invitation: IssuedInvitation;
  readonly invitations: readonly IssuedInvitation[];
  readonly workspace: Workspace;
  readonly workspaces: readonly Workspace[];
  readonly nextCursor: string | null;
  readonly code: string;
  readonly requestId: string;
  readonly errors: readonly FieldError[];
}

/** What a request carries. */
export interface Call {
  readonly as?: TestUser;
  /** Sent as JSON; a string goes as it is. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Tables the tests look into. */
export interface TestTables extends ProjectTables {
  users: ProjectTables["users"] & {
    password_hash: string;
    email_verified_at: Date | null;
    disabled_at: Date | null;
  };
  workspaces: {
    id: string;
    project_id: string;
    name: string;
    settings: string;
    version: number;
    created_at: Date;
    updated_at: Date;
  };
  outbox: {
    id: string;
    type: string;
    project_id: string;
    user_id: string;
    payload: Record<string, unknown>;
  };
  authz_log: { seq: number; kind: string; subject: string; project_id: string; reason: string };
}

/** Projects and workspaces behind a real server, with accounts that sign in by their id. */
export interface ProjectApp {
  readonly routes: readonly Route[];
  readonly database: Database;
  readonly projects: Projects;
  readonly workspaces: Workspaces;
  /** Every mail sent so far. */
  readonly mails: Mail[];
  /** Makes the next mails fail. */
  failMails(fail: boolean): void;
  /** Moves the clock of the app on. */
  advance(ms: number): void;
  user(options?: { email?: string; name?: string; verified?: boolean }): Promise<TestUser>;
  call(method: string, path: string, call?: Call): Promise<Answer>;
  /** A project of `owner` with these members. */
  project(owner: TestUser, members?: readonly (readonly [TestUser, string])[]): Promise<string>;
  /** Types and payloads of the project's events, in order. */
  events(projectId: string): Promise<{ type: string; userId: string; payload: Record<string, unknown> }[]>;
  /** How many statements wait for a lock in this database. */
  lockWaits(): Promise<number>;
  close(): Promise<void>;
}

/** Starts the app on a free port. @param options.invitesPerHour 0, the default, switches the limits on invitations off. */
export async function createProjectApp(options: { invitesPerHour?: number } = {}): Promise<ProjectApp> {
  const { database, close } = await createTestDatabase();
  const t = database.tables<TestTables>();
  let ahead = 0;
  const clock = { now: () => Date.now() + ahead };
  const logger = createNullLogger();
  const outbox = createOutbox({ database, clock });
  const authzLog = createAuthzLog({ database });
  const pubsub = createMemoryPubSub({ onError: () => undefined });
  const authzWatch = createAuthzWatch({
    log: authzLog,
    database,
    pubsub,
    nodeId: v7(),
    recentMs: 900_000,
    logger,
  });
  await authzWatch.start();
  const mails: Mail[] = [];
  let mailsFail = false;
  const mailer: Mailer = {
    async send(mail) {
      if (mailsFail) throw new Error("no route to the mail server");
      mails.push(mail);
    },
    close: async () => undefined,
  };
  const limiter = createMemoryRateLimiter();
  const basePath = "/api/v1";
  const projects = createProjects({
    database,
    clock,
    logger,
    outbox,
    authzLog,
    authzWatch,
    accounts: testAccounts,
    mailer,
    limiter,
    policies: invitePolicies(options.invitesPerHour ?? 0),
    invitationKey: Buffer.alloc(32, 3),
    publicUrl: "https://atelier.test",
    basePath,
  });
  const workspaces = createWorkspaces({ database, clock, outbox, access: projects.access, basePath });
  const routes = [...projects.routes, ...workspaces.routes];
  const unlimited = { name: "any", limit: 0, windowMs: 1_000 };
  const server = createServer(
    createHttpApp({
      routes,
      basePath,
      mounts: [],
      logger,
      corsOrigins: [],
      trustProxy: undefined,
      observe: () => undefined,
      inFlight: () => undefined,
      authenticator: {
        async authenticate(authorization) {
          const userId = /^Bearer (.+)$/.exec(authorization ?? "")?.[1];
          if (userId === undefined) throw new AppError("unauthenticated");
          return { userId, sessionId: userId, generation: 1 };
        },
      },
      rateLimit: createHttpRateLimit({
        limiter,
        policies: {
          anonymous: unlimited,
          user: unlimited,
          write: unlimited,
          signIn: unlimited,
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
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}${basePath}`;
  let users = 0;

  const app: ProjectApp = {
    routes,
    database,
    projects,
    workspaces,
    mails,
    failMails(fail) {
      mailsFail = fail;
    },
    advance(ms) {
      ahead += ms;
    },
    async user({ email, name, verified = true } = {}) {
      users += 1;
      const user = { id: v7(), email: email ?? `user${users}@example.test`, name: name ?? `User ${users}` };
      await t
        .insertInto("users")
        .values({
          ...user,
          password_hash: "-",
          email_verified_at: verified ? new Date() : null,
          disabled_at: null,
        })
        .execute();
      return user;
    },
    async call(method, path, { as, body, headers = {} } = {}) {
      const response = await fetch(path.startsWith("http") ? path : base + path, {
        method,
        headers: {
          ...(as ? { Authorization: `Bearer ${as.id}` } : {}),
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body: (text === "" ? undefined : JSON.parse(text)) as Body,
      };
    },
    async project(owner, members = []) {
      const made = await app.call("POST", "/projects", { as: owner, body: { name: "A project" } });
      const projectId = made.body.project.id;
      for (const [user, role] of members) {
        const added = await app.call("POST", `/projects/${projectId}/members`, {
          as: owner,
          body: { email: user.email, role },
        });
        if (added.status !== 201) throw new Error(`member not added: ${added.status}`);
      }
      return projectId;
    },
    async events(projectId) {
      return t
        .selectFrom("outbox")
        .select(["type", "user_id as userId", "payload"])
        .where("project_id", "=", projectId)
        .orderBy("id")
        .execute();
    },
    async lockWaits() {
      const { rows } = await raw<{ n: number }>`
        select count(*)::int as n from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`.execute(t);
      return rows[0]?.n ?? 0;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await authzWatch.stop();
      await close();
    },
  };
  return app;
}

/** The accounts port over the `users` table. */
const testAccounts: Accounts = {
  findByEmail: async (sql, email) =>
    accountOf(await users(sql).where("email", "=", email).executeTakeFirst()),
  findById: async (sql, userId) => accountOf(await users(sql).where("id", "=", userId).executeTakeFirst()),
  async markEmailVerified(tx, userId) {
    await tx
      .tables<TestTables>()
      .updateTable("users")
      .set({ email_verified_at: new Date() })
      .where("id", "=", userId)
      .where("email_verified_at", "is", null)
      .execute();
  },
};

function users(sql: { tables: Database["tables"] }) {
  return sql.tables<TestTables>().selectFrom("users").selectAll();
}

function accountOf(row: TestTables["users"] | undefined) {
  return (
    row && {
      id: row.id,
      email: row.email,
      name: row.name,
      emailVerified: row.email_verified_at !== null,
      disabled: row.disabled_at !== null,
    }
  );
}
