import type { Config } from "./config.js";
import type { HttpPolicies } from "./http/rate-limit.js";
import type { RateLimitPolicy } from "./platform/rate-limit/rate-limiter.js";

/** The limits the HTTP layer and the sockets apply; features have their own besides. */
export interface Policies {
  readonly http: HttpPolicies;
  /** Socket upgrades per address and minute. */
  readonly socketConnects: RateLimitPolicy;
}

/** Policies from the configuration; `GET /limits` shows them. */
export function createPolicies(config: Config): Policies {
  const windowMs = config.RATE_LIMIT_WINDOW_MS;
  return {
    http: {
      anonymous: { name: "anonymous", limit: config.RATE_LIMIT_MAX, windowMs },
      user: { name: "user", limit: config.RATE_LIMIT_USER_MAX, windowMs },
      write: { name: "write", limit: config.RATE_LIMIT_WRITE_MAX, windowMs },
      signIn: { name: "sign-in", limit: config.AUTH_RATE_LIMIT_MAX, windowMs },
      mode: config.RATE_LIMIT_MODE,
    },
    socketConnects: { name: "ws-connect", limit: config.WS_CONNECTS_PER_MINUTE, windowMs: 60_000 },
  };
}
