import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findBubblewrap, libraryArguments } from "./bubblewrap.js";
import { type NativeToolchain, NODE_INSIDE, nodeBinary } from "./native-toolchains.js";
import type { Program } from "./program.js";
import { seccompProgram } from "./seccomp.js";

/** A native program that was started. */
export interface NativeProcess {
  readonly child: ChildProcess;
  /** Removes what lies on the disk for it; once it is gone. */
  clean(): Promise<void>;
}

const PRLIMIT = "/usr/bin/prlimit";
// Folders of the system's own programs. Not all of /usr: what people install there may hold secrets.
const SYSTEM_DIRS = ["/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/include"];
const LINKED_DIRS = ["/bin", "/lib", "/lib32", "/lib64"];
const FIRST_USER_ID = 62_000;
// The processes of one that ended may still be counted for a moment: its user rests until all others had their turn.
const USER_IDS = 500;
const PROCESSES = 64;
const OPEN_FILES = 256;
const SEEN_SOURCE = "/source";
const FILTER_DESCRIPTOR = 3;
const ARGUMENTS_DESCRIPTOR = 5;
/** The descriptor on which the script says that the program begins. */
export const BEGIN_DESCRIPTOR = 4;

/** Why no native program can run on this machine, or undefined. */
export function nativeObstacle(): string | undefined {
  if (process.platform !== "linux") return "it needs Linux";
  if (process.getuid?.() !== 0) return "it needs root, to give every program a user of its own";
  if (findBubblewrap() === undefined) return "bubblewrap is not installed";
  if (!existsSync(PRLIMIT)) return "prlimit is not installed";
  return seccompProgram() === undefined ? "the system calls of this processor are not known" : undefined;
}

/** Starts programs, each under a user id of its own. */
export function createNativeLauncher(): (
  toolchain: NativeToolchain,
  program: Program,
) => Promise<NativeProcess> {
  let turn = 0;
  return async (toolchain, program) => {
    const user = FIRST_USER_ID + (turn++ % USER_IDS);
    const folder = await mkdtemp(join(tmpdir(), "atelier-native-"));
    const clean = () => rm(folder, { recursive: true, force: true });
    try {
      await writeSources(folder, program);
      return { child: start(toolchain, program, folder, user), clean };
    } catch (error) {
      await clean();
      throw error;
    }
  };
}

/** Before anything untrusted runs, into a folder that it cannot write. */
async function writeSources(folder: string, { files }: Program): Promise<void> {
  await chmod(folder, 0o755);
  for (const [path, source] of files) {
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true, mode: 0o755 });
    await writeFile(target, source, { flag: "wx", mode: 0o644 });
  }
}

function start(toolchain: NativeToolchain, program: Program, folder: string, user: number): ChildProcess {
  const { limits, args } = program;
  const bubblewrap = findBubblewrap();
  const filter = seccompProgram(process.arch, { processes: true });
  if (bubblewrap === undefined || filter === undefined) throw new Error("Native programs cannot run here");
  const seconds = Math.ceil(limits.cpuMs / 1000) + 1;
  const limitArguments = [
    `--cpu=${seconds}:${seconds + 1}`,
    `--fsize=${limits.diskBytes}`,
    `--nofile=${OPEN_FILES}`,
    "--core=0",
    `--nproc=${PROCESSES}`,
    ...(toolchain.limitsAddressSpace ? [`--as=${limits.memoryBytes}`] : []),
  ];
  const script = `cp -r ${SEEN_SOURCE}/. . || exit 1
compiled() { echo >&${BEGIN_DESCRIPTOR}; exec ${BEGIN_DESCRIPTOR}>&-; }
${toolchain.script(program)}`;
  const child = spawn(
    PRLIMIT,
    [
      ...limitArguments,
      bubblewrap,
      // Not on its command line, which its programs can read: they name folders of this machine.
      "--args",
      String(ARGUMENTS_DESCRIPTOR),
      "--",
      "/bin/sh",
      "-c",
      script,
      "sh",
      ...args,
    ],
    {
      uid: user,
      gid: user,
      cwd: "/",
      // It is bubblewrap's own, which its programs can read.
      env: {},
      detached: true,
      stdio: ["pipe", "pipe", "pipe", "pipe", "pipe", "pipe"],
    },
  );
  send(child, FILTER_DESCRIPTOR, filter);
  send(
    child,
    ARGUMENTS_DESCRIPTOR,
    fence(folder, limits.diskBytes)
      .map((argument) => `${argument}\0`)
      .join(""),
  );
  return child;
}

function send(child: ChildProcess, descriptor: number, data: Buffer | string): void {
  const pipe = child.stdio[descriptor];
  if (!pipe || !("end" in pipe)) return;
  pipe.on("error", () => undefined);
  pipe.end(data);
}

function fence(folder: string, diskBytes: number): string[] {
  const disk = String(diskBytes);
  return [
    "--unshare-user --unshare-all --disable-userns --die-with-parent --new-session --cap-drop ALL".split(" "),
    "--uid 65534 --gid 65534 --hostname sandbox --clearenv".split(" "),
    SYSTEM_DIRS.flatMap((dir) => ["--ro-bind-try", dir, dir]),
    LINKED_DIRS.flatMap(libraryArguments),
    "--ro-bind-try /etc/alternatives /etc/alternatives --ro-bind-try /etc/ld.so.cache /etc/ld.so.cache".split(
      " ",
    ),
    ["--ro-bind", nodeBinary(), NODE_INSIDE],
    "--proc /proc --dev /dev --size 8388608 --tmpfs /dev/shm".split(" "),
    ["--size", disk, "--tmpfs", "/tmp", "--size", disk, "--tmpfs", "/work"],
    ["--ro-bind", folder, SEEN_SOURCE, "--chdir", "/work"],
    "--setenv PATH /usr/bin:/bin --setenv HOME /work --setenv LANG C.UTF-8 --remount-ro /".split(" "),
    ["--seccomp", String(FILTER_DESCRIPTOR)],
  ].flat();
}
