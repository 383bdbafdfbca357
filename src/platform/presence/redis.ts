import type { RedisConnections } from "../redis/redis.js";
import { byAge } from "./memory.js";
import type { PresenceEntry, PresenceRegistry } from "./presence-registry.js";
import { ENTER, LEAVE, LIST, RENEW, SWEEP } from "./scripts.js";

const RENEW_BATCH = 500;

/** Presence over all nodes, on Redis: one script per call. `close` leaves the connections to their owner. */
export function createRedisPresenceRegistry({
  redis,
}: {
  readonly redis: RedisConnections;
}): PresenceRegistry {
  const { commands } = redis;
  const enter = redis.script("atelierPresenceEnter", 4, ENTER);
  const renew = redis.script("atelierPresenceRenew", 4, RENEW);
  const leave = redis.script("atelierPresenceLeave", 4, LEAVE);
  const sweep = redis.script("atelierPresenceSweep", 4, SWEEP);
  const list = redis.script("atelierPresenceList", 4, LIST);
  const projectsKey = redis.key("presence:projects");

  function keysOf(projectId: string): string[] {
    return ["entries", "live", "left", "users"].map((part) => redis.key(`presence:${part}`, projectId));
  }
  /** The set of projects is on another slot, so it cannot be part of the scripts. */
  async function remember(projectId: string): Promise<void> {
    await commands.run((client) => client.sadd(projectsKey, projectId));
  }
  async function size(projectId: string): Promise<number> {
    const [entries = ""] = keysOf(projectId);
    return commands.run((client) => client.hlen(entries));
  }

  return {
    async enter(projectId, entry, ttlMs) {
      const args = [entry.sessionId, entry.userId, JSON.stringify(entry), ttlMs];
      const [joined] = await Promise.all([enter(keysOf(projectId), args), remember(projectId)]);
      return { joined: joined === 1 };
    },
    async renew(projectId, entries, ttlMs) {
      if (entries.length === 0) return;
      const work: Promise<unknown>[] = [remember(projectId)];
      for (let from = 0; from < entries.length; from += RENEW_BATCH) {
        const batch = entries.slice(from, from + RENEW_BATCH);
        const args = batch.flatMap((entry) => [entry.sessionId, entry.userId, JSON.stringify(entry)]);
        work.push(renew(keysOf(projectId), [ttlMs, ...args]));
      }
      await Promise.all(work);
    },
    async leave(projectId, sessionId, graceMs) {
      await leave(keysOf(projectId), [sessionId, graceMs]);
    },
    async sweep(projectId) {
      const [remaining, gone] = (await sweep(keysOf(projectId), [])) as [number, string[]];
      if (remaining === 0) await forget(projectId);
      return { gone };
    },
    async list(projectId) {
      const entries = (await list(keysOf(projectId), [])) as string[];
      return entries.map((text) => JSON.parse(text) as PresenceEntry).sort(byAge);
    },
    async projects() {
      const found = new Set<string>();
      let cursor = "0";
      do {
        const [next, page] = await commands.run((client) =>
          client.sscan(projectsKey, cursor, "COUNT", 1_000),
        );
        for (const projectId of page) found.add(projectId);
        cursor = next;
      } while (cursor !== "0");
      return [...found];
    },
    async close() {},
  };

  /** Takes an empty project out of the set, and puts it back when somebody entered meanwhile. */
  async function forget(projectId: string): Promise<void> {
    await commands.run((client) => client.srem(projectsKey, projectId));
    if ((await size(projectId)) > 0) await remember(projectId);
  }
}
