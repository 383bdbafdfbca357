import { RateLimiterRes } from "rate-limiter-flexible";
import type { RateLimitPolicy, RateLimitVerdict } from "./rate-limiter.js";

/** What a switched-off policy answers. */
export const UNLIMITED: RateLimitVerdict = { allowed: true, limit: 0, remaining: 0, resetMs: 0 };

/** Window of a policy in seconds, as rate-limiter-flexible wants it. */
export function windowSeconds(policy: RateLimitPolicy): number {
  return Math.max(policy.windowMs, 1_000) / 1_000;
}

/** Turns a refusal, which rate-limiter-flexible throws, into its result; anything else is an error. */
export function refusal(thrown: unknown): RateLimiterRes {
  if (thrown instanceof RateLimiterRes) return thrown;
  throw thrown;
}

/** The verdict on `points` that brought the counter to `result.consumedPoints`, or would have. */
export function verdict(policy: RateLimitPolicy, points: number, result: RateLimiterRes): RateLimitVerdict {
  const fits = result.consumedPoints <= policy.limit;
  const used = fits ? result.consumedPoints : result.consumedPoints - points;
  const remaining = Math.max(0, policy.limit - used);
  return {
    allowed: points === 0 ? remaining > 0 : fits,
    limit: policy.limit,
    remaining,
    resetMs: used > 0 ? Math.max(0, result.msBeforeNext) : 0,
  };
}
