import type { AuthzChange, AuthzLog } from "../events/authz-log.js";
import type { AuthzWatch } from "../events/authz-watch.js";
import type { RequestContext } from "../http/route.js";
import type { Tx } from "../platform/database/database.js";
import type { AccessTokens } from "./access-tokens.js";
import type { Audit, AuditAction } from "./audit.js";
import { deviceName, ipPrefix } from "./devices.js";
import type { RefreshTokens } from "./refresh-tokens.js";
import type { SessionLifetimes, SessionRecord, SessionRepository } from "./session-repository.js";

/** What a client gets to act for an account. */
export interface TokenPair {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Life of the access token in seconds. */
  readonly expiresIn: number;
  readonly tokenType: "Bearer";
}

/** Sessions of an account that were ended together. */
export interface EndedSessions {
  readonly userId: string;
  readonly ids: readonly string[];
  readonly reason: string;
  /** Undefined for what an operator does. */
  readonly context: RequestContext | undefined;
  /** How the record calls it; default `sessions_ended`. */
  readonly action?: AuditAction;
}

/** The beginning and the end of sessions, for every use case. */
export interface SessionLifecycle {
  /** Opens a session; beyond the limit of devices the one unused for longest ends. Call it last in the transaction. */
  open(tx: Tx, userId: string, context: RequestContext): Promise<SessionRecord>;
  /** Records that sessions were ended and tells every node; call it last in the transaction. Gives the seq to wait for. */
  announceEnd(tx: Tx, ended: EndedSessions, more?: readonly AuthzChange[]): Promise<number | undefined>;
  /** Waits until no node accepts what was taken back; false when one may still do so for a moment; undefined without a seq. */
  applied(seq: number | undefined): Promise<boolean | undefined>;
  /** The tokens of the session's current counter. */
  pair(session: SessionRecord): Promise<TokenPair>;
}

/** Devices one account can be signed in on. */
export const MAX_SESSIONS = 20;

/** The life of sessions over the repository and the access log. */
export function createSessionLifecycle(deps: {
  sessions: SessionRepository;
  audit: Audit;
  authzLog: AuthzLog;
  authzWatch: Pick<AuthzWatch, "settled">;
  accessTokens: AccessTokens;
  refreshTokens: RefreshTokens;
  lifetimes: SessionLifetimes;
}): SessionLifecycle {
  const { sessions, audit, authzLog, authzWatch, accessTokens, refreshTokens, lifetimes } = deps;

  async function announceEnd(
    tx: Tx,
    { userId, ids, reason, context, action = "sessions_ended" }: EndedSessions,
    more: readonly AuthzChange[] = [],
  ): Promise<number | undefined> {
    const changes = [
      ...ids.map((subject) => ({ kind: "session" as const, subject, projectId: null, reason })),
      ...more,
    ];
    if (changes.length === 0) return undefined;
    await audit.append(tx, {
      action,
      userId,
      sessionId: ids.length === 1 ? ids[0] : undefined,
      context,
      detail: ids.length === 1 ? reason : `${reason}: ${ids.join(" ")}`,
    });
    return authzLog.append(tx, changes);
  }

  return {
    async open(tx, userId, context) {
      const { userAgent, ip } = context;
      const device = { name: deviceName(userAgent), userAgent, ipPrefix: ipPrefix(ip) };
      const session = await sessions.insert(tx, userId, device, lifetimes);
      const ids = await sessions.evict(tx, userId, MAX_SESSIONS);
      await announceEnd(tx, { userId, ids, reason: "evicted", context });
      return session;
    },
    announceEnd,
    async applied(seq) {
      if (seq === undefined) return undefined;
      try {
        return await authzWatch.settled(seq);
      } catch {
        // The change is committed; only the view of the other nodes is unknown.
        return false;
      }
    },
    async pair(session) {
      const { token, expiresIn } = await accessTokens.issue(
        { userId: session.userId, sessionId: session.id, generation: session.counter },
        session.remainingMs,
      );
      return {
        accessToken: token,
        refreshToken: refreshTokens.issue(session, session.counter),
        expiresIn,
        tokenType: "Bearer",
      };
    },
  };
}
