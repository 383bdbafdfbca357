import { LRUCache } from "lru-cache";
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import type { RateLimiter, RateLimitPolicy } from "./rate-limiter.js";
import { refusal, UNLIMITED, verdict, windowSeconds } from "./verdict.js";

const MAX_KEYS = 100_000;

/** Counts in this process. Bounded: beyond `maxKeys` (100,000) the key unused for longest starts anew. */
export function createMemoryRateLimiter(options: { readonly maxKeys?: number } = {}): RateLimiter {
  const limiters = new Map<string, RateLimiterMemory>();
  const used = new LRUCache<string, { readonly limiter: RateLimiterMemory; readonly key: string }>({
    max: options.maxKeys ?? MAX_KEYS,
    dispose: ({ limiter, key }, _id, reason) => {
      if (reason !== "set") void limiter.delete(key);
    },
  });

  function limiterOf(policy: RateLimitPolicy): RateLimiterMemory {
    const id = `${policy.name} ${policy.limit} ${policy.windowMs}`;
    const known = limiters.get(id);
    if (known) return known;
    const limiter = new RateLimiterMemory({
      keyPrefix: id,
      points: policy.limit,
      duration: windowSeconds(policy),
    });
    limiters.set(id, limiter);
    return limiter;
  }

  return {
    async consume(policy, key, points = 1) {
      if (policy.limit === 0) return UNLIMITED;
      const limiter = limiterOf(policy);
      if (points === 0)
        return verdict(policy, 0, (await limiter.get(key)) ?? new RateLimiterRes(policy.limit, 0, 0));
      used.set(`${limiter.keyPrefix} ${key}`, { limiter, key });
      const result = await limiter.consume(key, points).catch(refusal);
      const answer = verdict(policy, points, result);
      // A refusal takes nothing, but rate-limiter-flexible has counted it.
      if (!answer.allowed) await limiter.reward(key, points);
      return answer;
    },
    async refund(policy, key, points = 1) {
      if (policy.limit === 0) return;
      const limiter = limiterOf(policy);
      if ((await limiter.get(key)) === null) return;
      const { consumedPoints } = await limiter.reward(key, points);
      if (consumedPoints < 0) await limiter.penalty(key, -consumedPoints);
    },
    async close() {
      used.clear();
    },
  };
}
