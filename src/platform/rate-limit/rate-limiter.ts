/**
 * A named limit: `limit` points per `windowMs` for one key, the window beginning with its first point. A limit of 0
 * switches the policy off. A window lasts at least one second.
 */
export interface RateLimitPolicy {
  readonly name: string;
  readonly limit: number;
  readonly windowMs: number;
}

/** The answer to one `consume`; of a policy that is off: allowed, with limit, remaining and resetMs 0. */
export interface RateLimitVerdict {
  readonly allowed: boolean;
  readonly limit: number;
  /** Points left in the window; never below 0. */
  readonly remaining: number;
  /** Milliseconds until all points are back; 0 when none is used. */
  readonly resetMs: number;
}

/**
 * Counts points per policy and key over all nodes. When the shared store is away it counts in this process instead
 * (never unlimited, never an error).
 */
export interface RateLimiter {
  /**
   * Takes `points` (a whole number, default 1), or none of them when fewer are left. With 0 it only looks: `allowed`
   * then says whether one point could be taken.
   */
  consume(policy: RateLimitPolicy, key: string, points?: number): Promise<RateLimitVerdict>;
  /** Gives `points` (default 1) back, for example after a successful login; never more than were taken. */
  refund(policy: RateLimitPolicy, key: string, points?: number): Promise<void>;
  close(): Promise<void>;
}
