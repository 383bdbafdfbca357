import { AppError, ERROR_CATALOGUE } from "../errors.js";
import type { JobError } from "./schema.js";

/** What a failed run means for its job. */
export interface Failure {
  /** For the job's owner: a code of the catalogue and its public sentence. */
  readonly error: JobError;
  /** False when another start would fail as well. */
  readonly passing: boolean;
}

/** How long a job that failed waits for its next start. */
export interface Backoff {
  readonly firstMs: number;
  readonly mostMs: number;
}

/** Classifies what a handler threw. What is not an AppError is ours to explain: its message stays in the log. */
export function failureOf(thrown: unknown): Failure {
  const error = thrown instanceof AppError ? thrown : new AppError("internal_error", { cause: thrown });
  return {
    error: { code: error.code, message: error.detail ?? ERROR_CATALOGUE[error.code].title },
    passing: error.code !== "feature_disabled" && (error.status >= 500 || error.status === 429),
  };
}

/** Delay before the next start after `failures` failed ones: doubled each time, and shifted by up to a quarter. */
export function backoffMs(failures: number, { firstMs, mostMs }: Backoff, random: () => number): number {
  const full = Math.min(firstMs * 2 ** Math.min(failures - 1, 30), mostMs);
  return Math.round(full * (0.75 + random() * 0.5));
}
