import { type AuthzEntry, concerns } from "../../events/authz-log.js";
import type { AuthzWatch } from "../../events/authz-watch.js";
import type { LookUpMembership, Membership } from "../live-access.js";
import type { DocumentSession, EditorSocket } from "./document-session.js";

/**
 * Applies changes of access to open documents: what is taken away ends them (4401, 4403, 4404) or makes them read-only in
 * place. A change counts as applied when edits taken up before it were answered.
 */
export function followAccess(deps: {
  sockets: ReadonlySet<EditorSocket>;
  authzWatch: Pick<AuthzWatch, "onChange">;
  lookUp: LookUpMembership;
}): void {
  const { sockets, lookUp } = deps;

  async function apply(entries: readonly AuthzEntry[]): Promise<void> {
    const touched: Promise<unknown>[] = [];
    for (const entry of entries) {
      for (const socket of sockets) {
        for (const session of socket.sessions.values()) {
          if (!concerns(entry, session)) continue;
          touched.push(session.room.allSettled());
          if (entry.kind === "membership") touched.push(review(session, entry.reason));
          else if (entry.kind === "project") session.finish("gone", entry.reason);
          else socket.close("unauthenticated", entry.reason);
        }
      }
    }
    await Promise.allSettled(touched);
  }

  /** Asks again what the person may do; what they send waits meanwhile. */
  async function review(session: DocumentSession, reason: string): Promise<void> {
    const { socket } = session;
    session.reviews += 1;
    const turn = session.reviews;
    socket.reviews += 1;
    socket.transport.pause();
    try {
      const membership = await lookUp(session.projectId, session.userId);
      // A change after this one asks again; only what was asked last is known to be current.
      if (turn === session.reviews) adopt(session, membership, reason);
    } catch {
      socket.close("overloaded", "access cannot be checked");
    } finally {
      socket.reviews -= 1;
      socket.work();
    }
  }

  function adopt(session: DocumentSession, membership: Membership | undefined, reason: string): void {
    if (!membership) {
      session.finish("accessRevoked", reason);
      return;
    }
    if (membership.role === session.role) return;
    session.role = membership.role;
    session.voice.roleChanged(session);
  }

  deps.authzWatch.onChange(apply);
}
