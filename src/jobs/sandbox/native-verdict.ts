import type { HostOutcome } from "./engine-host.js";
import type { Program } from "./program.js";

/** How a native program ended, as seen from outside. */
export interface NativeEnding {
  readonly code: number | null;
  /** The limit at which it was ended, or `cancelled`. */
  readonly verdict: HostOutcome["status"] | undefined;
  /** Whether its compiler, if it has one, was done. */
  readonly begun: boolean;
  /** The last that it said on standard error. */
  readonly tail: string;
  readonly program: Program;
}

type Verdict = Pick<HostOutcome, "status" | "exitCode" | "signal" | "error">;

// What a shell and bubblewrap add to the number of the signal that ended a program.
const SIGNAL_OFFSET = 128;
const SIGNALS: Readonly<Record<number, string>> = {
  4: "SIGILL",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  9: "SIGKILL",
  11: "SIGSEGV",
  13: "SIGPIPE",
  15: "SIGTERM",
  24: "SIGXCPU",
  25: "SIGXFSZ",
  31: "SIGSYS",
};
const OUT_OF_MEMORY = ["MemoryError", "heap out of memory", "Cannot allocate memory"];
const DISK_FULL = ["No space left on device", "File too large", "ENOSPC", "EFBIG"];

/** The status of a native program that has ended. What it printed is searched for fixed words only. */
export function nativeVerdict({ code, verdict, begun, tail, program }: NativeEnding): Verdict {
  if (verdict !== undefined) return { status: verdict, exitCode: null, signal: "SIGKILL" };
  const exitCode = code ?? 1;
  if (exitCode === 0) return { status: "ok", exitCode, signal: null };
  if (!begun) {
    const message = "The compiler refused the program; its words are on standard error";
    return {
      status: "compile_error",
      exitCode: 1,
      signal: null,
      error: { kind: "CompileError", message, ...placeIn(tail, program) },
    };
  }
  const says = (words: readonly string[]) => words.some((word) => tail.includes(word));
  const signal = SIGNALS[exitCode - SIGNAL_OFFSET] ?? null;
  if (signal === "SIGXCPU") return { status: "cpu_time_limit", exitCode: null, signal };
  if (signal === "SIGXFSZ" || says(DISK_FULL)) return { status: "disk_limit", exitCode, signal };
  if (says(OUT_OF_MEMORY)) return { status: "memory_limit", exitCode: null, signal };
  if (signal === null) return { status: "nonzero_exit", exitCode, signal };
  return {
    status: "runtime_error",
    exitCode,
    signal,
    error: { kind: signal, message: `The program was ended by ${signal}` },
  };
}

/** The first place of the program that the compiler names, as `./file:line:column: error`. */
function placeIn(tail: string, { files }: Program): { file?: string; line?: number; column?: number } {
  for (const text of tail.split("\n")) {
    const [file = "", line, column, rest = ""] = text.replace(/^\.\//, "").split(":");
    if (rest.endsWith("error") && files.some(([path]) => path === file))
      return { file, line: Number(line) || 1, column: Number(column) || 1 };
  }
  return {};
}
