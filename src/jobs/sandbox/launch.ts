import type { ChildProcess, SpawnOptions } from "node:child_process";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { bubblewrapArguments, findBubblewrap } from "./bubblewrap.js";
import type { EngineFiles } from "./engine-packages.js";
import { seccompProgram } from "./seccomp.js";

/** One way to start a process of the sandbox. */
export interface Launcher {
  readonly name: "bubblewrap-user" | "bubblewrap" | "user" | "plain";
  /** Whether the operating system holds the process, too. */
  readonly fenced: boolean;
  /** Starts a script of the host folder. Slots have a user id of their own where the launcher can set one. */
  launch(slot: number, script: string, argument: string): ChildProcess;
}

const FIRST_USER_ID = 61_000;
const MOST_HEAP_MB = 256;

/** The launchers this process may try, the strongest first. */
export function launchers(files: EngineFiles): readonly Launcher[] {
  const posix = process.platform !== "win32";
  const root = process.getuid?.() === 0;
  const ways: { name: Launcher["name"]; fenced: boolean; ownUser: boolean }[] = [];
  const bubblewrap = findBubblewrap();
  if (bubblewrap !== undefined) {
    if (root) ways.push({ name: "bubblewrap-user", fenced: true, ownUser: true });
    ways.push({ name: "bubblewrap", fenced: true, ownUser: false });
  }
  if (root) ways.push({ name: "user", fenced: false, ownUser: true });
  ways.push({ name: "plain", fenced: false, ownUser: false });

  return ways.map(({ name, fenced, ownUser }) => ({
    name,
    fenced,
    launch(slot, script, argument) {
      const user = ownUser ? { uid: FIRST_USER_ID + slot, gid: FIRST_USER_ID + slot } : {};
      const options: SpawnOptions = {
        ...user,
        cwd: fenced ? "/" : files.hostDir,
        env: emptyEnvironment(),
        // A session of its own: Ctrl-C in the terminal of the server is for the server.
        detached: posix,
        windowsHide: true,
      };
      const node = [...nodeFlags(files), join(files.hostDir, script), argument];
      if (!fenced || bubblewrap === undefined)
        return spawn(process.execPath, node, { ...options, stdio: ["pipe", "pipe", "pipe"] });
      const filter = seccompProgram();
      const child = spawn(
        bubblewrap,
        bubblewrapArguments(files, node, filter === undefined ? undefined : 3),
        {
          ...options,
          stdio: ["pipe", "pipe", "pipe", "pipe"],
        },
      );
      const filterPipe = child.stdio[3];
      if (filterPipe && "end" in filterPipe) {
        filterPipe.on("error", () => undefined);
        filterPipe.end(filter ?? "");
      }
      return child;
    },
  }));
}

/** Node's permission model is a second fence, never the wall; versions without it do without. */
function nodeFlags(files: EngineFiles): string[] {
  const permission = ["--permission", "--experimental-permission"].find((flag) =>
    process.allowedNodeEnvironmentFlags.has(flag),
  );
  const readable = [files.hostDir, ...files.packageDirs].map((dir) => `--allow-fs-read=${join(dir, "*")}`);
  return [
    "--no-warnings",
    ...(permission === undefined ? [] : [permission, "--allow-worker", ...readable]),
    "--disallow-code-generation-from-strings",
    "--no-addons",
    `--max-old-space-size=${MOST_HEAP_MB}`,
  ];
}

/** Windows finds its own libraries by the one variable. */
function emptyEnvironment(): NodeJS.ProcessEnv {
  const { SystemRoot } = process.env;
  return process.platform === "win32" && SystemRoot !== undefined ? { SystemRoot } : {};
}
