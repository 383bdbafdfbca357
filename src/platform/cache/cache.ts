/** A cache of JSON values with a time to live. Losing an entry, or all of them, is never an error. */
export interface Cache {
  /** The value stored under `key`, or undefined when absent, expired or when the store is away. */
  get<T>(key: string): Promise<T | undefined>;
  /** Keeps `value` (any JSON) for `ttlMs`; a store that is away is ignored. */
  set(key: string, value: unknown, ttlMs: number): Promise<void>;
  /** Forgets these keys; a store that is away is ignored (entries end by their TTL). */
  delete(...keys: string[]): Promise<void>;
  /**
   * Stores `value` only when `key` is absent; true when it was stored. Rejects with `dependency_unavailable` when the
   * store is away, because callers use it to decide something once.
   */
  add(key: string, value: unknown, ttlMs: number): Promise<boolean>;
  /** Reads and deletes in one step (single-use things); rejects with `dependency_unavailable` when the store is away. */
  take<T>(key: string): Promise<T | undefined>;
  close(): Promise<void>;
}
