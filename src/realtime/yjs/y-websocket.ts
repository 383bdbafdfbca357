import { readClientMessage, updateMessage } from "../../documents/sync-protocol.js";
import { AppError } from "../../errors.js";
import type { Dialect } from "../server.js";
import { tokenOf } from "../upgrade.js";
import type { DocumentServer } from "./document-server.js";
import { NOTHING } from "./document-server.js";
import { DocumentSession, type SessionVoice } from "./document-session.js";

const PREFIX = "/yjs/";

/** The client cannot be told of a refusal or a role; it learns what was kept by its own update coming back. */
const voice: SessionVoice = {
  prefix: new Uint8Array(),
  kept(session, update) {
    if (update.byteLength > NOTHING) session.say(updateMessage(update));
  },
  refused() {},
  roleChanged() {},
  over: ({ socket }, close, reason) => socket.close(close, reason),
};

/** `/yjs/<workspaceId>/<path>`: one document per socket, npm `y-websocket` as it is. */
export function createYWebsocketDialect(server: DocumentServer): Dialect {
  return {
    serves: (pathname) => pathname.startsWith(PREFIX),
    async upgrade(request, socket, head, url, takeSeat) {
      const name = nameOf(url);
      const { token, ticket } = tokenOf(request, url);
      const holder = await server.authenticate(token, ticket);
      const giveBack = takeSeat(holder.userId);
      try {
        const again = token === undefined ? undefined : () => server.authenticate(token, undefined);
        await server.admission.admit(holder, name, again, ({ membership, projectId, room }) => {
          const accepted = server.accept(request, socket, head, {
            ended: giveBack,
            handle(documentSocket, data) {
              const session = documentSocket.sessions.get("");
              if (session) session.room.receive(session, readClientMessage(data));
            },
          });
          if (!accepted) {
            giveBack();
            return;
          }
          const { userId, sessionId, expiresAt } = holder;
          const identity = { userId, sessionId, projectId, name: membership.name };
          const session = new DocumentSession(identity, membership.role, expiresAt, room, accepted, voice);
          accepted.sessions.set("", session);
          room.join(session);
        });
      } catch (error) {
        giveBack();
        throw error;
      }
    },
    drain: (spreadMs) => server.drain(spreadMs),
  };
}

/** The rest of the path: the provider does not encode it, browsers and Node do. */
function nameOf(url: URL): string {
  try {
    return decodeURIComponent(url.pathname.slice(PREFIX.length));
  } catch (cause) {
    throw new AppError("bad_request", { detail: "The path is not percent-encoded UTF-8.", cause });
  }
}
