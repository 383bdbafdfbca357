import { LRUCache } from "lru-cache";
import type { Clock } from "../clock.js";
import type { Cache } from "./cache.js";

const MAX_ENTRIES = 100_000;
const MAX_CHARACTERS = 64 * 1024 * 1024;

/**
 * A cache in this process. Bounded: beyond `maxEntries` (100,000) or `maxCharacters` of JSON and keys (64 Mi) the least
 * recently used entries go.
 */
export function createMemoryCache(options: {
  readonly clock: Clock;
  readonly maxEntries?: number;
  readonly maxCharacters?: number;
}): Cache {
  const maxSize = options.maxCharacters ?? MAX_CHARACTERS;
  // JSON text, so that a caller cannot change what is stored by changing what it stored, exactly as with Redis.
  const entries = new LRUCache<string, string>({
    max: options.maxEntries ?? MAX_ENTRIES,
    maxSize,
    sizeCalculation: (value, key) => value.length + key.length + 1,
    ttlResolution: 0,
    perf: { now: () => options.clock.now() },
  });

  function store(key: string, value: unknown, ttlMs: number): void {
    // lru-cache reads a TTL of 0 as "forever".
    if (ttlMs > 0) entries.set(key, JSON.stringify(value), { ttl: Math.ceil(ttlMs) });
    else entries.delete(key);
  }
  function read<T>(key: string): T | undefined {
    const text = entries.get(key);
    return text === undefined ? undefined : (JSON.parse(text) as T);
  }

  return {
    async get<T>(key: string) {
      return read<T>(key);
    },
    async set(key, value, ttlMs) {
      store(key, value, ttlMs);
    },
    async delete(...keys) {
      for (const key of keys) entries.delete(key);
    },
    async add(key, value, ttlMs) {
      if (entries.has(key)) return false;
      store(key, value, ttlMs);
      return true;
    },
    async take<T>(key: string) {
      const value = read<T>(key);
      entries.delete(key);
      return value;
    },
    async close() {
      entries.clear();
    },
  };
}
