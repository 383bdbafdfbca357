import { type IncomingMessage, type Server } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { AppError } from "../errors.js";
import { addressKey, plainAddress, rateLimited } from "../http/rate-limit.js";
import type { Principal } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { StreamPosition } from "../platform/event-log/event-log.js";
import type { Logger } from "../platform/observability/logger.js";
import type { RateLimiter, RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";
import type { Hub } from "./hub.js";
import { closeAll, keepAlive } from "./keeper.js";
import type { LiveAccess, LookUpMembership, Membership } from "./live-access.js";
import type { AuthenticateToken, MessageHandler } from "./messages.js";
import { Peer } from "./peer.js";
import type { Presence } from "./presence.js";
import { MAX_MESSAGE_BYTES } from "./protocol.js";
import type { Room } from "./room.js";
import { SocketTransport } from "./socket-transport.js";
import { TokenBucket } from "./token-bucket.js";
import { checkOrigin, type EventsRequest, readEventsRequest, refuseUpgrade, upgradeUrl } from "./upgrade.js";

/** Limits of sockets. */
export interface SocketLimits {
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
  /** Upgrades per address and minute. */
  readonly connects: RateLimitPolicy;
  /** Sockets of one user on this node. */
  readonly socketsPerUser: number;
  /** Upgrades being decided at once; beyond, 503. */
  readonly pendingUpgrades: number;
}

/** Sees connections come and go, for metrics. */
export interface SocketObserver {
  opened(): void;
  closed(code: number): void;
  refused(status: number): void;
}

/** The sockets of this node. */
export interface RealtimeServer {
  /** Serves upgrades that arrive at this HTTP server. */
  attach(server: Server): void;
  /** Refuses new sockets and closes those there are with 1012, spread over `spreadMs`; ends when all are gone. */
  drain(spreadMs: number): Promise<void>;
}

/** Another protocol on this port, by path. */
export interface Dialect {
  serves(pathname: string): boolean;
  /** Decides about an upgrade whose origin and rate are in order, and accepts it; what it throws is the answer. */
  upgrade(
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    url: URL,
    takeSeat: TakeSeat,
  ): Promise<void>;
  /** Closes its sockets with 1012, spread over `spreadMs`. */
  drain(spreadMs: number): Promise<void>;
}

/** Counts a socket of an account; gives it back when called. @throws AppError `quota_exceeded`. */
export type TakeSeat = (userId: string) => () => void;

interface Admitted {
  readonly principal: Principal & { readonly expiresAt: number };
  readonly membership: Membership;
  readonly room: Room;
}

/** Messages a client may send at once, in seconds of its rate. */
const BURST_SECONDS = 4;

/** Upgrades: origin → token → limits → access → room, all before the socket is accepted. */
export function createRealtimeServer(deps: {
  hub: Hub;
  messages: MessageHandler;
  liveAccess: LiveAccess;
  presence: Presence;
  authenticateToken: AuthenticateToken;
  authenticateTicket: AuthenticateToken;
  lookUp: LookUpMembership;
  rateLimiter: RateLimiter;
  limits: SocketLimits & { readonly softBytes: number };
  allowedOrigins: readonly string[];
  /** The client's address as the HTTP side sees it (`TRUST_PROXY`). */
  addressOf: (request: IncomingMessage) => string;
  observer: SocketObserver;
  newId: () => string;
  clock: Clock;
  logger: Logger;
  dialects: readonly Dialect[];
}): RealtimeServer {
  const { hub, limits, logger, observer } = deps;
  const websockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: (offered) => (offered.has("bearer") ? "bearer" : false),
  });
  const perUser = new Map<string, number>();
  let pending = 0;
  let draining = false;
  const stopKeeping = keepAlive(hub, deps.clock, limits.softBytes);

  function requireServing(): void {
    if (draining) throw new AppError("shutting_down", { headers: { "Retry-After": "2" } });
  }

  async function upgrade(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    requireServing();
    const url = upgradeUrl(request);
    const dialect = deps.dialects.find(({ serves }) => serves(url.pathname));
    if (!dialect && url.pathname !== "/") throw new AppError("not_found");
    checkOrigin(request, deps.allowedOrigins);
    const wanted = dialect ? undefined : readEventsRequest(request, url);
    const verdict = await deps.rateLimiter.consume(
      limits.connects,
      addressKey(plainAddress(deps.addressOf(request))),
    );
    if (limits.connects.limit > 0 && !verdict.allowed) throw rateLimited(limits.connects, verdict);
    if (!wanted) {
      await dialect?.upgrade(request, socket, head, url, takeSeat);
      return;
    }
    const principal = await authenticate(wanted);
    takeSeat(principal.userId);
    try {
      await admit(request, socket, head, wanted, principal);
    } catch (error) {
      forget(principal.userId);
      throw error;
    }
  }

  function takeSeat(userId: string): () => void {
    if ((perUser.get(userId) ?? 0) >= limits.socketsPerUser) {
      throw new AppError("quota_exceeded", {
        detail: `An account has at most ${limits.socketsPerUser} open sockets.`,
        extensions: { limit: limits.socketsPerUser },
        headers: { "Retry-After": "10" },
      });
    }
    perUser.set(userId, (perUser.get(userId) ?? 0) + 1);
    let taken = true;
    return () => {
      if (taken) forget(userId);
      taken = false;
    };
  }

  function authenticate(wanted: EventsRequest): Promise<Principal & { readonly expiresAt: number }> {
    if (wanted.token !== undefined) return deps.authenticateToken(wanted.token);
    if (wanted.ticket !== undefined) return deps.authenticateTicket(wanted.ticket);
    throw new AppError("unauthenticated", { detail: "Give a token or a ticket." });
  }

  async function admit(
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    wanted: EventsRequest,
    principal: Admitted["principal"],
  ): Promise<void> {
    const opening = deps.liveAccess.opening({ ...principal, projectId: wanted.projectId });
    try {
      let membership = await deps.lookUp(wanted.projectId, principal.userId);
      const room = membership ? await hub.room(wanted.projectId) : undefined;
      if (opening.stale) {
        // A ticket is used up; whether its session still lives cannot be asked with it again.
        if (wanted.token === undefined) throw new AppError("overloaded", { headers: { "Retry-After": "1" } });
        await deps.authenticateToken(wanted.token);
        opening.stale = false;
        membership = await deps.lookUp(wanted.projectId, principal.userId);
        if (opening.stale) throw new AppError("overloaded", { headers: { "Retry-After": "1" } });
      }
      if (!membership || !room) throw new AppError("not_found");
      const present = await deps.presence.greeting(wanted.projectId);
      // The room may have been closed for want of clients while presence was read.
      const open = hub.opened(wanted.projectId) === room;
      if (opening.stale || !open) throw new AppError("overloaded", { headers: { "Retry-After": "1" } });
      requireServing();
      if (socket.destroyed) {
        forget(principal.userId);
        return;
      }
      accept(request, socket, head, wanted.since, { principal, membership, room }, present);
    } finally {
      deps.liveAccess.opened(opening);
    }
  }

  /** Synchronous from here on, so that no change of access and no event falls between the check and the room. */
  function accept(
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    since: StreamPosition | undefined,
    admitted: Admitted,
    presence: string,
  ): void {
    const { principal, membership, room } = admitted;
    let accepted = false;
    // The answer to the handshake and the first frames leave in one write.
    socket.cork();
    websockets.handleUpgrade(request, socket, head, (websocket) => {
      accepted = true;
      socket.setNoDelay(true);
      const now = performance.now();
      const identity = {
        ...principal,
        connectionId: deps.newId(),
        projectId: room.projectId,
        name: membership.name,
      };
      const peer = new Peer(identity, membership.role, new SocketTransport(websocket, socket), {
        messages: new TokenBucket(limits.messagesPerSecond, limits.messagesPerSecond * BURST_SECONDS, now),
        bytes: new TokenBucket(
          limits.bytesPerSecond,
          Math.max(limits.bytesPerSecond * BURST_SECONDS, MAX_MESSAGE_BYTES),
          now,
        ),
        refusals: new TokenBucket(10, 200, now),
      });
      websocket.on("message", (data, isBinary) => deps.messages.handle(peer, data as Buffer, isBinary));
      websocket.on("pong", () => {
        peer.heardAt = performance.now();
      });
      websocket.on("ping", () => deps.messages.pinged(peer));
      websocket.on("error", (error) => logger.debug("socket error", { sessionId: peer.connectionId, error }));
      websocket.on("close", (code) => gone(peer, room, peer.closeCode ?? code));
      const position = room.join(peer);
      const greeting = JSON.stringify({
        type: "connected",
        sessionId: peer.connectionId,
        projectId: room.projectId,
        role: peer.role,
        ...position,
      });
      peer.send(`${greeting.slice(0, -1)},"presence":${presence}}`);
      observer.opened();
      deps.presence.entered(peer);
      if (hub.degraded !== undefined)
        peer.send(JSON.stringify({ type: "server.degraded", dependency: hub.degraded }));
      if (since) void room.resume(peer, since, true);
    });
    socket.uncork();
    // `ws` has answered a handshake that is none.
    if (!accepted) forget(principal.userId);
  }

  function gone(peer: Peer, room: Room, code: number): void {
    peer.feeding = "closed";
    room.leave(peer);
    hub.release(room);
    forget(peer.userId);
    observer.closed(code);
    deps.presence.left(peer, code);
  }

  function forget(userId: string): void {
    const count = (perUser.get(userId) ?? 1) - 1;
    if (count > 0) perUser.set(userId, count);
    else perUser.delete(userId);
  }

  function onUpgrade(request: IncomingMessage, duplex: Duplex, head: Buffer): void {
    const socket = duplex as Socket;
    const ignore = () => socket.destroy();
    socket.on("error", ignore);
    if (pending >= limits.pendingUpgrades) {
      refuseUpgrade(socket, request, new AppError("overloaded", { headers: { "Retry-After": "1" } }));
      observer.refused(503);
      return;
    }
    pending += 1;
    upgrade(request, socket, head)
      .catch((error: unknown) => {
        const refused = refuseUpgrade(socket, request, error);
        observer.refused(refused.status);
        if (refused.status >= 500)
          logger.warn("socket refused", { code: refused.code, error: refused.cause });
      })
      .finally(() => {
        pending -= 1;
        socket.off("error", ignore);
      });
  }

  return {
    attach(server) {
      server.on("upgrade", onUpgrade);
    },
    async drain(spreadMs) {
      draining = true;
      stopKeeping();
      await Promise.all([closeAll(hub, spreadMs), ...deps.dialects.map((each) => each.drain(spreadMs))]);
    },
  };
}
