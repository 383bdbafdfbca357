import type { RunLimits } from "./sandbox.js";

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;

/** What a run gets when it asks for nothing, the least and the most it may ask for. */
export interface LimitRange {
  readonly default: RunLimits;
  readonly minimum: RunLimits;
  readonly maximum: RunLimits;
}

/** Limits of the languages that run in WebAssembly. */
export const WASM_LIMITS: LimitRange = {
  default: { cpuMs: 2000, wallMs: 5000, memoryBytes: 64 * MEBIBYTE, outputBytes: 256 * KIBIBYTE },
  minimum: { cpuMs: 1, wallMs: 1, memoryBytes: 4 * MEBIBYTE, outputBytes: 1 },
  maximum: { cpuMs: 10_000, wallMs: 30_000, memoryBytes: 1024 * MEBIBYTE, outputBytes: MEBIBYTE },
};

/** Bounds of what a request may carry; bytes are UTF-8. */
export const REQUEST_LIMITS = {
  files: 256,
  pathLength: 200,
  sourceBytes: 256 * KIBIBYTE,
  stdinBytes: 256 * KIBIBYTE,
  args: 64,
  argBytes: 16 * KIBIBYTE,
} as const;
