import type { Documents } from "../../documents/documents.js";
import type { AuthzWatch } from "../../events/authz-watch.js";
import type { Clock } from "../../platform/clock.js";
import type { Logger } from "../../platform/observability/logger.js";
import type { LiveAccess, LookUpMembership } from "../live-access.js";
import type { AuthenticateToken } from "../messages.js";
import type { Dialect } from "../server.js";
import { createDocumentAdmission } from "./admission.js";
import { followAccess } from "./document-access.js";
import { createDocumentServer } from "./document-server.js";
import { createHocuspocusDialect } from "./hocuspocus.js";
import { createYWebsocketDialect } from "./y-websocket.js";

/** The dialects of live documents. */
export function createYjsDialects(deps: {
  documents: Documents;
  liveAccess: LiveAccess;
  lookUp: LookUpMembership;
  authzWatch: Pick<AuthzWatch, "fresh" | "onChange">;
  authenticateToken: AuthenticateToken;
  authenticateTicket: AuthenticateToken;
  bytesPerSecond: number;
  clock: Clock;
  logger: Logger;
  observer: { opened(): void; closed(code: number): void };
}): readonly Dialect[] {
  const { documents } = deps;
  const server = createDocumentServer({
    ...deps,
    admission: createDocumentAdmission(deps),
    release: ({ room }) => documents.rooms.release(room),
  });
  followAccess({ ...deps, sockets: server.sockets });
  return [createYWebsocketDialect(server), createHocuspocusDialect(server)];
}
