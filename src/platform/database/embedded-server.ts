import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import {
  copyFile,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  truncate,
} from "node:fs/promises";
import type { Socket } from "node:net";
import path from "node:path";
import { commandFor, giveTo, type ServerAccount } from "./embedded-account.js";
import type { PostgresBinaries } from "./embedded-binaries.js";

/** One data folder with the programs and the user that serve it. */
export interface ServerHome {
  /** `DATA_DIR/postgres`: absolute, without links. */
  readonly folder: string;
  readonly binaries: PostgresBinaries;
  readonly account: ServerAccount;
}

/** A started server process. */
export interface ServerProcess {
  readonly child: ChildProcess;
  /** False when the process is gone or never came to be. */
  running(): boolean;
  /** Resolves when the process is gone. */
  readonly exited: Promise<void>;
  /** Fast shutdown: open transactions are rolled back, all that was committed is on the disk. */
  stop(): Promise<void>;
}

const LOG_MAX_BYTES = 1024 * 1024;
const FAST_MS = 10_000;
const IMMEDIATE_MS = 5000;
const WINDOWS = process.platform === "win32";

/**
 * Ends the server when this process dies without saying so: its end of the pipe closes then. The pid file is compared,
 * because the number may belong to somebody else by that time.
 */
const WATCHDOG = 'trap "" INT TERM HUP; cat >/dev/null; read -r p <"$1" && [ "$p" = "$0" ] && kill -INT "$0"';
const WATCHDOG_WINDOWS =
  "process.stdin.resume().on('end', () => require('child_process').spawnSync(process.argv[1], ['stop', '-D', process.argv[2], '-m', 'fast']))";

/** The folder of the data itself. */
export function dataFolder({ folder }: ServerHome): string {
  return path.join(folder, "data");
}

/** The server inherits nothing of this process's environment, which holds secrets. */
function environment(): NodeJS.ProcessEnv {
  const { PATH, SystemRoot, TEMP } = process.env;
  return { PATH, LC_ALL: "C", ...(WINDOWS ? { SystemRoot, TEMP } : {}) };
}

/** Makes the data folder on the first start: in a temporary one, renamed when it is complete. */
export async function initialise(home: ServerHome, superuser: { password?: string }): Promise<void> {
  for (const name of await readdir(home.folder)) {
    if (name.startsWith("init-")) {
      // An initdb whose parent was killed may still be writing there for a moment.
      await rm(path.join(home.folder, name), { recursive: true, force: true, maxRetries: 10 });
    }
  }
  if (await isInitialised(home)) return;
  const temporary = await mkdtemp(path.join(home.folder, "init-"));
  const data = path.join(temporary, "data");
  const args = ["-D", data, "-U", "postgres", "--encoding=UTF8", "--locale=C", "--no-instructions"];
  args.push("--locale-provider=builtin", "--builtin-locale=C.UTF-8");
  if (superuser.password === undefined) {
    args.push("--auth=trust");
  } else {
    const file = path.join(temporary, "password");
    const handle = await open(file, "wx", 0o600);
    await handle.writeFile(superuser.password);
    await handle.close();
    args.push("--auth=scram-sha-256", `--pwfile=${file}`);
  }
  await giveTo(home.account, temporary);
  await runToEnd(home, home.binaries.initdb, args);
  await rename(data, dataFolder(home));
  await syncFolder(home.folder);
  await rm(temporary, { recursive: true, force: true });
}

async function isInitialised(home: ServerHome): Promise<boolean> {
  const data = dataFolder(home);
  const found = await readFile(path.join(data, "PG_VERSION"), "utf8").catch(() => undefined);
  if (found !== undefined) {
    const { stdout } = await runToEnd(home, home.binaries.postgres, ["--version"]);
    const major = /(\d+)/.exec(stdout)?.[1];
    if (found.trim() === major) return true;
    throw new Error(
      `${data} was made by PostgreSQL ${found.trim()}, but the embedded one is ${major}; dump it with the old version and restore it`,
    );
  }
  const entries = await readdir(data).catch(() => []);
  if (entries.length === 0) return false;
  throw new Error(`${data} is not empty and holds no PostgreSQL data; move it away`);
}

function runToEnd(home: ServerHome, file: string, args: readonly string[]): Promise<{ stdout: string }> {
  const [program, words, user] = commandFor(home.account, file, args);
  const child = spawn(program, words, {
    ...user,
    cwd: home.folder,
    env: environment(),
    stdio: ["ignore", "pipe", "pipe"],
    windowsHide: true,
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve({ stdout });
      else
        reject(new Error(`${path.basename(file)} failed (${signal ?? code}): ${stderr.trim().slice(-500)}`));
    });
  });
}

/** Without this a power cut after the rename could take the name away again. */
async function syncFolder(folder: string): Promise<void> {
  if (WINDOWS) return;
  const handle = await open(folder, constants.O_RDONLY);
  await handle.sync();
  await handle.close();
}

/** Starts the server with its watchdog; it answers some time later. */
export async function startServer(
  home: ServerHome,
  settings: Readonly<Record<string, string>>,
): Promise<ServerProcess> {
  const data = dataFolder(home);
  const logFile = path.join(home.folder, "server.log");
  await boundLog(logFile);
  const log = await open(logFile, "a", 0o600);
  const { uid, gid } = home.account;
  // The user may be the one to start next time, without root.
  if (uid !== undefined && gid !== undefined) await log.chown(uid, gid);
  const args = [
    "-D",
    data,
    ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
  const [program, words, user] = commandFor(home.account, home.binaries.postgres, args);
  const child = spawn(program, words, {
    ...user,
    cwd: home.folder,
    env: environment(),
    stdio: ["ignore", log.fd, log.fd],
    // A session of its own: Ctrl-C must reach this process, which drains, and not the server at the same time.
    detached: true,
    windowsHide: true,
  });
  await log.close();
  let running = true;
  const exited = new Promise<void>((resolve) => {
    const gone = () => {
      running = false;
      resolve();
    };
    child.once("exit", gone);
    child.once("error", gone);
  });
  const watchdog = startWatchdog(home, child.pid);
  const logTimer = setInterval(() => void boundLog(logFile), 60_000).unref();
  void exited.then(() => {
    clearInterval(logTimer);
    // Killed, not closed: it would act on the end of the pipe.
    watchdog?.kill("SIGKILL");
  });
  child.unref();
  return { child, exited, running: () => running, stop: () => stopServer(home, child, exited) };
}

function startWatchdog(home: ServerHome, pid: number | undefined): ChildProcess | undefined {
  if (pid === undefined) return undefined;
  const data = dataFolder(home);
  const [program, args] = WINDOWS
    ? [process.execPath, ["-e", WATCHDOG_WINDOWS, home.binaries.pgCtl, data]]
    : ["sh", ["-c", WATCHDOG, String(pid), path.join(data, "postmaster.pid")]];
  const { uid, gid } = home.account;
  const watchdog = spawn(program, args, {
    ...(uid === undefined ? {} : { uid, gid }),
    cwd: home.folder,
    env: environment(),
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    windowsHide: true,
  });
  // Without a watchdog the next start ends what this one left.
  watchdog.on("error", () => undefined);
  watchdog.stdin.on("error", () => undefined);
  watchdog.unref();
  (watchdog.stdin as Socket).unref();
  return watchdog;
}

async function stopServer(home: ServerHome, child: ChildProcess, exited: Promise<void>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.ref();
  if (WINDOWS) {
    await runToEnd(home, home.binaries.pgCtl, ["stop", "-D", dataFolder(home), "-m", "fast"]).catch(
      () => undefined,
    );
  }
  const { pid } = child;
  await endInSteps(
    (signal) => void process.kill(pid, signal),
    () => exited,
  );
}

/** SIGINT is PostgreSQL's fast, SIGQUIT its immediate shutdown (crash recovery follows at the next start). */
async function endInSteps(
  send: (signal: NodeJS.Signals) => void,
  exited: () => Promise<void>,
): Promise<void> {
  const gone = exited().then(() => true);
  for (const [signal, ms] of [
    ["SIGINT", FAST_MS],
    ["SIGQUIT", IMMEDIATE_MS],
    ["SIGKILL", IMMEDIATE_MS],
  ] as const) {
    try {
      send(signal);
    } catch {
      return;
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), ms);
    });
    const ended = await Promise.race([gone, late]);
    clearTimeout(timer);
    if (ended) return;
  }
}

/** Ends a server that a killed process left behind; only called by the holder of the folder's lock. */
export async function endLeftover(home: ServerHome, onMessage: (message: string) => void): Promise<void> {
  const data = dataFolder(home);
  const pidFile = path.join(data, "postmaster.pid");
  const text = await readFile(pidFile, "utf8").catch(() => undefined);
  const pid = Number(text?.split("\n", 1)[0]);
  if (text === undefined || !Number.isSafeInteger(pid) || pid <= 0) return;
  if (WINDOWS) {
    await runToEnd(home, home.binaries.pgCtl, ["stop", "-D", data, "-m", "fast"]).catch(() => undefined);
    return;
  }
  if (await servesFolder(pid, data)) {
    onMessage(`Ending the PostgreSQL (process ${pid}) that an earlier run left behind.`);
    await endInSteps(
      (signal) => void process.kill(pid, signal),
      () => untilGone(pid, data),
    );
    return;
  }
  if (!isAlive(pid)) return;
  // The number belongs to another program by now. PostgreSQL would refuse to start, except for the number of its own
  // parent; the other lines stay, it needs them to find out whether old sessions still use the shared memory.
  const handle = await open(pidFile, "r+");
  await handle.truncate(0);
  await handle.writeFile(text.replace(/^.*/, String(process.pid)));
  await handle.close();
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** The server's working directory is its data folder; where that cannot be read, its command names the folder. */
async function servesFolder(pid: number, data: string): Promise<boolean> {
  if (!isAlive(pid)) return false;
  if (process.platform === "linux") return (await readlink(`/proc/${pid}/cwd`).catch(() => "")) === data;
  const ps = spawn("ps", ["-o", "command=", "-p", String(pid)], { stdio: ["ignore", "pipe", "ignore"] });
  let text = "";
  ps.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  await once(ps, "close").catch(() => undefined);
  return text.includes(data);
}

async function untilGone(pid: number, data: string): Promise<void> {
  while (await servesFolder(pid, data)) {
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}

/** Keeps `server.log` and one older part. The server appends to the same file all the time, so it is copied and emptied. */
async function boundLog(file: string): Promise<void> {
  const size = (await stat(file).catch(() => undefined))?.size ?? 0;
  if (size <= LOG_MAX_BYTES) return;
  try {
    await rm(`${file}.1`, { force: true });
    await copyFile(file, `${file}.1`);
    await truncate(file, 0);
  } catch {
    // A full disk: the log stays as it is until there is room.
  }
}
