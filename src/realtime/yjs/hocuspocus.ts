import {
  authenticated,
  HOCUSPOCUS_PONG,
  type HocuspocusMessage,
  hocuspocusPrefix,
  permissionDenied,
  readHocuspocusFrame,
  syncStatus,
} from "../../documents/hocuspocus-protocol.js";
import type { ClientMessage } from "../../documents/sync-protocol.js";
import { AppError } from "../../errors.js";
import type { Dialect, TakeSeat } from "../server.js";
import type { DocumentServer } from "./document-server.js";
import { DocumentSession, type EditorSocket, type SessionVoice } from "./document-session.js";

/** Documents one socket may have open. */
const MAX_DOCUMENTS = 100;
/** How long a socket may stay without a good token. */
const AUTH_MS = 10_000;
/** What may be sent for a document before it is open. */
const MAX_EARLY = 200;
const NO_PREFIX = new Uint8Array();

interface Connection {
  readonly socket: EditorSocket;
  readonly takeSeat: TakeSeat;
  giveBack: (() => void) | undefined;
  userId: string | undefined;
  /** Documents being opened, with what was sent for them meanwhile. */
  readonly opening: Map<string, ClientMessage[]>;
  timer: NodeJS.Timeout;
}

/** `/hocuspocus`: many documents per socket, each with a token in its first frame; npm `@hocuspocus/provider` as it is. */
export function createHocuspocusDialect(server: DocumentServer): Dialect {
  const connections = new WeakMap<EditorSocket, Connection>();

  function voiceOf(key: string): SessionVoice {
    return {
      prefix: hocuspocusPrefix(key),
      kept: (session) => session.say(syncStatus(true)),
      refused: (session) => session.say(syncStatus(false)),
      roleChanged: (session) => session.say(authenticated(scopeOf(session))),
      over(session, close, reason) {
        session.socket.sessions.delete(key);
        // Only what concerns this one document leaves the others open.
        if (close === "accessRevoked" || close === "gone") session.say(permissionDenied(reason));
        else session.socket.close(close, reason);
      },
    };
  }

  function handle(socket: EditorSocket, data: Buffer): void {
    const connection = connections.get(socket);
    if (!connection) return;
    const frame = readHocuspocusFrame(data);
    if (frame.kind === "ping") socket.say(NO_PREFIX, HOCUSPOCUS_PONG);
    else if (frame.kind === "document") onMessage(connection, frame.key, frame.name, frame.message);
  }

  function onMessage(connection: Connection, key: string, name: string, message: HocuspocusMessage): void {
    const { socket, opening } = connection;
    const session = socket.sessions.get(key);
    switch (message.kind) {
      case "auth":
        if (session) void refresh(session, message.token);
        else if (!opening.has(key)) void open(connection, key, name, message.token);
        return;
      case "close":
        opening.delete(key);
        if (!session) return;
        session.over = true;
        socket.sessions.delete(key);
        server.leave(session);
        return;
      case "stateless":
        return;
      case "shared": {
        if (session) {
          session.room.receive(session, message.message);
          return;
        }
        const early = opening.get(key);
        // After a refusal the provider may still have messages on the way.
        if (!early) return;
        if (early.length >= MAX_EARLY) socket.close("rateLimited");
        else early.push(message.message);
      }
    }
  }

  async function open(connection: Connection, key: string, name: string, token: string): Promise<void> {
    const { socket, opening } = connection;
    const prefix = hocuspocusPrefix(key);
    if (socket.sessions.size + opening.size >= MAX_DOCUMENTS) {
      socket.say(prefix, permissionDenied("too many documents"));
      return;
    }
    const early: ClientMessage[] = [];
    opening.set(key, early);
    try {
      const holder = await server.authenticate(token, undefined);
      if (connection.userId !== undefined && connection.userId !== holder.userId)
        throw new AppError("forbidden", { detail: "One socket serves one account." });
      if (connection.userId === undefined) {
        connection.giveBack = connection.takeSeat(holder.userId);
        connection.userId = holder.userId;
        clearTimeout(connection.timer);
        if (socket.closed) connection.giveBack();
      }
      const again = () => server.authenticate(token, undefined);
      await server.admission.admit(holder, name, again, ({ membership, projectId, room }) => {
        if (socket.closed || opening.get(key) !== early) return;
        opening.delete(key);
        const { userId, sessionId, expiresAt } = holder;
        const identity = { userId, sessionId, projectId, name: membership.name };
        const voice = voiceOf(key);
        const session = new DocumentSession(identity, membership.role, expiresAt, room, socket, voice);
        socket.sessions.set(key, session);
        session.say(authenticated(scopeOf(session)));
        room.join(session);
        server.guard(socket, () => {
          for (const message of early) if (!session.over) room.receive(session, message);
        });
      });
    } catch (error) {
      const known = error instanceof AppError ? error : new AppError("internal_error", { cause: error });
      if (known.status >= 500) socket.close("overloaded", known.code);
      else socket.say(prefix, permissionDenied(known.code));
    } finally {
      if (opening.get(key) === early) opening.delete(key);
    }
  }

  async function refresh(session: DocumentSession, token: string): Promise<void> {
    try {
      const holder = await server.authenticate(token, undefined);
      if (holder.userId !== session.userId || holder.sessionId !== session.sessionId)
        throw new AppError("unauthenticated");
      session.expiresAt = holder.expiresAt;
      session.askedForToken = false;
      session.say(authenticated(scopeOf(session)));
    } catch (error) {
      const away = error instanceof AppError && error.status >= 500;
      session.socket.close(away ? "overloaded" : "unauthenticated");
    }
  }

  return {
    serves: (pathname) => pathname === "/hocuspocus" || pathname === "/hocuspocus/",
    async upgrade(request, socket, head, _url, takeSeat) {
      const accepted = server.accept(request, socket, head, {
        handle,
        ended() {
          const connection = accepted && connections.get(accepted);
          clearTimeout(connection?.timer);
          connection?.opening.clear();
          connection?.giveBack?.();
        },
      });
      if (!accepted) return;
      const timer = setTimeout(() => accepted.close("unauthenticated", "no token came"), AUTH_MS);
      timer.unref();
      connections.set(accepted, {
        socket: accepted,
        takeSeat,
        giveBack: undefined,
        userId: undefined,
        opening: new Map(),
        timer,
      });
    },
    drain: (spreadMs) => server.drain(spreadMs),
  };
}

function scopeOf(session: DocumentSession): "readonly" | "read-write" {
  return session.mayWrite ? "read-write" : "readonly";
}
