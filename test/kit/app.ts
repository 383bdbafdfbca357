import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type App, createApp } from "../../src/app.js";
import { readConfig } from "../../src/config.js";
import type { Clock } from "../../src/platform/clock.js";
import type { PostgresConnection } from "../../src/platform/database/postgres-connection.js";
import { createNullLogger, type Logger } from "../../src/platform/observability/logger.js";
import { type Api, createApi } from "./api.js";
import { createTestDatabase, type TestDatabase } from "./postgres.js";
import { connectSocket, type SocketClient } from "./socket-client.js";

/** One node under test, and ways to talk to it. */
export interface TestNode {
  readonly app: App;
  readonly api: Api;
  readonly httpUrl: string;
  readonly wsUrl: string;
  socket(token: string, projectId: string, parameters?: Record<string, string>): Promise<SocketClient>;
  stop(): Promise<void>;
}

/** Secrets every node of a test shares. */
export const TEST_SECRETS = {
  JWT_SECRET: "test-access-secret-that-is-long-enough-0001",
  JWT_REFRESH_SECRET: "test-refresh-secret-that-is-long-enough-0002",
} as const;

/** Settings of every node under test: quick hashes, wide limits, free ports. */
export const TEST_ENV = {
  NODE_ENV: "test",
  PORT: "0",
  WS_PORT: "0",
  HOST: "127.0.0.1",
  BCRYPT_ROUNDS: "4",
  RATE_LIMIT_MAX: "100000",
  RATE_LIMIT_USER_MAX: "100000",
  RATE_LIMIT_WRITE_MAX: "100000",
  AUTH_RATE_LIMIT_MAX: "100000",
  REGISTER_RATE_LIMIT_MAX: "0",
  REFRESH_RATE_LIMIT_MAX: "100000",
  INVITE_RATE_LIMIT_MAX: "0",
  ARCHIVE_RATE_LIMIT_MAX: "0",
  JOB_RUNS_PER_HOUR: "0",
  WS_CONNECTS_PER_MINUTE: "100000",
  SANDBOX_SLOTS: "1",
  ...TEST_SECRETS,
} as const;

/** Starts a node in this process on a database of its own, or on the one given. */
export async function startTestNode(
  options: {
    readonly env?: Record<string, string>;
    readonly database?: TestDatabase;
    readonly logger?: Logger;
    readonly clock?: Clock;
    /** Gets what the process would print: mails, for example. */
    readonly announce?: (text: string) => void;
    /** A built console in place of the usual. */
    readonly consoleFolder?: string;
  } = {},
): Promise<TestNode> {
  const database = options.database ?? (await createTestDatabase());
  const folder = mkdtempSync(path.join(tmpdir(), "atelier-node-"));
  const env = {
    ...TEST_ENV,
    DATA_DIR: folder,
    LOG_DIR: path.join(folder, "logs"),
    ...connectionEnv(database.connection),
    ...options.env,
  };
  const app = await createApp(readConfig(env), {
    logger: options.logger ?? createNullLogger(),
    ...(options.clock ? { clock: options.clock } : {}),
    ...(options.announce ? { announce: options.announce } : {}),
    ...(options.consoleFolder === undefined ? {} : { consoleFolder: options.consoleFolder }),
  });
  const clients: SocketClient[] = [];
  await app.start();
  const httpUrl = app.httpUrl ?? "";
  const wsUrl = app.wsUrl ?? "";
  return {
    app,
    httpUrl,
    wsUrl,
    api: createApi(`${httpUrl}/api/v1`),
    async socket(token, projectId, parameters = {}) {
      const client = await connectSocket(
        `${wsUrl}/?${new URLSearchParams({ token, projectId, ...parameters }).toString()}`,
      );
      clients.push(client);
      return client;
    },
    async stop() {
      for (const client of clients) client.terminate();
      await app.stop();
      if (!options.database) await database.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A node in a process of its own. */
export interface ChildNode {
  readonly httpUrl: string;
  readonly wsUrl: string;
  readonly api: Api;
  /** Ends it without a chance to say goodbye. */
  kill(): Promise<void>;
}

/** Starts a node in a process of its own, on the database given. */
export async function startChildNode(
  database: Pick<TestDatabase, "connection">,
  env: Record<string, string> = {},
): Promise<ChildNode> {
  const folder = mkdtempSync(path.join(tmpdir(), "atelier-node-"));
  const kit = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  const child: ChildProcess = spawn(
    process.execPath,
    ["--import", kit("typescript-loader.mjs"), kit("document-node.ts")],
    {
      env: {
        PATH: process.env["PATH"] ?? "",
        ...TEST_ENV,
        DATA_DIR: folder,
        LOG_DIR: path.join(folder, "logs"),
        ...connectionEnv(database.connection),
        ...env,
      },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    },
  );
  const [{ httpUrl, wsUrl }] = (await Promise.race([
    once(child, "message"),
    once(child, "exit").then(([code]) => Promise.reject(new Error(`the node ended with ${code}`))),
  ])) as [{ httpUrl: string; wsUrl: string }];
  return {
    httpUrl,
    wsUrl,
    api: createApi(`${httpUrl}/api/v1`),
    async kill() {
      const ended = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
      child.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The environment that points a node at `connection`. */
export function connectionEnv(connection: PostgresConnection): Record<string, string> {
  if (connection.url !== undefined) return { DATABASE_URL: connection.url };
  return {
    POSTGRES_HOST: connection.host ?? "localhost",
    ...(connection.port === undefined ? {} : { POSTGRES_PORT: String(connection.port) }),
    ...(connection.database === undefined ? {} : { POSTGRES_DB: connection.database }),
    ...(connection.user === undefined ? {} : { POSTGRES_USER: connection.user }),
    ...(connection.password === undefined ? {} : { POSTGRES_PASSWORD: connection.password }),
  };
}
