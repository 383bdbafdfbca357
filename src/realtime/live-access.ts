import { type AuthzEntry, concerns } from "../events/authz-log.js";
import type { AuthzWatch } from "../events/authz-watch.js";
import type { Role } from "../projects/access.js";
import type { Hub } from "./hub.js";
import type { MessageHandler } from "./messages.js";
import type { Peer } from "./peer.js";

/** What a person may do in a project now. */
export interface Membership {
  readonly role: Role;
  readonly name: string;
}

/** Looks up a membership in the database; undefined when there is none. */
export type LookUpMembership = (projectId: string, userId: string) => Promise<Membership | undefined>;

/** A connection that is being opened: told when its access changed meanwhile. */
export interface Opening {
  readonly userId: string;
  readonly projectId: string;
  readonly sessionId: string;
  /** True when what was looked up before may no longer hold. */
  stale: boolean;
}

/** Applies changes of access to the sockets of this node. */
export interface LiveAccess {
  /** Registers a connection that is being opened; `stale` is set when a change concerns it. */
  opening(who: Omit<Opening, "stale">): Opening;
  opened(opening: Opening): void;
}

/**
 * Follows the access log: what is taken away ends sockets (4401, 4403, 4404) or makes them read-only in place. A change
 * counts as applied only after messages taken up before it have been settled, so nothing is accepted after the answer
 * to the request that made it.
 */
export function createLiveAccess(deps: {
  hub: Hub;
  authzWatch: Pick<AuthzWatch, "onChange">;
  lookUp: LookUpMembership;
  messages: Pick<MessageHandler, "release">;
}): LiveAccess {
  const { hub, lookUp, messages } = deps;
  const openings = new Set<Opening>();

  async function apply(entries: readonly AuthzEntry[]): Promise<void> {
    const touched: Promise<unknown>[] = [];
    for (const entry of entries) {
      for (const opening of openings) if (concerns(entry, opening)) opening.stale = true;
      for (const peer of hub.peers()) {
        if (
          !concerns(entry, { userId: peer.userId, projectId: peer.projectId, sessionId: peer.authSessionId })
        )
          continue;
        touched.push(...peer.inFlight);
        if (entry.kind === "membership") touched.push(review(peer, entry.reason));
        else end(peer, entry);
      }
    }
    await Promise.allSettled(touched);
  }

  function end(peer: Peer, entry: AuthzEntry): void {
    if (entry.kind === "project") {
      peer.send(JSON.stringify({ type: "access.revoked", reason: entry.reason }));
      peer.close("gone", entry.reason);
    } else peer.close("unauthenticated", entry.reason);
  }

  /** Asks again what the person may do; messages wait meanwhile. When it cannot be asked, the socket is closed. */
  async function review(peer: Peer, reason: string): Promise<void> {
    peer.waiting ??= [];
    peer.reviews += 1;
    const turn = peer.reviews;
    let membership: Membership | undefined;
    try {
      membership = await lookUp(peer.projectId, peer.userId);
    } catch {
      peer.close("overloaded", "access cannot be checked");
      return;
    }
    // A change after this one asks again; only what was asked last is known to be current.
    if (turn !== peer.reviews) return;
    if (!membership) {
      peer.send(JSON.stringify({ type: "access.revoked", reason }));
      peer.close("accessRevoked", reason);
      return;
    }
    if (membership.role !== peer.role) {
      peer.role = membership.role;
      peer.send(JSON.stringify({ type: "access.changed", role: membership.role }));
    }
    messages.release(peer);
  }

  deps.authzWatch.onChange(apply);
  return {
    opening(who) {
      const opening = { ...who, stale: false };
      openings.add(opening);
      return opening;
    },
    opened(opening) {
      openings.delete(opening);
    },
  };
}
