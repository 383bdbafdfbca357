import type { Clock } from "../clock.js";
import type { PresenceEntry, PresenceRegistry } from "./presence-registry.js";

/** A connection, until when it counts, and whether it is still listed. */
interface Connection {
  readonly entry: PresenceEntry;
  readonly until: number;
  readonly left: boolean;
}

/** Presence of a single process. */
export function createMemoryPresenceRegistry({ clock }: { readonly clock: Clock }): PresenceRegistry {
  const projects = new Map<string, Map<string, Connection>>();

  function hasUser(connections: ReadonlyMap<string, Connection>, userId: string): boolean {
    for (const { entry } of connections.values()) if (entry.userId === userId) return true;
    return false;
  }

  return {
    async enter(projectId, entry, ttlMs) {
      const connections = projects.get(projectId) ?? new Map<string, Connection>();
      const joined = !hasUser(connections, entry.userId);
      connections.set(entry.sessionId, { entry, until: clock.now() + ttlMs, left: false });
      projects.set(projectId, connections);
      return { joined };
    },
    async renew(projectId, entries, ttlMs) {
      if (entries.length === 0) return;
      const connections = projects.get(projectId) ?? new Map<string, Connection>();
      const until = clock.now() + ttlMs;
      for (const entry of entries) {
        if (connections.get(entry.sessionId)?.left) continue;
        connections.set(entry.sessionId, { entry, until, left: false });
      }
      projects.set(projectId, connections);
    },
    async leave(projectId, sessionId, graceMs) {
      const connections = projects.get(projectId);
      const connection = connections?.get(sessionId);
      if (!connection || connection.left) return;
      connections?.set(sessionId, { entry: connection.entry, until: clock.now() + graceMs, left: true });
    },
    async sweep(projectId) {
      const connections = projects.get(projectId);
      if (!connections) return { gone: [] };
      const now = clock.now();
      const removed = new Set<string>();
      for (const [sessionId, { entry, until }] of connections) {
        if (until > now) continue;
        connections.delete(sessionId);
        removed.add(entry.userId);
      }
      if (connections.size === 0) projects.delete(projectId);
      return { gone: [...removed].filter((userId) => !hasUser(connections, userId)) };
    },
    async list(projectId) {
      const now = clock.now();
      return [...(projects.get(projectId)?.values() ?? [])]
        .filter(({ until, left }) => !left && until > now)
        .map(({ entry }) => entry)
        .sort(byAge);
    },
    async projects() {
      return [...projects.keys()];
    },
    async close() {
      projects.clear();
    },
  };
}

/** Oldest connection first; the session decides between equals, so every node shows one order. */
export function byAge(a: PresenceEntry, b: PresenceEntry): number {
  return a.connectedAt - b.connectedAt || (a.sessionId < b.sessionId ? -1 : 1);
}
