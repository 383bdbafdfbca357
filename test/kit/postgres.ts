import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Database } from "../../src/platform/database/database.js";
import { startEmbeddedPostgres } from "../../src/platform/database/embedded.js";
import { migrate, migrationsHash } from "../../src/platform/database/migrate.js";
import { createPostgresDatabase } from "../../src/platform/database/postgres.js";
import { connectClient, type PostgresConnection } from "../../src/platform/database/postgres-connection.js";

/** A server for tests. */
export interface TestPostgres {
  /** A superuser's connection to its database `postgres`. */
  readonly admin: PostgresConnection;
  /** Whose databases the tests get. */
  readonly owner: PostgresConnection;
}

/** A database of one test file. */
export interface TestDatabase {
  readonly database: Database;
  /** For an app, a second node or a queue under test. */
  readonly connection: PostgresConnection;
  /** Closes `database` and drops the database, whoever is still connected. */
  readonly close: () => Promise<void>;
}

/** What `createTestDatabase` can be told. */
export interface TestDatabaseOptions {
  /** False: an empty database; default true, with all migrations. */
  readonly migrated?: boolean;
  readonly onError?: (error: unknown) => void;
  /** Default `startTestPostgres`. */
  readonly server?: () => Promise<TestPostgres>;
}

const PREFIX = "atelier-test-";
const STARTER = "starter";
const ADDRESS = "connection.json";
const START_LIMIT_MS = 60_000;

/** A server some test environment can have. */
export interface TestServer {
  readonly name: string;
  /** False: this environment does not have it. */
  readonly reachable: boolean;
  start(): Promise<TestPostgres>;
}

/** Every server the contract suite of `Database` knows. */
export function testServers(): readonly [embedded: TestServer, configured: TestServer] {
  const url = process.env["POSTGRES_TEST_URL"] ?? "";
  return [
    { name: "embedded PostgreSQL", reachable: true, start: startSharedServer },
    {
      name: "PostgreSQL at POSTGRES_TEST_URL",
      reachable: url !== "",
      start: () => Promise.resolve({ admin: { url }, owner: { url } }),
    },
  ];
}

/**
 * The one server of this Jest run, started by the first test file that asks: `POSTGRES_TEST_URL`, else an embedded one in
 * a temporary folder. It ends with the process that started it, and its folder goes then.
 */
export function startTestPostgres(): Promise<TestPostgres> {
  const [embedded, configured] = testServers();
  return (configured.reachable ? configured : embedded).start();
}

/** A database of its own with the product's tables, copied from a template in a few hundredths of a second. */
export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { admin, owner } = await (options.server ?? startTestPostgres)();
  const name = `atelier_test_${randomBytes(6).toString("hex")}`;
  const template = (options.migrated ?? true) ? await ensureTemplate(admin, owner) : "template0";
  await administer(admin, `create database ${name} template ${template}${ownedBy(owner)}`);
  const connection = withDatabase(owner, name);
  const database = createPostgresDatabase({ connection, onError: options.onError ?? (() => undefined) });
  return {
    database,
    connection,
    async close() {
      await database.close();
      await administer(admin, `drop database if exists ${name} with (force)`);
    },
  };
}

/** `connection` with another database. */
export function withDatabase(connection: PostgresConnection, database: string): PostgresConnection {
  if (connection.url === undefined) return { ...connection, database };
  const url = new URL(connection.url);
  url.pathname = `/${database}`;
  return { ...connection, url: url.href };
}

function ownedBy({ user }: PostgresConnection): string {
  return user === undefined ? "" : ` owner ${user}`;
}

async function administer(admin: PostgresConnection, statement: string): Promise<void> {
  const client = await connectClient(admin);
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Makes the database with all migrations once per server; test files that come at once wait for the first. */
async function ensureTemplate(admin: PostgresConnection, owner: PostgresConnection): Promise<string> {
  const template = `atelier_template_${(await migrationsHash()).slice(0, 16)}`;
  const client = await connectClient(admin);
  try {
    await client.query("select pg_advisory_lock(hashtext('atelier_test_template'))");
    const { rowCount } = await client.query("select 1 from pg_database where datname = $1", [template]);
    if (rowCount === 0) {
      // Renamed when complete: a run that is stopped half-way leaves no half template under the final name.
      const draft = `${template}_${randomBytes(4).toString("hex")}`;
      await client.query(`create database ${draft} template template0${ownedBy(owner)}`);
      try {
        await migrate(withDatabase(owner, draft));
        await client.query(`alter database ${draft} rename to ${template}`);
      } catch (error) {
        await client.query(`drop database ${draft} with (force)`);
        throw error;
      }
    }
    return template;
  } finally {
    await client.end();
  }
}

/** Jest's main process, also when this is one of its workers: all test files of a run have it in common. */
function runId(): number {
  const inWorker = process.argv[1]?.includes("jest-worker") ?? false;
  return inWorker ? process.ppid : process.pid;
}

async function startSharedServer(): Promise<TestPostgres> {
  const connection = await sharedServer();
  return { admin: { ...connection, user: "postgres", database: "postgres" }, owner: connection };
}

async function sharedServer(): Promise<PostgresConnection> {
  const folder = path.join(os.tmpdir(), `${PREFIX}${runId()}`);
  const deadline = Date.now() + START_LIMIT_MS;
  while (Date.now() < deadline) {
    if (await claim(folder)) return startShared(folder);
    const starter = Number(await readFile(path.join(folder, STARTER), "utf8").catch(() => ""));
    const known = await readFile(path.join(folder, ADDRESS), "utf8").catch(() => undefined);
    // The folder of a starter that died is on its way out: its remover takes it.
    if (known !== undefined && isAlive(starter)) return JSON.parse(known) as PostgresConnection;
    await delay(20);
  }
  throw new Error(`the test server in ${folder} was not started in time; remove the folder`);
}

function isAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** True for the one process that is to start the server. */
async function claim(folder: string): Promise<boolean> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  try {
    await writeFile(path.join(folder, STARTER), String(process.pid), { flag: "wx" });
    return true;
  } catch {
    return false;
  }
}

async function startShared(folder: string): Promise<PostgresConnection> {
  removeAtExit(folder);
  await sweep();
  const server = await startEmbeddedPostgres({
    dataDir: path.join(folder, "data"),
    // Tests need no disk: what survives a kill is tested with a server of its own.
    settings: { max_connections: "200", fsync: "off", synchronous_commit: "off", full_page_writes: "off" },
  }).catch(async (error: unknown) => {
    // The next test file shall see the reason too, not wait for a server that never comes.
    await rm(path.join(folder, STARTER));
    throw error;
  });
  const draft = path.join(folder, `${ADDRESS}.draft`);
  await writeFile(draft, JSON.stringify(server.connection));
  await rename(draft, path.join(folder, ADDRESS));
  return server.connection;
}

/** A process that waits for the end of this one, lets the server's own watchdog end the server, and removes the folder. */
function removeAtExit(folder: string): void {
  const script = `
    const fs = require("node:fs");
    const folder = process.argv[1];
    const pidFile = folder + "/data/postgres/data/postmaster.pid";
    process.stdin.resume().on("end", () => {
      const deadline = Date.now() + 20000;
      setInterval(() => {
        if (fs.existsSync(pidFile) && Date.now() < deadline) return;
        fs.rmSync(folder, { recursive: true, force: true });
        process.exit();
      }, 50);
    });`;
  const remover = spawn(process.execPath, ["-e", script, folder], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    windowsHide: true,
  });
  remover.unref();
  (remover.stdin as unknown as { unref(): void }).unref();
}

/** Removes what runs left behind that were killed together with their remover. */
async function sweep(): Promise<void> {
  for (const name of await readdir(os.tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = path.join(os.tmpdir(), name);
    const found = await stat(folder).catch(() => undefined);
    if (found === undefined || Date.now() - found.mtimeMs < START_LIMIT_MS) continue;
    if (!isAlive(Number(name.slice(PREFIX.length))))
      await rm(folder, { recursive: true }).catch(() => undefined);
  }
}
