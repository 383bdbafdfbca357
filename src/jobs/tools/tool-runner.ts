import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { chooseLauncher } from "../sandbox/launcher-choice.js";
import { killTree, processesUnder, residentBytesOf } from "../sandbox/process-tree.js";
import { type Tool, type ToolLauncher, toolLaunchers } from "./tool-launch.js";
import { makeWorkFolder, type ToolInput, type ToolOutput } from "./work-folder.js";

/** What a run of a tool must not go beyond. */
export interface ToolLimits {
  readonly wallMs: number;
  /** Resident memory of the process; watched where there is a /proc. */
  readonly memoryBytes: number;
  /** Of its work folder, inputs included. */
  readonly diskBytes: number;
  readonly inputBytes: number;
}

/** One run of a tool. */
export interface ToolRun {
  readonly tool: Tool;
  /** JSON the tool reads first. */
  readonly request: unknown;
  readonly inputs: readonly ToolInput[];
  readonly limits: ToolLimits;
  readonly signal: AbortSignal;
  progress(percent: number, message: string): void;
}

/** How a run of a tool ended. */
export type ToolOutcome =
  | {
      readonly kind: "result";
      readonly result: unknown;
      /** A file it left in its work folder; only until `use` is over. */
      output(name: string): Promise<ToolOutput | undefined>;
    }
  | { readonly kind: "limit"; readonly limit: "wall_time_limit" | "memory_limit" | "disk_limit" };

/** Runs programs of ours on data of others: each in a process of its own, with an empty environment, fenced where it can be. */
export interface ToolRunner {
  /**
   * Runs a tool and hands its outcome to `use`; what it wrote is gone afterwards. Rejects with the reason of the signal, with
   * `payload_too_large` for its inputs, and with a plain Error when the process died without a word.
   */
  run<R>(run: ToolRun, use: (outcome: ToolOutcome) => Promise<R>): Promise<R>;
  /** How tools are started here, for a log. */
  isolation(): Promise<ToolLauncher["name"]>;
}

const WATCH_MS = 100;
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const MAX_STDERR = 2_000;

/** Runs at most `slots` tools at once; others wait. */
export function createToolRunner({ slots }: { readonly slots: number }): ToolRunner {
  const free = Array.from({ length: slots }, (_none, slot) => slot);
  const waiting: (() => void)[] = [];
  let choice: Promise<ToolLauncher> | undefined;

  function launcher(): Promise<ToolLauncher> {
    choice ??= choose().catch((error: unknown) => {
      choice = undefined;
      throw error;
    });
    return choice;
  }

  async function takeSlot(signal: AbortSignal): Promise<number> {
    for (;;) {
      signal.throwIfAborted();
      const slot = free.shift();
      if (slot !== undefined) return slot;
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  return {
    isolation: async () => (await launcher()).name,
    async run(run, use) {
      const way = await launcher();
      const slot = await takeSlot(run.signal);
      const folder = await makeWorkFolder(way.userOf(slot));
      try {
        await folder.fill(run.inputs, run.limits.inputBytes);
        run.signal.throwIfAborted();
        const child = way.launchTool(slot, run.tool, folder.path);
        const ended = await follow(child, run, way.fenced, () => folder.size());
        run.signal.throwIfAborted();
        return await use(ended.kind === "result" ? { ...ended, output: (name) => folder.read(name) } : ended);
      } finally {
        await folder.remove();
        free.push(slot);
        for (const wake of waiting.splice(0)) wake();
      }
    },
  };
}

async function choose(): Promise<ToolLauncher> {
  const candidates = toolLaunchers();
  const { launcher } = await chooseLauncher(candidates);
  const chosen = candidates.find((candidate) => candidate === launcher);
  if (!chosen) throw new Error("no way to start a tool was found");
  return chosen;
}

type Ended =
  | { readonly kind: "result"; readonly result: unknown }
  | { readonly kind: "limit"; readonly limit: "wall_time_limit" | "memory_limit" | "disk_limit" };

/** Talks with the process until it is gone. */
async function follow(
  child: ChildProcess,
  run: ToolRun,
  reaps: boolean,
  folderSize: () => Promise<number>,
): Promise<Ended> {
  const gone = once(child, "close").then(
    ([code]) => code as number | null,
    () => null,
  );
  let ended: Ended | undefined;
  let stderr = "";
  const kill = () => killTree(child, reaps, gone);
  const stop = (limit: Extract<Ended, { kind: "limit" }>["limit"]) => {
    ended ??= { kind: "limit", limit };
    kill();
  };
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-MAX_STDERR);
  });
  child.stdin?.on("error", () => undefined);
  child.stdin?.write(`${JSON.stringify(run.request)}\n`);
  const timer = setTimeout(() => stop("wall_time_limit"), run.limits.wallMs);
  const watch = setInterval(() => void look(), WATCH_MS);
  run.signal.addEventListener("abort", kill, { once: true });
  if (run.signal.aborted) kill();

  async function look(): Promise<void> {
    if (child.pid === undefined) return;
    const resident = [child.pid, ...processesUnder(child.pid)]
      .map((pid) => residentBytesOf(pid) ?? 0)
      .reduce((sum, bytes) => sum + bytes, 0);
    if (resident > run.limits.memoryBytes) stop("memory_limit");
    else if ((await folderSize()) > run.limits.diskBytes) stop("disk_limit");
  }

  try {
    if (child.stdout) {
      let bytes = 0;
      for await (const line of createInterface({
        input: child.stdout,
        crlfDelay: Number.POSITIVE_INFINITY,
      })) {
        bytes += line.length;
        if (bytes > MAX_MESSAGE_BYTES) kill();
        const message = JSON.parse(line) as Record<string, unknown>;
        if ("result" in message) {
          ended ??= { kind: "result", result: message["result"] };
          // It ends when nobody speaks to it any more.
          child.stdin?.end();
        } else run.progress(Number(message["progress"]), String(message["message"]));
      }
    }
    const code = await gone;
    if (ended) return ended;
    run.signal.throwIfAborted();
    if (/heap out of memory|bad_alloc/.test(stderr)) return { kind: "limit", limit: "memory_limit" };
    throw new Error(`a tool ended without a result (${code ?? "killed"}): ${stderr.trim()}`);
  } finally {
    clearTimeout(timer);
    clearInterval(watch);
    run.signal.removeEventListener("abort", kill);
    kill();
    await gone;
  }
}
