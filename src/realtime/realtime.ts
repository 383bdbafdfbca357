import type { IncomingMessage } from "node:http";
import type { PresenceSessionStore } from "../activity/store/presence-session-store.js";
import type { Documents } from "../documents/documents.js";
import type { AuthzWatch } from "../events/authz-watch.js";
import type { EventConsumer } from "../events/dispatcher.js";
import type { Clock } from "../platform/clock.js";
import type { EventLog } from "../platform/event-log/event-log.js";
import { createIds } from "../platform/ids.js";
import type { Logger } from "../platform/observability/logger.js";
import type { PresenceRegistry } from "../platform/presence/presence-registry.js";
import type { PubSub } from "../platform/pubsub/pubsub.js";
import type { RateLimiter } from "../platform/rate-limit/rate-limiter.js";
import { createBroadcaster } from "./broadcaster.js";
import type { EventBody } from "./event-text.js";
import { createHub, type Hub } from "./hub.js";
import { rememberMemberships } from "./known-memberships.js";
import { createLiveAccess, type LookUpMembership } from "./live-access.js";
import { type AuthenticateToken, createMessageHandler } from "./messages.js";
import { createPresence, type Presence } from "./presence.js";
import type { RoomBounds, RoomObserver } from "./room.js";
import {
  createRealtimeServer,
  type RealtimeServer,
  type SocketLimits,
  type SocketObserver,
} from "./server.js";
import { createYjsDialects } from "./yjs/yjs.js";

/** What the sockets of a node stand on. */
export interface RealtimeDeps {
  /** Live documents; without them only events are served. */
  readonly documents?: Documents;
  readonly nodeId: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly eventLog: EventLog;
  readonly pubsub: PubSub;
  readonly presence: PresenceRegistry;
  readonly sessions: PresenceSessionStore;
  readonly rateLimiter: RateLimiter;
  readonly authzWatch: AuthzWatch;
  readonly authenticateToken: AuthenticateToken;
  readonly authenticateTicket: AuthenticateToken;
  readonly lookUp: LookUpMembership;
  readonly limits: SocketLimits;
  readonly allowedOrigins: readonly string[];
  readonly addressOf: (request: IncomingMessage) => string;
  /** History events of sockets, and users who come and go; feeds the activity log. */
  readonly recorded: (event: EventBody) => void;
  readonly observer: RoomObserver & SocketObserver & { readonly acked: (ms: number) => void };
}

/** The realtime feature of one node. */
export interface Realtime {
  readonly hub: Hub;
  readonly presence: Presence;
  /** Carries domain events to sockets. */
  readonly consumer: EventConsumer;
  readonly server: RealtimeServer;
  /** Closes every socket, spread over `spreadMs`, and everything behind them. */
  stop(spreadMs: number): Promise<void>;
}

/** Bounds of what is queued for one client. */
const BOUNDS: RoomBounds = { softBytes: 256 * 1024, hardBytes: 4 * 1024 * 1024 };

/** Sockets, rooms, presence and live access of one node. */
export function createRealtime(deps: RealtimeDeps): Realtime {
  const { observer, authzWatch, clock, logger, nodeId, recorded } = deps;
  const hub = createHub({
    log: deps.eventLog,
    pubsub: deps.pubsub,
    nodeId,
    clock,
    bounds: BOUNDS,
    observer,
    logger,
  });
  const newId = createIds();
  const messages = createMessageHandler({
    hub,
    authzWatch,
    authenticateToken: deps.authenticateToken,
    newId,
    clock,
    recorded,
    acked: observer.acked,
  });
  // Forgets before open sockets are looked at, because it hears of a change first.
  const knownMemberships = rememberMemberships(deps.lookUp, authzWatch);
  const liveAccess = createLiveAccess({ hub, authzWatch, lookUp: deps.lookUp, messages });
  const presence = createPresence({
    registry: deps.presence,
    sessions: deps.sessions,
    hub,
    nodeId,
    clock,
    logger,
    recorded,
  });
  const server = createRealtimeServer({
    ...deps,
    newId,
    lookUp: knownMemberships,
    limits: { ...deps.limits, softBytes: BOUNDS.softBytes },
    hub,
    messages,
    liveAccess,
    presence,
    dialects: deps.documents
      ? createYjsDialects({
          ...deps,
          documents: deps.documents,
          liveAccess,
          bytesPerSecond: deps.limits.bytesPerSecond,
        })
      : [],
  });
  return {
    hub,
    presence,
    consumer: createBroadcaster(hub),
    server,
    async stop(spreadMs) {
      await server.drain(spreadMs);
      await presence.close();
      await hub.close();
    },
  };
}
