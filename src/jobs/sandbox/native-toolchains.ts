import { spawnSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import type { NativeToolchainName } from "./languages.js";
import type { Program } from "./program.js";

/** A compiler or interpreter of this machine that runs programs of a native language. */
export interface NativeToolchain {
  readonly id: string;
  /** Files that must be there. */
  readonly needs: readonly string[];
  /** What to ask for its version. */
  readonly versionOf: readonly string[];
  /**
   * Lines of a shell in the program's folder. A compiler is followed by `compiled`; the last line runs the program with
   * the shell's own arguments.
   */
  script(program: Program): string;
  /** Whether the address space may be limited; V8 reserves far more than it uses. */
  readonly limitsAddressSpace: boolean;
}

/** Where Node is seen inside: it may lie anywhere outside. */
export const NODE_INSIDE = "/runtime/node";
const MEBIBYTE = 1024 * 1024;

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** The toolchains by the name a language gives for its own. */
export const NATIVE_TOOLCHAINS = {
  python: {
    id: "cpython",
    needs: ["/usr/bin/python3"],
    versionOf: ["/usr/bin/python3", "--version"],
    script: ({ entry }) => `compiled; exec /usr/bin/python3 -B -X utf8 -u -- ${quote(entry)} "$@"`,
    limitsAddressSpace: true,
  },
  node: {
    id: "node",
    needs: [process.execPath],
    versionOf: [process.execPath, "--version"],
    script: ({ entry, limits }) =>
      `compiled; exec ${NODE_INSIDE} --no-warnings --max-old-space-size=${Math.floor(limits.memoryBytes / MEBIBYTE)} ${quote(`./${entry}`)} "$@"`,
    limitsAddressSpace: false,
  },
  c: {
    id: "gcc",
    needs: ["/usr/bin/gcc"],
    versionOf: ["/usr/bin/gcc", "-dumpfullversion"],
    script: (program) =>
      `gcc -std=gnu17 -O1 -pipe -Wall -o /tmp/program ${sourcesOf(program)} -lm && compiled || exit 1
ulimit -v ${Math.ceil(program.limits.memoryBytes / 1024)}; exec /tmp/program "$@"`,
    limitsAddressSpace: false,
  },
} as const satisfies Readonly<Record<NativeToolchainName, NativeToolchain>>;

function sourcesOf({ files, entry }: Program): string {
  const others = files.map(([path]) => path).filter((path) => path.endsWith(".c") && path !== entry);
  return [entry, ...others].map((path) => quote(`./${path}`)).join(" ");
}

/** The version of a toolchain; throws the reason when it is not there. */
export function toolchainVersion({ needs, versionOf: [command = "", ...args] }: NativeToolchain): string {
  const missing = needs.find((path) => !existsSync(path));
  if (missing !== undefined) throw new Error(`${missing} is not there`);
  const { stdout } = spawnSync(command, args, { env: {}, encoding: "utf8", timeout: 10_000 });
  const version = /\d+(?:\.\d+)+/.exec(stdout ?? "")?.[0];
  if (version === undefined) throw new Error(`${command} does not tell its version`);
  return version;
}

/** The node of this process, whatever link started it. */
export function nodeBinary(): string {
  return realpathSync(process.execPath);
}
