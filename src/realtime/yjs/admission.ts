import type { Documents } from "../../documents/documents.js";
import type { Room } from "../../documents/room.js";
import { AppError } from "../../errors.js";
import type { LiveAccess, LookUpMembership, Membership } from "../live-access.js";
import type { AuthenticateToken } from "../messages.js";

/** Somebody with a good token. */
export type Holder = Awaited<ReturnType<AuthenticateToken>>;

/** Somebody who may open a document. */
export interface Admitted {
  readonly holder: Holder;
  readonly membership: Membership;
  readonly projectId: string;
  readonly room: Room;
}

/** Lets people to documents. */
export interface DocumentAdmission {
  /**
   * Finds the document `name` (`<workspaceId>/<path>`), opens its room and calls `enter`, in the same turn in which access
   * was last known to hold. @throws AppError `not_found`, or 503 codes.
   */
  admit(
    holder: Holder,
    name: string,
    reauthenticate: (() => Promise<unknown>) | undefined,
    enter: (admitted: Admitted) => void,
  ): Promise<void>;
}

const NAME = /^\/?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/(.+)$/is;

/** Admission by workspaces, memberships and the documents' rooms. */
export function createDocumentAdmission(deps: {
  documents: Documents;
  liveAccess: LiveAccess;
  lookUp: LookUpMembership;
}): DocumentAdmission {
  const { documents, liveAccess, lookUp } = deps;
  const busy = () => new AppError("overloaded", { headers: { "Retry-After": "1" } });
  return {
    async admit(holder, name, reauthenticate, enter) {
      const [, workspaceId, path] = NAME.exec(name) ?? [];
      if (workspaceId === undefined || path === undefined) throw new AppError("not_found");
      const projectId = await documents.projectOf(holder.userId, workspaceId.toLowerCase());
      const opening = liveAccess.opening({ ...holder, projectId });
      try {
        const documentId = await documents.openDocument(holder.userId, workspaceId.toLowerCase(), path);
        await documents.rooms.use(documentId, async (room) => {
          let membership = await lookUp(projectId, holder.userId);
          if (opening.stale) {
            if (!reauthenticate) throw busy();
            opening.stale = false;
            await reauthenticate();
            membership = await lookUp(projectId, holder.userId);
            if (opening.stale) throw busy();
          }
          if (!membership) throw new AppError("not_found");
          if (!documents.rooms.isOpen(room)) throw busy();
          enter({ holder, membership, projectId, room });
        });
      } finally {
        liveAccess.opened(opening);
      }
    },
  };
}
