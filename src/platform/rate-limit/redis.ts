import { RateLimiterRedis, type RateLimiterRes } from "rate-limiter-flexible";
import type { RedisConnections } from "../redis/redis.js";
import { createMemoryRateLimiter } from "./memory.js";
import type { RateLimiter, RateLimitPolicy } from "./rate-limiter.js";
import { refusal, UNLIMITED, verdict, windowSeconds } from "./verdict.js";

/**
 * Replaces the counting script of rate-limiter-flexible: a refused call takes nothing, a refund never goes below zero,
 * and the window is exact to the millisecond. ARGV: points, whole seconds (unused), limit, seconds.
 */
const COUNT = `
local points, limit = tonumber(ARGV[1]), tonumber(ARGV[3])
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local ttl = redis.call('PTTL', KEYS[1])
if ttl <= 0 then
  used = 0
  ttl = math.ceil(tonumber(ARGV[4]) * 1000)
end
local after = math.max(used + points, 0)
if points == 0 or (points > 0 and after > limit) or after == used then
  return {after, ttl}
end
redis.call('SET', KEYS[1], after, 'PX', ttl)
return {after, ttl}
`;

/**
 * One count per policy and key over all nodes, on Redis. While Redis is away this process counts alone, so a limit is
 * then one per node. `close` leaves the connections to their owner.
 */
export function createRedisRateLimiter(options: { readonly redis: RedisConnections }): RateLimiter {
  const { redis } = options;
  const insurance = createMemoryRateLimiter();
  const limiters = new Map<string, RateLimiterRedis>();

  function limiterOf(policy: RateLimitPolicy): RateLimiterRedis {
    const id = `${policy.name} ${policy.limit} ${policy.windowMs}`;
    const known = limiters.get(id);
    if (known) return known;
    const limiter = new RateLimiterRedis({
      storeClient: redis.commands.client,
      keyPrefix: redis.key(`rate:${policy.name}`),
      points: policy.limit,
      duration: windowSeconds(policy),
      customIncrTtlLuaScript: COUNT,
    });
    limiters.set(id, limiter);
    return limiter;
  }
  function count(policy: RateLimitPolicy, key: string, points: number): Promise<RateLimiterRes> {
    const limiter = limiterOf(policy);
    return redis.commands.run(() => limiter.consume(key, points).catch(refusal));
  }

  return {
    async consume(policy, key, points = 1) {
      if (policy.limit === 0) return UNLIMITED;
      let result: RateLimiterRes;
      try {
        result = await count(policy, key, points);
      } catch {
        return insurance.consume(policy, key, points);
      }
      return verdict(policy, points, result);
    },
    async refund(policy, key, points = 1) {
      if (policy.limit === 0) return;
      try {
        await count(policy, key, -points);
      } catch {
        await insurance.refund(policy, key, points);
      }
    },
    async close() {
      await insurance.close();
    },
  };
}
