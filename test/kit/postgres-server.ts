import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { locatePostgres } from "../../src/platform/database/embedded-binaries.js";
import { connectClient } from "../../src/platform/database/postgres-connection.js";
import { lowPort } from "./low-port.js";
import type { TestPostgres } from "./postgres.js";

/** A private PostgreSQL server on a port of the loopback, as durable as in production, to be killed. */
export interface PostgresServer extends TestPostgres {
  readonly port: number;
  /** Ends it: `fast` as an operator does, `immediate` without a checkpoint, `kill` with SIGKILL to all its processes. */
  stop(how: "fast" | "immediate" | "kill"): Promise<void>;
  /** Starts it again and waits until it answers; recovery included. */
  start(): Promise<void>;
  /** SIGKILL to one of the processes that serve connections: the server ends all others and recovers by itself. */
  killBackend(): Promise<void>;
  /** Stops it and removes its folder. */
  close(): Promise<void>;
}

const NOBODY = 65_534;
const START_LIMIT_MS = 60_000;

/** Starts one; Linux only, because its processes are found in /proc. */
export async function startPostgresServer(
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  const programs = await locatePostgres();
  const folder = mkdtempSync(path.join(tmpdir(), "atelier-postgres-"));
  chmodSync(folder, 0o755);
  const data = path.join(folder, "data");
  mkdirSync(data, { mode: 0o700 });
  const account = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  if (account.uid !== undefined) chownSync(data, NOBODY, NOBODY);
  const env = { PATH: process.env.PATH ?? "", LC_ALL: "C" };
  const made = spawnSync(
    programs.initdb,
    ["-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
    { ...account, env, cwd: data, encoding: "utf8" },
  );
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
  const port = await lowPort();
  const connection = { url: `postgres://postgres@127.0.0.1:${port}/postgres` };
  const flags = Object.entries({
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: data,
    max_connections: "200",
    ...settings,
  }).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  let child: ChildProcess | undefined;
  const killAtExit = () => void child?.kill("SIGKILL");
  process.on("exit", killAtExit);

  /** Processes of the server besides the first one. */
  function helpers(): number[] {
    const pid = child?.pid;
    if (pid === undefined) return [];
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((each) => parentOf(each) === pid);
  }

  async function start(): Promise<void> {
    const deadline = performance.now() + START_LIMIT_MS;
    for (;;) {
      let log = "";
      const started = spawn(programs.postgres, ["-D", data, ...flags], {
        ...account,
        env,
        cwd: data,
        stdio: ["ignore", "ignore", "pipe"],
      });
      started.stderr.setEncoding("utf8").on("data", (text: string) => {
        log = (log + text).slice(-4_000);
      });
      child = started;
      while (started.exitCode === null && started.signalCode === null) {
        if (await answers(connection)) return;
        if (performance.now() > deadline) throw new Error(`PostgreSQL did not start: ${log}`);
        await delay(20);
      }
      // What was killed may hold its shared memory a moment longer.
      if (performance.now() > deadline) throw new Error(`PostgreSQL ended: ${log}`);
      await delay(50);
    }
  }

  async function stop(how: "fast" | "immediate" | "kill"): Promise<void> {
    const running = child;
    child = undefined;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const ended = once(running, "exit");
    if (how === "kill") {
      child = running;
      const others = helpers();
      child = undefined;
      running.kill("SIGKILL");
      for (const pid of others) signal(pid, "SIGKILL");
    } else running.kill(how === "fast" ? "SIGINT" : "SIGQUIT");
    await ended;
  }

  await start();
  return {
    admin: connection,
    owner: connection,
    port,
    start,
    stop,
    async killBackend() {
      const [backend] = helpers().filter((pid) => titleOf(pid).includes("127.0.0.1("));
      if (backend !== undefined) signal(backend, "SIGKILL");
      // It has ended all others before it answers again.
      await delay(100);
      while (!(await answers(connection))) await delay(20);
    },
    async close() {
      await stop("immediate");
      process.off("exit", killAtExit);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

async function answers(connection: { readonly url: string }): Promise<boolean> {
  const client = await connectClient(connection).catch(() => undefined);
  if (!client) return false;
  client.on("error", () => undefined);
  try {
    await client.query("select 1");
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return 0;
  }
}

function titleOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}
