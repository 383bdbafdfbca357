import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Api, createApi } from "./api.js";

/** A node in a process of its own, as an operator runs it. */
export interface ChildNode {
  readonly pid: number;
  readonly httpUrl: string;
  readonly api: Api;
  /** What it has written so far, to both outputs. */
  output(): string;
  /** Resolves when `output` matches; rejects when the process ends before that. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
  kill(signal: NodeJS.Signals): void;
  /** How the process ended. */
  readonly ended: Promise<ChildEnd>;
  /** Ends it, with SIGKILL when it is still there, and removes its folder. */
  close(): Promise<void>;
}

/** Exit code, or the signal that ended the process. */
export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that may never become ready. */
export interface ChildRun {
  output(): string;
  says(pattern: RegExp): Promise<RegExpExecArray>;
  readonly process: ChildProcess;
  readonly ended: Promise<ChildEnd>;
}

export const ROOT = path.join(import.meta.dirname, "..", "..");
const LOADER = ["--import", path.join(ROOT, "test/kit/typescript-loader.mjs")];

/** Arguments of `node` that run the sources as they are now, without a build. */
export const FROM_SOURCE: readonly string[] = [...LOADER, path.join(ROOT, "src/main.ts")];
/** Arguments of `node` that do what `npm start` does. */
export const AS_STARTED: readonly string[] = [path.join(ROOT, "scripts/start.mjs")];

/** Runs `node` with these arguments, an empty environment but for `env`, in the folder `cwd`. */
export function run(args: readonly string[], env: Record<string, string>, cwd: string): ChildRun {
  const { PATH = "", HOME = "", USER = "", LANG = "" } = process.env;
  const child = spawn(process.execPath, [...args], {
    cwd,
    env: { PATH, HOME, USER, LANG, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let written = "";
  const listeners = new Set<() => void>();
  const wake = () => {
    for (const listener of listeners) listener();
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      written += text;
      wake();
    });
  }
  const killAtExit = () => void child.kill("SIGKILL");
  process.on("exit", killAtExit);
  const ended = new Promise<ChildEnd>((resolve) => {
    child.once("close", (code, signal) => {
      process.off("exit", killAtExit);
      resolve({ code, signal });
      wake();
    });
  });
  return {
    process: child,
    ended,
    output: () => written,
    says: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = pattern.exec(written);
          if (found) resolve(found);
          else if (child.exitCode !== null || child.signalCode !== null)
            reject(new Error(`the process ended and did not say ${pattern}:\n${written}`));
          else return;
          listeners.delete(look);
        };
        listeners.add(look);
        look();
      }),
  };
}

/** Starts a node and waits until it is ready. Its folder is `DATA_DIR`; given ones are left as they are. */
export async function startChildNode(options: {
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
  readonly dataDir?: string;
}): Promise<ChildNode> {
  const folder = options.dataDir ?? mkdtempSync(path.join(tmpdir(), "atelier-child-"));
  const child = run(
    options.args ?? FROM_SOURCE,
    {
      PORT: "0",
      WS_PORT: "0",
      HOST: "127.0.0.1",
      DATA_DIR: folder,
      LOG_DIR: path.join(folder, "logs"),
      ...options.env,
    },
    folder,
  );
  const [, httpUrl = ""] = await child.says(/is ready\.[\s\S]*?API\s+(http:\/\/\S+?)\/api\/v1\s/);
  return {
    pid: child.process.pid ?? 0,
    httpUrl,
    api: createApi(`${httpUrl}/api/v1`),
    output: child.output,
    says: child.says,
    ended: child.ended,
    kill: (signal) => void child.process.kill(signal),
    async close() {
      child.process.kill("SIGKILL");
      await child.ended;
      if (options.dataDir === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}
