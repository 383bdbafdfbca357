import { existsSync, readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { processesUnder } from "../../src/jobs/sandbox/process-tree.js";
import type { RunEvent, RunRequest, RunResult, Sandbox } from "../../src/jobs/sandbox/sandbox.js";

/** A run that ended, with all it said. */
export interface FinishedRun {
  readonly events: readonly RunEvent[];
  readonly result: RunResult;
}

/** A request for a program of one file, or of several with `main.js` first. */
export function javascript(
  files: string | Record<string, string>,
  rest: Partial<RunRequest> = {},
): RunRequest {
  return {
    language: "javascript",
    files: typeof files === "string" ? { "main.js": files } : files,
    entry: "main.js",
    ...rest,
  };
}

/** Runs a program and gathers its events. */
export async function finish(sandbox: Sandbox, request: RunRequest): Promise<FinishedRun> {
  const events: RunEvent[] = [];
  for await (const event of sandbox.run(request)) events.push(event);
  const last = events.at(-1);
  if (last?.type !== "result") throw new Error("The last event is not the result");
  return { events, result: last.result };
}

/** Whether a process still runs; a zombie does not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const status = `/proc/${pid}/status`;
  return !existsSync(status) || !/^State:\s+[ZX]/m.test(readFileSync(status, "utf8"));
}

/** Waits until none of the processes runs, at most 5 s; the ones that do not go are returned. */
export async function waitGone(pids: readonly number[]): Promise<number[]> {
  for (let left = 250; left > 0 && pids.some(isRunning); left--) await wait(20);
  return pids.filter(isRunning);
}

/** Processes below this one that run. */
export function runningChildren(): number[] {
  return processesUnder(process.pid).filter(isRunning);
}
