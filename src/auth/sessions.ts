import { AppError } from "../errors.js";
import type { Page, Principal, RequestContext } from "../http/route.js";
import type { Database, Tx } from "../platform/database/database.js";
import type { Refresh } from "./refresh.js";
import type { SessionLifecycle } from "./session-lifecycle.js";
import type { SessionRepository, SessionView } from "./session-repository.js";

/** Whether every node works with the change; undefined when there was nothing to change. */
export type Applied = boolean | undefined;

/** The devices of an account. */
export interface Sessions {
  /** Alive sessions, newest first. */
  list(
    principal: Principal,
    page: Page<{ readonly id: string }>,
  ): Promise<{ readonly sessions: readonly SessionView[]; readonly nextCursor: string | null }>;
  /** Ends one session of the account; @throws AppError `not_found` for one it never had. */
  end(principal: Principal, sessionId: string, context: RequestContext): Promise<Applied>;
  /** Ends the session of the request, and that of the refresh token when it belongs to the same account. */
  logout(principal: Principal, refreshToken: string | undefined, context: RequestContext): Promise<Applied>;
  /** Ends every session, or every other one. */
  logoutAll(principal: Principal, keepCurrent: boolean, context: RequestContext): Promise<Applied>;
}

/** Devices over the session repository. Ending a session twice is the same as once. */
export function createSessions(deps: {
  database: Database;
  sessions: SessionRepository;
  refresh: Refresh;
  lifecycle: SessionLifecycle;
}): Sessions {
  const { database, sessions, refresh, lifecycle } = deps;

  async function end(
    { userId }: Principal,
    reason: string,
    context: RequestContext,
    revoke: (tx: Tx) => Promise<readonly string[]>,
  ): Promise<Applied> {
    const seq = await database.transaction(async (tx) =>
      lifecycle.announceEnd(tx, { userId, ids: await revoke(tx), reason, context }),
    );
    return lifecycle.applied(seq);
  }

  return {
    async list({ userId }, page) {
      const rows = await sessions.list(database, userId, page.limit + 1, page.after?.id);
      const shown = rows.slice(0, page.limit);
      const last = rows.length > page.limit ? shown.at(-1) : undefined;
      return { sessions: shown, nextCursor: page.next(last && { id: last.id }) };
    },
    async end(principal, sessionId, context) {
      if (!(await sessions.belongsTo(database, sessionId, principal.userId))) throw new AppError("not_found");
      return end(principal, "ended", context, (tx) =>
        sessions.revoke(tx, principal.userId, [sessionId], "ended"),
      );
    },
    async logout(principal, refreshToken, context) {
      const ids = [principal.sessionId];
      const other = refreshToken === undefined ? undefined : await refresh.holder(refreshToken);
      if (other && other.userId === principal.userId) ids.push(other.sessionId);
      return end(principal, "logout", context, (tx) => sessions.revoke(tx, principal.userId, ids, "logout"));
    },
    logoutAll: (principal, keepCurrent, context) =>
      end(principal, "logout_all", context, (tx) =>
        sessions.revokeAll(tx, principal.userId, keepCurrent ? principal.sessionId : undefined, "logout_all"),
      ),
  };
}
