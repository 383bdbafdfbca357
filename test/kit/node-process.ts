import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type Api, createApi } from "./api.js";
import { connectionEnv, TEST_ENV } from "./app.js";
import type { TestDatabase } from "./postgres.js";
import { connectSocket, type SocketClient } from "./socket-client.js";

/** A node in a process of its own, to be stopped, frozen and killed. */
export interface NodeProcess {
  readonly pid: number;
  readonly httpUrl: string;
  readonly wsUrl: string;
  readonly api: Api;
  socket(token: string, projectId: string, parameters?: Record<string, string>): Promise<SocketClient>;
  /** Stops it from running, or lets it go on, without any of its connections being closed. */
  freeze(): void;
  thaw(): void;
  /** Asks it to end (SIGTERM); resolves with its exit code. */
  stop(): Promise<number | null>;
  /** Ends it without a chance to say goodbye. */
  kill(): Promise<void>;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const START_LIMIT_MS = 30_000;

/** A worker in a process of its own (`npm run worker`). */
export type WorkerProcess = Pick<NodeProcess, "pid" | "freeze" | "thaw" | "stop" | "kill">;

/** Starts a worker on the given database. */
export async function startWorkerProcess(
  database: Pick<TestDatabase, "connection">,
  env: Readonly<Record<string, string>> = {},
): Promise<WorkerProcess> {
  const { child, exited, end } = spawnNode(database, ["worker"], env);
  await announced(child, exited, (said) => (/worker running/.test(said) ? true : undefined));
  return {
    pid: child.pid ?? 0,
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    stop: () => end("SIGTERM"),
    async kill() {
      await end("SIGKILL");
    },
  };
}

/** Starts a node on the given database: what was built, or the sources when they are newer. */
export async function startNodeProcess(
  database: Pick<TestDatabase, "connection">,
  env: Readonly<Record<string, string>> = {},
): Promise<NodeProcess> {
  const { child, exited, end } = spawnNode(database, [], env);
  const { httpUrl, wsUrl } = await announced(child, exited, urlsIn);
  const clients: SocketClient[] = [];
  return {
    pid: child.pid ?? 0,
    httpUrl,
    wsUrl,
    api: createApi(`${httpUrl}/api/v1`),
    async socket(token, projectId, parameters = {}) {
      const query = new URLSearchParams({ token, projectId, ...parameters }).toString();
      const client = await connectSocket(`${wsUrl}/?${query}`);
      clients.push(client);
      return client;
    },
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    stop: () => end("SIGTERM"),
    async kill() {
      await end("SIGKILL");
      for (const client of clients) client.terminate();
    },
  };
}

function spawnNode(
  database: Pick<TestDatabase, "connection">,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
) {
  const folder = mkdtempSync(path.join(tmpdir(), "atelier-node-"));
  const child = spawn(process.execPath, [...program(), ...args], {
    cwd: folder,
    env: {
      PATH: process.env.PATH ?? "",
      ...TEST_ENV,
      ROLES: "api,realtime",
      DATA_DIR: folder,
      LOG_DIR: path.join(folder, "logs"),
      ...connectionEnv(database.connection),
      ...env,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const killAtExit = () => void child.kill("SIGKILL");
  process.on("exit", killAtExit);
  const exited = once(child, "exit").then(([code]) => {
    process.off("exit", killAtExit);
    rmSync(folder, { recursive: true, force: true });
    return code as number | null;
  });
  const end = (signal: NodeJS.Signals) => {
    child.kill("SIGCONT");
    child.kill(signal);
    return exited;
  };
  return { child, exited, end };
}

function urlsIn(said: string): { httpUrl: string; wsUrl: string } | undefined {
  const httpUrl = /API +(http:\S+)\/api\/v1/.exec(said)?.[1];
  const wsUrl = /Sockets +(ws:\S+)/.exec(said)?.[1];
  return httpUrl === undefined || wsUrl === undefined ? undefined : { httpUrl, wsUrl };
}

/** Waits for what it announces when it is ready. */
async function announced<R>(
  child: ChildProcess,
  exited: Promise<unknown>,
  find: (said: string) => R | undefined,
): Promise<R> {
  let said = "";
  const ready = new Promise<R>((resolve) => {
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      const found = find(said);
      if (found !== undefined) resolve(found);
    });
  });
  let timer: NodeJS.Timeout | undefined;
  const never = new Promise<never>((_resolve, reject) => {
    const fail = () => reject(new Error(`the node did not start: ${said}`));
    timer = setTimeout(fail, START_LIMIT_MS);
    void exited.then(fail);
  });
  never.catch(() => undefined);
  try {
    return await Promise.race([ready, never]);
  } finally {
    clearTimeout(timer);
  }
}

function program(): string[] {
  const built = path.join(ROOT, "dist", "main.js");
  const stamp = path.join(ROOT, "dist", ".built");
  if (existsSync(built) && existsSync(stamp) && statSync(stamp).mtimeMs >= newest(path.join(ROOT, "src")))
    return [built];
  return ["--import", path.join(ROOT, "test/kit/typescript-loader.mjs"), path.join(ROOT, "src/main.ts")];
}

function newest(folder: string): number {
  let time = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) time = Math.max(time, statSync(path.join(entry.parentPath, entry.name)).mtimeMs);
  return time;
}
