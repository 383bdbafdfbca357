import { dependencyUnavailable } from "../errors.js";
import type { RequestContext } from "../http/route.js";
import type { Database } from "../platform/database/database.js";
import type { AttemptLimits } from "./attempt-limits.js";
import type { Audit } from "./audit.js";
import type { MailRepository } from "./mail-repository.js";
import type { MailSender } from "./mail-sender.js";
import { MAIL_LIFETIMES } from "./mails.js";
import { judgeRotation, type RefreshTokens } from "./refresh-tokens.js";
import { refusal } from "./refusals.js";
import type { SessionLifecycle, TokenPair } from "./session-lifecycle.js";
import type { SessionLifetimes, SessionRecord, SessionRepository } from "./session-repository.js";

/** Exchanges refresh tokens. */
export interface Refresh {
  /**
   * @throws AppError `invalid_token` for what is no refresh token, `session_expired`, `session_revoked`, `refresh_reused`,
   * `rate_limited`.
   */
  refresh(token: string, context: RequestContext): Promise<TokenPair>;
  /** The session and account of a genuine refresh token, whatever their state; nothing is changed. */
  holder(token: string): Promise<{ readonly sessionId: string; readonly userId: string } | undefined>;
}

/**
 * Rotation with reuse detection. One conditional UPDATE decides a race; whoever loses it, or lost the answer, is given the
 * same successor as long as that one is unused or ten seconds young. A token older than the parent of the current one, or
 * its parent after that, was copied: the session ends.
 */
export function createRefresh(deps: {
  database: Database;
  sessions: SessionRepository;
  mails: MailRepository;
  mailSender: MailSender;
  audit: Audit;
  refreshTokens: RefreshTokens;
  limits: AttemptLimits;
  lifecycle: SessionLifecycle;
  lifetimes: SessionLifetimes;
}): Refresh {
  const { database, sessions, mails, mailSender, audit, refreshTokens, limits, lifecycle, lifetimes } = deps;

  /** The session of a token that this server made; reads only, so that forged tokens cannot change anything. */
  async function recognise(token: string): Promise<{ session: SessionRecord; n: number } | undefined> {
    const presented = refreshTokens.parse(token);
    if (!presented) throw refusal("invalid_token");
    const session = await sessions.find(database, presented.sessionId);
    if (!refreshTokens.isGenuine(presented, session?.salt) || !session) return undefined;
    return { session, n: presented.n };
  }

  async function endReused(session: SessionRecord, context: RequestContext): Promise<void> {
    const seq = await database.transaction(async (tx) => {
      const ids = await sessions.revoke(tx, session.userId, [session.id], "reuse");
      // Of many requests at once, one ends it and reports it.
      if (ids.length === 0) return undefined;
      await mails.insert(tx, session.userId, "session_reused", MAIL_LIFETIMES.session_reused);
      tx.afterCommit(() => mailSender.kick());
      return lifecycle.announceEnd(tx, {
        userId: session.userId,
        ids,
        reason: "reuse",
        context,
        action: "refresh_reused",
      });
    });
    await lifecycle.applied(seq);
  }

  async function withoutRotation(id: string, n: number, context: RequestContext): Promise<TokenPair> {
    const session = await sessions.find(database, id);
    const verdict = session ? judgeRotation(session, n) : "expired";
    if (!session || verdict === "expired") throw refusal("session_expired");
    switch (verdict) {
      case "successor":
        return lifecycle.pair(session);
      case "revoked":
        throw refusal("session_revoked");
      case "reused":
        await endReused(session, context);
        throw refusal("refresh_reused");
      case "ahead":
        // The database is older than the token: a backup was restored. Nothing says that this device held the token alone.
        await audit.append(database, {
          action: "refresh_ahead",
          userId: session.userId,
          sessionId: id,
          context,
        });
        throw refusal("session_expired");
      case "undecided":
        throw dependencyUnavailable("session store");
    }
  }

  return {
    async refresh(token, context) {
      const known = await recognise(token);
      // The client can do nothing with it but sign in again, and learns nothing about which sessions exist.
      if (!known) throw refusal("session_expired");
      const { session, n } = known;
      if (session.counter === n && session.active && !session.expired) {
        await limits.requireRotation(session.id);
        const rotated = await sessions.rotate(database, session.id, n, lifetimes.idleMs);
        if (rotated) {
          await limits.rotated(session.id);
          return lifecycle.pair(rotated);
        }
      }
      return withoutRotation(session.id, n, context);
    },
    async holder(token) {
      if (!refreshTokens.parse(token)) return undefined;
      const known = await recognise(token);
      return known && { sessionId: known.session.id, userId: known.session.userId };
    },
  };
}
