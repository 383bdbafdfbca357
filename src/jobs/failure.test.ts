import { expect, it } from "@jest/globals";
import { AppError } from "../errors.js";
import { backoffMs, failureOf } from "./failure.js";

it("[JOB22] doubles the delay between attempts up to a most, give or take a quarter", () => {
  const backoff = { firstMs: 1_000, mostMs: 60_000 };
  const middle = [1, 2, 3, 4, 5, 6, 7, 50].map((failures) => backoffMs(failures, backoff, () => 0.5));
  expect(middle).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  expect(backoffMs(2, backoff, () => 0)).toBe(1_500);
  expect(backoffMs(2, backoff, () => 1)).toBe(2_500);
});

it.each([
  ["dependency_unavailable", true],
  ["overloaded", true],
  ["internal_error", true],
  ["rate_limited", true],
  ["feature_disabled", false],
  ["unsupported_language", false],
  ["validation_failed", false],
  ["not_found", false],
] as const)("[JOB24] takes %s for a reason that passes: %s", (code, passing) => {
  expect(failureOf(new AppError(code, { detail: "Why." }))).toEqual({
    error: { code, message: "Why." },
    passing,
  });
});
