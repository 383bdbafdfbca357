import type { ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const REAP_GRACE_MS = 500;

/** The processes that a process started, theirs after them; none where there is no /proc. */
export function processesUnder(pid: number): number[] {
  const found = childrenOf(pid);
  for (const child of found) found.push(...childrenOf(child));
  return found;
}

/**
 * SIGKILL for a child process, which leads a group, and for all below it. One that reaps its own children (bubblewrap) is
 * left to do so and to go by itself, or process 1 would have to deal with them.
 */
export function killTree(child: ChildProcess, reaps: boolean, exited: Promise<unknown>): void {
  if (child.pid === undefined) return;
  const outer = child.pid;
  const inner = processesUnder(outer);
  inner.forEach(killGroup);
  if (!reaps || inner.length === 0) return killGroup(outer);
  const timer = setTimeout(() => killGroup(outer), REAP_GRACE_MS);
  void exited.then(() => clearTimeout(timer));
}

function killGroup(pid: number): void {
  for (const target of process.platform === "win32" ? [pid] : [-pid, pid]) {
    try {
      process.kill(target, "SIGKILL");
    } catch {
      // It leads no group, or is gone already.
    }
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

/** Resident memory of a process, by /proc. */
export function residentBytesOf(pid: number): number | undefined {
  try {
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined;
  }
}

// The unit of times in /proc, the same on every Linux that Node runs on.
const TICK_MS = 10;

/** Processor time (of ended children, too) and resident memory of processes together, by /proc. */
export function spentBy(pids: readonly number[]): { cpuMs: number; residentBytes: number } {
  let ticks = 0;
  let residentBytes = 0;
  for (const pid of pids) {
    residentBytes += residentBytesOf(pid) ?? 0;
    try {
      const text = readFileSync(`/proc/${pid}/stat`, "latin1");
      // The name, in parentheses, may hold anything; user and system time are the 14th to 17th field.
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      ticks += fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    } catch {
      // It has just ended.
    }
  }
  return { cpuMs: ticks * TICK_MS, residentBytes };
}
