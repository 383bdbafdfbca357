/** A named limit: `limit` points per `windowMs` for one key. A limit of 0 switches the policy off. */
export interface RateLimitPolicy {
  readonly name: string;
  readonly limit: number;
  readonly windowMs: number;
}

/** The answer to one `consume`. */
export interface RateLimitVerdict {
  readonly allowed: boolean;
  readonly limit: number;
  /** Points left in the window; never below 0. */
  readonly remaining: number;
  /** Milliseconds until the window is full again. */
  readonly resetMs: number;
}

/**
 * Counts points per policy and key over all nodes. When the shared store is away it counts in this process instead
 * (never unlimited, never an error).
 */
export interface RateLimiter {
  /** Takes `points` (default 1; 0 only looks). */
  consume(policy: RateLimitPolicy, key: string, points?: number): Promise<RateLimitVerdict>;
  /** Gives `points` (default 1) back, for example after a successful login. */
  refund(policy: RateLimitPolicy, key: string, points?: number): Promise<void>;
  close(): Promise<void>;
}
