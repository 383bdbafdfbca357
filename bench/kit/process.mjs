import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

const TICKS = 100;

/** Starts a server on one core; resolves with it when a line of its output matches `ready`. */
export function startServer({ command = process.execPath, args, env = {}, ready, core = 0, cwd }) {
  return new Promise((resolve, reject) => {
    const pinned =
      process.platform === "linux" ? ["taskset", ["-c", String(core), command, ...args]] : [command, args];
    const child = spawn(pinned[0], pinned[1], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const read = (chunk) => {
      output += chunk;
      const match = ready.exec(output);
      if (match) resolve({ child, match, pid: child.pid, stop: () => stop(child) });
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("exit", (code) =>
      reject(new Error(`the server ended (${code}) before it was ready:\n${output.slice(-2_000)}`)),
    );
    child.on("error", reject);
  });
}

function stop(child) {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve();
    child.on("exit", () => resolve());
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), 15_000).unref();
  });
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

/** Keeps this process on one core. */
export function pinSelf(core) {
  if (process.platform !== "linux") return Promise.resolve();
  return new Promise((resolve) =>
    spawn("taskset", ["-cp", String(core), String(process.pid)], { stdio: "ignore" }).on("exit", resolve),
  );
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
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
