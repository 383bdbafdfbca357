import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bubblewrapArguments, findBubblewrap } from "../sandbox/bubblewrap.js";
import type { Launcher } from "../sandbox/launch.js";
import { seccompProgram } from "../sandbox/seccomp.js";
import { packageFolders } from "./tool-packages.js";

/** One way to start a tool. */
export interface ToolLauncher extends Launcher {
  /** The user a slot's work folder has to belong to; undefined: the one of this process. */
  userOf(slot: number): number | undefined;
  /** Starts a tool that may read and write its work folder, which is its current one, and nothing else of this machine. */
  launchTool(slot: number, tool: Tool, workFolder: string): ChildProcess;
}

/** A program of the folder `host` and the packages it needs. */
export interface Tool {
  readonly script: string;
  readonly packages: readonly string[];
  /** Whether one of the packages is native code. */
  readonly addons: boolean;
  /** Bytes of JavaScript objects. */
  readonly heapBytes: number;
}

const HOST = join(dirname(fileURLToPath(import.meta.url)), "host");
/** Where the probe of the sandbox lies: the fence around a tool is tried by the same program. */
const PROBE_HOST = join(dirname(fileURLToPath(import.meta.url)), "../sandbox/host");
/** Users of tools; those of the sandbox come before them. */
const FIRST_USER_ID = 61_500;
/** Where a fenced tool sees its work folder. */
const WORK = "/work";

/** The launchers this process may try, the strongest first. */
export function toolLaunchers(): readonly ToolLauncher[] {
  const root = process.getuid?.() === 0;
  const bubblewrap = findBubblewrap();
  const ways: { name: Launcher["name"]; fence: string | undefined; ownUser: boolean }[] = [];
  if (bubblewrap !== undefined) {
    if (root) ways.push({ name: "bubblewrap-user", fence: bubblewrap, ownUser: true });
    ways.push({ name: "bubblewrap", fence: bubblewrap, ownUser: false });
  }
  if (root) ways.push({ name: "user", fence: undefined, ownUser: true });
  ways.push({ name: "plain", fence: undefined, ownUser: false });

  return ways.map(({ name, fence, ownUser }): ToolLauncher => {
    const userOf = (slot: number) => (ownUser ? FIRST_USER_ID + slot : undefined);
    const start = (slot: number, run: StartOptions) => {
      const user = userOf(slot);
      return startProcess(fence, user === undefined ? {} : { uid: user, gid: user }, run);
    };
    return {
      name,
      fenced: fence !== undefined,
      userOf,
      launch: (slot, script, argument) =>
        start(slot, { folder: PROBE_HOST, packages: [], flags: [], script, arguments: [argument] }),
      launchTool: (slot, tool, workFolder) =>
        start(slot, {
          folder: HOST,
          packages: tool.packages.flatMap(packageFolders),
          flags: [
            `--max-old-space-size=${Math.floor(tool.heapBytes / 1024 ** 2)}`,
            ...(tool.addons ? ["--allow-addons"] : ["--no-addons"]),
          ],
          script: tool.script,
          arguments: [],
          workFolder,
        }),
    };
  });
}

interface StartOptions {
  readonly folder: string;
  readonly packages: readonly string[];
  readonly flags: readonly string[];
  readonly script: string;
  readonly arguments: readonly string[];
  readonly workFolder?: string;
}

function startProcess(fence: string | undefined, user: SpawnOptions, run: StartOptions): ChildProcess {
  const options: SpawnOptions = {
    ...user,
    cwd: fence === undefined ? (run.workFolder ?? run.folder) : "/",
    env: emptyEnvironment(),
    // A session of its own: Ctrl-C in the terminal of the server is for the server.
    detached: process.platform !== "win32",
    windowsHide: true,
  };
  const seen = run.workFolder && fence !== undefined ? WORK : run.workFolder;
  const node = [...nodeFlags(run, seen), join(run.folder, run.script), ...run.arguments];
  if (fence === undefined)
    return spawn(process.execPath, node, { ...options, stdio: ["pipe", "pipe", "pipe"] });
  const filter = seccompProgram();
  const files = { hostDir: run.folder, packages: {}, packageDirs: run.packages };
  const work = run.workFolder === undefined ? undefined : { outside: run.workFolder, inside: WORK };
  const bubblewrap = bubblewrapArguments(files, node, filter === undefined ? undefined : 3, work);
  const child = spawn(fence, bubblewrap, { ...options, stdio: ["pipe", "pipe", "pipe", "pipe"] });
  const filterPipe = child.stdio[3];
  if (filterPipe && "end" in filterPipe) {
    filterPipe.on("error", () => undefined);
    filterPipe.end(filter ?? "");
  }
  return child;
}

/** Node's permission model is a second fence, never the wall: native code does not ask it. */
function nodeFlags(run: StartOptions, workFolder: string | undefined): string[] {
  const permission = ["--permission", "--experimental-permission"].find((flag) =>
    process.allowedNodeEnvironmentFlags.has(flag),
  );
  const readable = [run.folder, ...run.packages].map((folder) => `--allow-fs-read=${join(folder, "*")}`);
  const own =
    workFolder === undefined ? [] : [`--allow-fs-read=${workFolder}/*`, `--allow-fs-write=${workFolder}/*`];
  const flags = run.flags.filter((flag) => permission !== undefined || flag !== "--allow-addons");
  return ["--no-warnings", ...(permission === undefined ? [] : [permission, ...readable, ...own]), ...flags];
}

/** Windows finds its own libraries by the one variable. */
function emptyEnvironment(): NodeJS.ProcessEnv {
  const { SystemRoot } = process.env;
  return process.platform === "win32" && SystemRoot !== undefined ? { SystemRoot } : {};
}
