import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { endLeftover, type ServerHome, type ServerProcess, startServer } from "./embedded-server.js";
import { connectClient, type PostgresConnection } from "./postgres-connection.js";
import { isUnavailable } from "./postgres-errors.js";

const START_LIMIT_MS = 300_000;
const SLOW_START_MS = 5000;
const SESSIONS_LEFT_MS = 10_000;
const RESTART_MAX_MS = 30_000;

/** A server that is started again whenever it dies. */
export interface Keeper {
  /** Ends the server and the watch over it. */
  stop(): Promise<void>;
}

/**
 * Starts the server and waits until its database answers. The first start fails loudly; later the server is started again,
 * after ever longer pauses, until it stays.
 */
export async function keepRunning(
  home: ServerHome,
  settings: Readonly<Record<string, string>>,
  connection: PostgresConnection,
  onMessage: (message: string) => void,
): Promise<Keeper> {
  const stopping = new AbortController();
  const { signal } = stopping;
  let current = await startReady(home, settings, connection, onMessage);

  async function restart(pauseMs: number): Promise<void> {
    onMessage("PostgreSQL ended unexpectedly; starting it again.");
    try {
      await delay(pauseMs, undefined, { ref: false, signal });
      await endLeftover(home, onMessage);
      current = await startServer(home, settings);
      // `stop` came meanwhile and has stopped the one before.
      if (signal.aborted) await current.stop();
    } catch (error) {
      if (!signal.aborted) onMessage(`PostgreSQL cannot be started: ${reason(error)}`);
    }
  }
  async function watch(): Promise<void> {
    for (let pauseMs = 100; ; pauseMs = Math.min(pauseMs * 2, RESTART_MAX_MS)) {
      const since = Date.now();
      await current.exited;
      if (signal.aborted) return;
      if (Date.now() - since > RESTART_MAX_MS) pauseMs = 100;
      await restart(pauseMs);
    }
  }
  const watching = watch();

  return {
    async stop() {
      stopping.abort();
      await current.stop();
      await watching;
    },
  };
}

async function startReady(
  home: ServerHome,
  settings: Readonly<Record<string, string>>,
  connection: PostgresConnection,
  onMessage: (message: string) => void,
): Promise<ServerProcess> {
  const started = Date.now();
  const waited = () => Date.now() - started;
  let server = await startServer(home, settings);
  let said = false;
  for (;;) {
    if (!server.running()) {
      const log = await tailOf(path.join(home.folder, "server.log"));
      // Sessions of a killed server finish their statement before they notice.
      const sessionsLeft = log.includes("pre-existing shared memory block") && waited() < SESSIONS_LEFT_MS;
      if (!sessionsLeft) throw new Error(`The embedded PostgreSQL did not start: ${log}`);
      server = await startServer(home, settings);
    }
    try {
      await ensureDatabase(connection);
      return server;
    } catch (error) {
      if (server.running() && (!isUnavailable(error) || waited() > START_LIMIT_MS)) {
        await server.stop();
        throw new Error(`The embedded PostgreSQL does not answer: ${reason(error)}`, { cause: error });
      }
    }
    if (!said && waited() > SLOW_START_MS) {
      said = true;
      onMessage("PostgreSQL is recovering from an unclean end; this can take a while.");
    }
    await delay(10);
  }
}

/** Makes the role and the database of the product; the role is no superuser, so that SQL alone cannot reach the host. */
async function ensureDatabase(connection: PostgresConnection): Promise<void> {
  try {
    await (await connectClient(connection)).end();
    return;
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    // 3D000: no such database; 28000: no such role.
    if (code !== "3D000" && code !== "28000" && code !== "28P01") throw error;
  }
  const admin = await connectClient({ ...connection, user: "postgres", database: "postgres" });
  try {
    const { user = "", database = "", password } = connection;
    const role = admin.escapeIdentifier(user);
    const { rowCount } = await admin.query("select 1 from pg_roles where rolname = $1", [user]);
    const secret = password === undefined ? "" : ` password ${admin.escapeLiteral(password)}`;
    if (rowCount === 0) await admin.query(`create role ${role} login${secret}`);
    await admin.query(`create database ${admin.escapeIdentifier(database)} owner ${role}`);
  } finally {
    await admin.end();
  }
}

async function tailOf(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.trim().split("\n").slice(-5).join(" | ").slice(-800);
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
