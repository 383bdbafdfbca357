import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { cpus } from "node:os";

/** The server under test has this core, everything else the other. */
export const SERVER_CORE = 0;
export const LOAD_CORE = 1;
const CORES = cpus().length;
const PINNED = process.platform === "linux" && CORES >= 2;

/** Clock ticks of a second in /proc/<pid>/stat (USER_HZ, which is 100 on every Linux that Node.js runs on). */
const TICKS = 100;
const START_MS = 40_000;
const STOP_MS = 8_000;

const children = new Set();
const folders = new Set();

// Nothing that was started here outlives this process, however it ends.
process.on("exit", () => {
  for (const child of children) signalGroup(child, "SIGKILL");
  for (const folder of folders) {
    endPostgres(folder);
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(130));

/** Ends a PostgreSQL that still serves data of this folder: without its files it would not end by itself. */
function endPostgres(folder) {
  for (const dataDir of ["postgres", "data/postgres"]) {
    try {
      process.kill(
        Number.parseInt(readFileSync(`${folder}/${dataDir}/data/postmaster.pid`, "utf8"), 10),
        "SIGQUIT",
      );
    } catch {
      // None is running.
    }
  }
}

/** Has a folder removed when this process ends. */
export function removeAtExit(folder) {
  folders.add(folder);
}

/**
 * Starts a program on one core (on any with `core: null`); resolves when what it prints matches `ready`.
 *
 * @param {{command?: string, args: string[], env?: Record<string, string>, ready: RegExp, core?: number | null, cwd?: string}} options
 *   `env` is added to a clean environment, so that nothing set in the shell changes what is measured.
 */
export function startServer({ command = process.execPath, args, env = {}, ready, core = SERVER_CORE, cwd }) {
  return new Promise((resolve, reject) => {
    const [file, ...rest] = pinned(command, args, core);
    const child = spawn(file, rest, {
      cwd,
      env: { ...cleanEnv(), ...env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    children.add(child);
    let output = "";
    const late = setTimeout(() => {
      signalGroup(child, "SIGKILL");
      reject(new Error(`not ready within ${START_MS} ms:\n${output.slice(-2_000)}`));
    }, START_MS);
    const read = (chunk) => {
      if (output.length < 100_000) output += chunk;
      const match = ready.exec(output);
      if (!match) return;
      clearTimeout(late);
      resolve({ child, match, pid: child.pid, output: () => output, stop: () => stop(child) });
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("close", () => children.delete(child));
    child.on("exit", (code, signal) => {
      clearTimeout(late);
      reject(new Error(`ended (${code ?? signal}) before it was ready:\n${output.slice(-2_000)}`));
    });
    child.on("error", reject);
  });
}

function pinned(command, args, core) {
  if (!PINNED) return [command, ...args];
  // This process is pinned itself, so "any core" has to be said too.
  const cores = core === null ? `0-${CORES - 1}` : String(core);
  return ["taskset", "-c", cores, command, ...args];
}

function cleanEnv() {
  const { PATH, HOME, LANG, TMPDIR } = process.env;
  return Object.fromEntries(Object.entries({ PATH, HOME, LANG, TMPDIR }).filter(([, value]) => value));
}

/** Ends a program in order, and by force when it does not; resolves when it and what it started are gone. */
function stop(child) {
  return new Promise((resolve) => {
    // The pipes close with the last process that holds them, which `npm start` is not.
    if (child.stdout.closed) return resolve();
    const force = setTimeout(() => signalGroup(child, "SIGKILL"), STOP_MS);
    child.on("close", () => {
      clearTimeout(force);
      resolve();
    });
    signalGroup(child, "SIGTERM");
  });
}

/** Every program started here leads a process group of its own. */
function signalGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It is gone.
  }
}

/** Starts a Node.js module with a message channel, on the core of the load. */
export function startHelper(file, args) {
  const [command, ...rest] = pinned(process.execPath, [file, ...args], LOAD_CORE);
  const stdio = ["ignore", "inherit", "inherit", "ipc"];
  const child = spawn(command, rest, { stdio, env: cleanEnv(), detached: true });
  children.add(child);
  child.on("exit", () => children.delete(child));
  return child;
}

/** CPU time of a process so far, in µs (user and system, all threads). */
export function cpuMicros(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return ((Number(fields[11]) + Number(fields[12])) / TICKS) * 1e6;
}

/** Resident memory of a process in bytes. */
export function residentBytes(pid) {
  const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1] ?? 0) * 1_024;
}

/** How many files and sockets one process may have open. */
export function openFilesLimit() {
  const line = /^Max open files\s+\d+\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8"));
  return line?.[1] === undefined || line[1] === "unlimited" ? Number.POSITIVE_INFINITY : Number(line[1]);
}

/** Keeps this process, and what it starts without a core of its own, on one core. */
export function pinSelf(core) {
  if (!PINNED) return Promise.resolve();
  return new Promise((resolve) =>
    spawn("taskset", ["-acp", String(core), String(process.pid)], { stdio: "ignore" }).on("exit", resolve),
  );
}

/** A free port of the loopback interface. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** Median and spread of numbers. */
export function summary(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1) };
}

/** The value at quantile `q` (0–1) of numbers. */
export function quantile(values, q) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
