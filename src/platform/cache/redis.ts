import type { RedisConnections } from "../redis/redis.js";
import type { Cache } from "./cache.js";

/** A cache shared by all nodes, on Redis; `close` leaves the connections to their owner. */
export function createRedisCache({ redis }: { readonly redis: RedisConnections }): Cache {
  const { commands } = redis;
  const keyOf = (key: string): string => redis.key(`cache:${key}`);

  async function remove(keys: readonly string[]): Promise<void> {
    // One key per command: in a Cluster they live on different nodes.
    await commands.run((client) => Promise.all(keys.map((key) => client.unlink(keyOf(key)))));
  }

  return {
    async get<T>(key: string) {
      return parse<T>(await commands.run((client) => client.get(keyOf(key))).catch(ignored));
    },
    async set(key, value, ttlMs) {
      const text = JSON.stringify(value);
      const done =
        ttlMs > 0
          ? commands.run((client) => client.set(keyOf(key), text, "PX", Math.ceil(ttlMs)))
          : remove([key]);
      await done.catch(ignored);
    },
    async delete(...keys) {
      await remove(keys).catch(ignored);
    },
    async add(key, value, ttlMs) {
      // A TTL that is over stores nothing, but the answer still needs the truth.
      if (!(ttlMs > 0)) return (await commands.run((client) => client.exists(keyOf(key)))) === 0;
      const text = JSON.stringify(value);
      return (
        (await commands.run((client) => client.set(keyOf(key), text, "PX", Math.ceil(ttlMs), "NX"))) === "OK"
      );
    },
    async take<T>(key: string) {
      return parse<T>(await commands.run((client) => client.getdel(keyOf(key))));
    },
    async close() {},
  };
}

function ignored(): undefined {
  return undefined;
}

/** A value that another version wrote in another form counts as absent. */
function parse<T>(text: string | null | undefined): T | undefined {
  if (text === null || text === undefined) return undefined;
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined;
  }
}
