import type { ConnectionSession, PresenceSessionStore } from "../activity/store/presence-session-store.js";
import type { Clock } from "../platform/clock.js";
import type { Logger } from "../platform/observability/logger.js";
import type { PresenceEntry, PresenceRegistry } from "../platform/presence/presence-registry.js";
import type { EventBody } from "./event-text.js";
import { type Hub, serverEvent } from "./hub.js";
import type { Peer } from "./peer.js";

/** A user who is connected, over all nodes and tabs. */
export interface PresentUser {
  readonly userId: string;
  readonly name: string;
  /** Open sockets of the user in the project. */
  readonly connections: number;
}

/** Who is connected where. Fails soft: without its store nobody is shown, and sockets go on. */
export interface Presence {
  /** The client is there: told to others when it is the user's first connection. */
  entered(peer: Peer): void;
  left(peer: Peer, closeCode: number): void;
  /** Users connected to the project now, oldest first. */
  list(projectId: string): Promise<readonly PresentUser[]>;
  /**
   * The first {@link GREETED_WITH} of them as JSON, for clients that come: made anew when a user comes or goes, and else
   * every {@link KEPT_MS}. An empty list when presence cannot be read.
   */
  greeting(projectId: string): Promise<string>;
  close(): Promise<void>;
}

/** How long an entry lives without being renewed: a dead node's users are gone after this. */
const TTL_MS = 30_000;
const RENEW_MS = 10_000;
/** A user who is back within this time has not left. */
export const GRACE_MS = 5_000;
const SWEEP_MS = 2_000;
const KEPT_MS = 300;
const GREETED_WITH = 100;
const STORE_MS = 250;

/** Presence over the registry, with the record of connections in the session store. */
export function createPresence(deps: {
  registry: PresenceRegistry;
  sessions: PresenceSessionStore;
  hub: Hub;
  nodeId: string;
  clock: Clock;
  logger: Logger;
  recorded: (event: EventBody) => void;
  graceMs?: number;
}): Presence {
  const { registry, sessions, hub, nodeId, clock, logger, recorded } = deps;
  const graceMs = deps.graceMs ?? GRACE_MS;
  const greetings = new Map<string, { readonly at: number; readonly text: Promise<string> }>();
  const connected = new Map<string, PresenceEntry & { projectId: string }>();
  const opened: ConnectionSession[] = [];
  const ended: { id: string; disconnectedAt: number; closeCode: number }[] = [];
  let storing: Promise<void> = Promise.resolve();
  let failing = false;

  function soft(work: Promise<unknown>): void {
    work.then(
      () => {
        failing = false;
      },
      (error: unknown) => {
        if (!failing) logger.warn("presence is unavailable", { error });
        failing = true;
      },
    );
  }

  async function announce(
    type: "user_joined" | "user_left",
    projectId: string,
    userId: string,
    name: string,
  ): Promise<void> {
    const event = serverEvent(clock, { type, projectId, userId, payload: name === "" ? {} : { name } });
    await hub.publish(event, `presence:${event.id}`);
    greetings.delete(projectId);
    recorded(event);
  }

  async function sweep(projectId: string): Promise<void> {
    const { gone } = await registry.sweep(projectId);
    for (const userId of gone) await announce("user_left", projectId, userId, "");
  }

  async function sweepAll(): Promise<void> {
    const projects = new Set([...hub.rooms()].map((room) => room.projectId));
    for (const projectId of await registry.projects()) projects.add(projectId);
    for (const projectId of projects) await sweep(projectId);
  }

  async function renew(): Promise<void> {
    const byProject = new Map<string, PresenceEntry[]>();
    for (const entry of connected.values()) {
      const entries = byProject.get(entry.projectId) ?? [];
      entries.push(entry);
      byProject.set(entry.projectId, entries);
    }
    for (const [projectId, entries] of byProject) await registry.renew(projectId, entries, TTL_MS);
  }

  function store(): Promise<void> {
    const news = opened.splice(0);
    const ends = ended.splice(0);
    if (news.length + ends.length === 0) return Promise.resolve();
    return (async () => {
      if (news.length > 0) await sessions.opened(news);
      if (ends.length > 0) await sessions.closed(ends);
    })().catch((error: unknown) => {
      // Kept for the next try, up to a bound: the record of connections is not worth memory without end.
      if (opened.length < 10_000) opened.unshift(...news);
      if (ended.length < 10_000) ended.unshift(...ends);
      throw error;
    });
  }

  const timers = [
    setInterval(() => soft(renew()), RENEW_MS),
    setInterval(() => soft(sweepAll()), SWEEP_MS),
    setInterval(() => {
      storing = storing.then(store).catch(() => undefined);
    }, STORE_MS),
  ];
  for (const timer of timers) timer.unref();

  return {
    entered(peer) {
      const now = clock.now();
      const { connectionId, projectId, userId, name } = peer;
      const entry = { sessionId: connectionId, projectId, userId, name, nodeId, connectedAt: now };
      connected.set(connectionId, entry);
      opened.push({
        id: connectionId,
        projectId,
        userId,
        nodeId,
        connectedAt: now,
        disconnectedAt: null,
        closeCode: null,
      });
      soft(
        registry.enter(projectId, entry, TTL_MS).then(async ({ joined }) => {
          if (!joined) return;
          greetings.delete(projectId);
          await announce("user_joined", projectId, userId, name);
        }),
      );
    },
    left(peer, closeCode) {
      const { connectionId, projectId } = peer;
      connected.delete(connectionId);
      ended.push({ id: connectionId, disconnectedAt: clock.now(), closeCode });
      soft(registry.leave(projectId, connectionId, graceMs));
      setTimeout(() => soft(sweep(projectId)), graceMs + 50).unref();
    },
    list: (projectId) => registry.list(projectId).then(present),
    greeting(projectId) {
      const known = greetings.get(projectId);
      if (known && performance.now() - known.at < KEPT_MS) return known.text;
      const text = registry.list(projectId).then(
        (entries) => JSON.stringify(present(entries).slice(0, GREETED_WITH)),
        () => "[]",
      );
      if (greetings.size > 10_000) greetings.clear();
      greetings.set(projectId, { at: performance.now(), text });
      return text;
    },
    async close() {
      for (const timer of timers) clearInterval(timer);
      await Promise.allSettled(
        [...connected.values()].map((entry) => registry.leave(entry.projectId, entry.sessionId, graceMs)),
      );
      await storing;
      await store().catch(() => undefined);
    },
  };
}

function present(entries: readonly PresenceEntry[]): readonly PresentUser[] {
  const users = new Map<string, PresentUser>();
  for (const { userId, name } of entries) {
    const known = users.get(userId);
    users.set(userId, { userId, name, connections: (known?.connections ?? 0) + 1 });
  }
  return [...users.values()];
}
