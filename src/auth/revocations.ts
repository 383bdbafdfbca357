import type { AuthzEntry } from "../events/authz-log.js";
import type { AccessClaims } from "./access-tokens.js";

/** What was taken back while access tokens for it may still be alive. */
export interface Revocations {
  /** Takes over changes of access, in order. */
  apply(entries: readonly AuthzEntry[]): void;
  /** True when the token's session was ended, or its account disabled after the token was made. */
  covers(claims: AccessClaims): boolean;
}

/**
 * Ended sessions and disabled accounts of the last `keepMs`, in memory.
 *
 * @param deps.keepMs longer than an access token lives.
 * @param deps.elapsed a clock that nobody sets: ms.
 */
export function createRevocations(deps: { keepMs: number; elapsed: () => number }): Revocations {
  const { keepMs, elapsed } = deps;
  // Maps keep the order of insertion, so the oldest entries are at the front.
  const sessions = new Map<string, number>();
  const users = new Map<string, { readonly at: number; readonly createdAt: number }>();

  function forget(now: number): void {
    for (const [id, at] of sessions) {
      if (now - at < keepMs) break;
      sessions.delete(id);
    }
    for (const [id, { at }] of users) {
      if (now - at < keepMs) break;
      users.delete(id);
    }
  }

  return {
    apply(entries) {
      const now = elapsed();
      forget(now);
      for (const { kind, subject, createdAt } of entries) {
        if (kind === "session") {
          sessions.delete(subject);
          sessions.set(subject, now);
        } else if (kind === "user") {
          users.delete(subject);
          users.set(subject, { at: now, createdAt });
        }
      }
    },
    covers({ sessionId, userId, issuedAt }) {
      if (sessions.has(sessionId)) return true;
      const user = users.get(userId);
      // An account can be enabled again: tokens made after the change are good. Tokens are dated in whole seconds; what was
      // made within the second of the change belongs to a session, and those were ended one by one.
      return user !== undefined && issuedAt + 1_000 <= user.createdAt;
    },
  };
}
