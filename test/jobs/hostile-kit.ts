import type { RunRequest, RunStatus } from "../../src/jobs/sandbox/sandbox.js";

/** A program that means harm, in any language, and how it must end. `{{PORT}}` and `{{SECRET}}` are put in by the test. */
export interface HostileProgram {
  readonly language: string;
  readonly name: string;
  readonly code: string | Record<string, string>;
  readonly status: RunStatus | readonly RunStatus[];
  readonly stdout?: string;
  readonly limits?: RunRequest["limits"];
}

/** One row of a list. */
export type Row = readonly [
  name: string,
  status: HostileProgram["status"],
  code: HostileProgram["code"],
  more?: { readonly stdout?: string; readonly limits?: RunRequest["limits"] },
];

/** Bytes. */
export const MEBIBYTE = 1024 * 1024;
/** Little time. */
export const CPU = { limits: { cpuMs: 150 } };
/** Little memory. */
export const MEMORY = { limits: { memoryBytes: 64 * MEBIBYTE, cpuMs: 10_000 } };
/** Little disk. */
export const DISK = { limits: { diskBytes: MEBIBYTE, cpuMs: 10_000 } };
/** What ends badly in one of several ways, none of which may harm anyone else. */
export const ANY_END: readonly RunStatus[] = [
  "ok",
  "runtime_error",
  "nonzero_exit",
  "compile_error",
  "cpu_time_limit",
  "wall_time_limit",
  "memory_limit",
];
/** Refused while it ran. */
export const REFUSED: readonly RunStatus[] = ["runtime_error", "nonzero_exit"];

/** The programs of a list. */
export const rows = (language: string, programs: readonly Row[]): HostileProgram[] =>
  programs.map(([name, status, code, more = {}]) => ({ language, name, status, code, ...more }));
