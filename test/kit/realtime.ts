import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { v7 } from "uuid";
import type { ConnectionSession } from "../../src/activity/store/presence-session-store.js";
import { AppError } from "../../src/errors.js";
import type { AuthzEntry } from "../../src/events/authz-log.js";
import { systemClock } from "../../src/platform/clock.js";
import type { EventLog } from "../../src/platform/event-log/event-log.js";
import { createMemoryEventLog } from "../../src/platform/event-log/memory.js";
import { createNullLogger } from "../../src/platform/observability/logger.js";
import { createMemoryPresenceRegistry } from "../../src/platform/presence/memory.js";
import { createMemoryPubSub } from "../../src/platform/pubsub/memory.js";
import { createMemoryRateLimiter } from "../../src/platform/rate-limit/memory.js";
import type { Role } from "../../src/projects/access.js";
import type { EventBody } from "../../src/realtime/event-text.js";
import { createRealtime, type RealtimeDeps } from "../../src/realtime/realtime.js";
import { connectSocket, type SocketClient } from "./socket-client.js";

/** Sockets without the rest of the service: tokens are `user`, memberships are set by hand, access changes are rung by hand. */
export interface RealtimeBench {
  readonly projectId: string;
  readonly url: string;
  readonly recorded: EventBody[];
  readonly closes: number[];
  readonly realtime: ReturnType<typeof createRealtime>;
  readonly log: EventLog;
  member(user: string, role: Role | undefined): string;
  connect(user: string, more?: Record<string, string>): Promise<SocketClient>;
  /** Applies access changes as the watch would, and waits until they have been applied. */
  changed(...entries: Omit<AuthzEntry, "seq" | "createdAt">[]): Promise<void>;
  fresh: boolean;
  stop(): Promise<void>;
}

/** Starts sockets on a free port. */
export async function startRealtimeBench(more: Partial<RealtimeDeps> = {}): Promise<RealtimeBench> {
  const projectId = v7();
  const ids = new Map<string, string>();
  const roles = new Map<string, Role>();
  const listeners: ((entries: readonly AuthzEntry[]) => void | Promise<void>)[] = [];
  const recorded: EventBody[] = [];
  const closes: number[] = [];
  const state = { fresh: true };
  const pubsub = createMemoryPubSub({
    onError: (error) => {
      throw error;
    },
  });
  const log = createMemoryEventLog({ pubsub, clock: systemClock });
  const idOf = (user: string) => ids.get(user) ?? ids.set(user, v7()).get(user)!;
  const authenticate = async (token: string) => {
    if (!/^\w+$/.test(token)) throw new AppError("invalid_token");
    return {
      userId: idOf(token),
      sessionId: idOf(`session of ${token}`),
      generation: 1,
      expiresAt: Date.now() + 900_000,
    };
  };
  const sessions: ConnectionSession[] = [];
  const realtime = createRealtime({
    nodeId: v7(),
    clock: systemClock,
    logger: createNullLogger(),
    eventLog: log,
    pubsub,
    presence: createMemoryPresenceRegistry({ clock: systemClock }),
    sessions: {
      opened: async (news) => void sessions.push(...news),
      closed: async () => {},
      listByProject: async () => sessions,
      close: async () => {},
    },
    rateLimiter: createMemoryRateLimiter(),
    authzWatch: {
      start: async () => {},
      onChange: (listener) => void listeners.push(listener),
      fresh: () => state.fresh,
      settled: async () => true,
      stop: async () => {},
    },
    authenticateToken: authenticate,
    authenticateTicket: (ticket) => authenticate(ticket.replace(/^ticket-/, "")),
    lookUp: async (project, userId) => {
      const role = roles.get(userId);
      return project === projectId && role ? { role, name: "Ada" } : undefined;
    },
    limits: {
      messagesPerSecond: 50,
      bytesPerSecond: 256 * 1024,
      connects: { name: "ws-connect", limit: 1_000, windowMs: 60_000 },
      socketsPerUser: 5,
      pendingUpgrades: 100,
    },
    allowedOrigins: ["https://app.example.org"],
    addressOf: (request) => request.socket.remoteAddress ?? "",
    recorded: (event) => void recorded.push(event),
    observer: {
      delivered() {},
      droppedEphemeral() {},
      gapRepaired() {},
      resumed() {},
      opened() {},
      closed: (code) => void closes.push(code),
      refused() {},
      acked() {},
    },
    ...more,
  });
  const server = createServer();
  realtime.server.attach(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clients: SocketClient[] = [];
  return {
    projectId,
    url,
    recorded,
    closes,
    realtime,
    log,
    member(user, role) {
      if (role) roles.set(idOf(user), role);
      else roles.delete(idOf(user));
      return idOf(user);
    },
    async connect(user, parameters = {}) {
      const query = new URLSearchParams({ token: user, projectId, ...parameters });
      const client = await connectSocket(`${url}/?${query.toString()}`);
      clients.push(client);
      return client;
    },
    async changed(...entries) {
      const stamped = entries.map((entry, i) => ({ ...entry, seq: i + 1, createdAt: Date.now() }));
      await Promise.all(listeners.map(async (listener) => listener(stamped)));
    },
    get fresh() {
      return state.fresh;
    },
    set fresh(value) {
      state.fresh = value;
    },
    async stop() {
      for (const client of clients) client.terminate();
      await realtime.stop(0);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
