import type { RunLimits } from "./sandbox.js";

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;

/** What a run gets when it asks for nothing, the least and the most it may ask for. */
export interface LimitRange {
  readonly default: RunLimits;
  readonly minimum: RunLimits;
  readonly maximum: RunLimits;
}

const DISK = { default: 16 * MEBIBYTE, minimum: 4096, maximum: 64 * MEBIBYTE };

/** Limits of a language, by its memory in MiB. */
export function languageLimits(memory: { default: number; minimum: number; maximum: number }): LimitRange {
  const bytes = (name: keyof typeof memory) => ({
    memoryBytes: memory[name] * MEBIBYTE,
    diskBytes: DISK[name],
  });
  return {
    default: { cpuMs: 2000, wallMs: 5000, outputBytes: 256 * KIBIBYTE, ...bytes("default") },
    minimum: { cpuMs: 1, wallMs: 1, outputBytes: 1, ...bytes("minimum") },
    maximum: { cpuMs: 10_000, wallMs: 30_000, outputBytes: MEBIBYTE, ...bytes("maximum") },
  };
}

/** Limits of the languages that run on this machine's own processor. */
export const NATIVE_LIMITS: LimitRange = languageLimits({ default: 512, minimum: 64, maximum: 1024 });

/** The least and the most that any language takes. */
export const LIMIT_BOUNDS = {
  minimum: languageLimits({ default: 4, minimum: 4, maximum: 1024 }).minimum,
  maximum: languageLimits({ default: 4, minimum: 4, maximum: 1024 }).maximum,
} as const;

/** Bounds of what a request may carry; bytes are UTF-8. */
export const REQUEST_LIMITS = {
  files: 256,
  pathLength: 200,
  sourceBytes: 256 * KIBIBYTE,
  stdinBytes: 256 * KIBIBYTE,
  args: 64,
  argBytes: 16 * KIBIBYTE,
} as const;
