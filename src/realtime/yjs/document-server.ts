import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { WebSocketServer } from "ws";
import { TOKEN_REQUEST } from "../../documents/hocuspocus-protocol.js";
import { BadMessage, SILENCE } from "../../documents/sync-protocol.js";
import { AppError } from "../../errors.js";
import type { AuthzWatch } from "../../events/authz-watch.js";
import type { Clock } from "../../platform/clock.js";
import type { Logger } from "../../platform/observability/logger.js";
import { pongFrame } from "../frame.js";
import type { AuthenticateToken } from "../messages.js";
import { SocketTransport } from "../socket-transport.js";
import { TokenBucket } from "../token-bucket.js";
import type { DocumentAdmission, Holder } from "./admission.js";
import type { DocumentSession, EditorSocket } from "./document-session.js";
import { DocumentSocket } from "./document-socket.js";

/** What a dialect does with its sockets. */
export interface SocketHandlers {
  /** One message; @throws BadMessage, which ends the socket. */
  handle(socket: EditorSocket, data: Buffer): void;
  ended(): void;
}

/** Sockets of editors, whatever their protocol. */
export interface DocumentServer {
  readonly admission: DocumentAdmission;
  readonly sockets: ReadonlySet<EditorSocket>;
  /** @throws AppError 401 codes or 503. */
  authenticate(token: string | undefined, ticket: string | undefined): Promise<Holder>;
  /** Completes an upgrade, in this turn; undefined when its handshake is none. */
  accept(
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    handlers: SocketHandlers,
  ): EditorSocket | undefined;
  /** Runs `work`; a bad message in it ends this socket and nothing else. */
  guard(socket: EditorSocket, work: () => void): void;
  /** A document of a socket is done with. */
  leave(session: DocumentSession): void;
  drain(spreadMs: number): Promise<void>;
}

/** An update that says nothing has this many bytes at most. */
export const NOTHING = 2;

/** Bytes of one message. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** An editor may send this many times the rate of an events socket. */
const RATE_FACTOR = 8;
const STALE_RETRY_MS = 100;
const PING_MS = 25_000;
const PONG_MS = 10_000;
/** Unmodified clients close after 30 s without a message. */
const SILENCE_MS = 20_000;
const SLOW_MS = 30_000;
const EXPIRY_WARNING_MS = 60_000;
const EXPIRY_GRACE_MS = 25_000;
const DRAIN_MS = 5_000;

/** The sockets of editors on this node. */
export function createDocumentServer(deps: {
  admission: DocumentAdmission;
  release: (session: DocumentSession) => void;
  authzWatch: Pick<AuthzWatch, "fresh">;
  authenticateToken: AuthenticateToken;
  authenticateTicket: AuthenticateToken;
  bytesPerSecond: number;
  clock: Clock;
  logger: Logger;
  observer: { opened(): void; closed(code: number): void };
}): DocumentServer {
  const { authzWatch, logger, observer, clock } = deps;
  const sockets = new Set<EditorSocket>();
  const rate = deps.bytesPerSecond * RATE_FACTOR;
  let draining: Promise<void> | undefined;
  const websockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    clientTracking: false,
    autoPong: false,
    handleProtocols: (offered) => (offered.has("bearer") ? "bearer" : false),
  });
  const timer = setInterval(() => {
    for (const socket of sockets) keep(socket);
  }, 1_000);
  timer.unref();

  function guard(socket: EditorSocket, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof BadMessage)) logger.error("a message of an editor failed", { error });
      socket.close(error instanceof BadMessage ? "badMessage" : "overloaded");
    }
  }

  function leave(session: DocumentSession): void {
    session.room.leave(session);
    deps.release(session);
  }

  function keep(socket: EditorSocket): void {
    const monotonic = performance.now();
    if (socket.closed) return;
    if (socket.behind && monotonic - socket.progressAt > SLOW_MS) {
      socket.close("overloaded", "too slow");
      return;
    }
    for (const session of socket.sessions.values()) {
      const left = session.expiresAt - clock.now();
      if (left < -EXPIRY_GRACE_MS) {
        socket.close("unauthenticated", "token expired");
        return;
      }
      if (left < EXPIRY_WARNING_MS && !session.askedForToken && session.voice.prefix.length > 0) {
        session.askedForToken = true;
        session.say(TOKEN_REQUEST);
      }
      if (monotonic - socket.saidAt > SILENCE_MS) session.say(SILENCE);
    }
    if (socket.pingedAt > socket.heardAt) {
      if (monotonic - socket.pingedAt > PONG_MS && !socket.paused) socket.transport.terminate();
    } else if (monotonic - socket.heardAt > PING_MS) socket.ping();
  }

  async function closeAll(spreadMs: number): Promise<void> {
    clearInterval(timer);
    await Promise.all(
      [...sockets].map(async (socket) => {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * spreadMs));
        const late = new Promise((resolve) => setTimeout(resolve, DRAIN_MS).unref());
        socket.transport.pause();
        const settled = [...socket.sessions.values()].map(({ room }) => room.allSettled());
        await Promise.race([Promise.all(settled), late]);
        socket.close("restart");
      }),
    );
    const deadline = performance.now() + DRAIN_MS;
    while (sockets.size > 0 && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20));
  }

  return {
    admission: deps.admission,
    sockets,
    async authenticate(token, ticket) {
      if (token !== undefined) return deps.authenticateToken(token);
      if (ticket !== undefined) return deps.authenticateTicket(ticket);
      throw new AppError("unauthenticated", { detail: "Give a token or a ticket." });
    },
    accept(request, tcp, head, handlers) {
      if (draining) throw new AppError("shutting_down", { headers: { "Retry-After": "2" } });
      let accepted: EditorSocket | undefined;
      websockets.handleUpgrade(request, tcp, head, (websocket) => {
        tcp.setNoDelay(true);
        const bucket = new TokenBucket(rate, Math.max(rate, MAX_MESSAGE_BYTES), performance.now());
        const gate = () => (authzWatch.fresh() ? 0 : STALE_RETRY_MS);
        const transport = new SocketTransport(websocket, tcp);
        const socket: EditorSocket = new DocumentSocket<DocumentSession>(transport, bucket, gate, (data) =>
          guard(socket, () => handlers.handle(socket, data)),
        );
        accepted = socket;
        sockets.add(socket);
        observer.opened();
        websocket.on("message", (data, isBinary) => {
          if (isBinary) socket.receive(data as Buffer);
          else socket.close("badMessage", "binary frames only");
        });
        websocket.on("pong", () => {
          socket.heardAt = performance.now();
        });
        websocket.on("ping", (data) => socket.write(pongFrame(data), "edit"));
        websocket.on("error", (error) => logger.debug("socket error", { error }));
        websocket.on("close", (code) => {
          socket.closed = true;
          socket.forget();
          sockets.delete(socket);
          for (const session of socket.sessions.values()) {
            session.over = true;
            leave(session);
          }
          handlers.ended();
          observer.closed(code);
        });
      });
      return accepted;
    },
    guard,
    leave,
    drain(spreadMs) {
      draining ??= closeAll(spreadMs);
      return draining;
    },
  };
}
