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
