import { AppError } from "../errors.js";
import type { Principal, RequestContext } from "../http/route.js";
import type { Database } from "../platform/database/database.js";
import type { AttemptLimits } from "./attempt-limits.js";
import type { Audit } from "./audit.js";
import type { MailRepository } from "./mail-repository.js";
import type { MailSender } from "./mail-sender.js";
import { type MailTokenKind, type MailTokens, mailIdOf } from "./mail-tokens.js";
import { MAIL_LIFETIMES } from "./mails.js";
import type { Passwords } from "./passwords.js";
import type { SessionLifecycle } from "./session-lifecycle.js";
import type { SessionRepository } from "./session-repository.js";
import type { Applied } from "./sessions.js";
import type { UserRepository } from "./user-repository.js";

/** What a mailbox can prove. */
export interface Recovery {
  /** Queues a mail when there is such an account; the answer is the same when there is not. */
  forgot(email: string): Promise<void>;
  /** Sets the password by the token of a mail, and ends every session; @throws AppError `link_expired`, `overloaded`. */
  reset(token: string, password: string, context: RequestContext): Promise<Applied>;
  /** @throws AppError `link_expired`. */
  verifyEmail(token: string, context: RequestContext): Promise<void>;
  /** Queues another mail with a link, unless the address is verified. */
  resendVerification(principal: Principal): Promise<void>;
}

/** Recovery over the mails table: a token works once, for a while, and a newer one takes its place. */
export function createRecovery(deps: {
  database: Database;
  users: UserRepository;
  sessions: SessionRepository;
  mails: MailRepository;
  mailSender: MailSender;
  mailTokens: MailTokens;
  audit: Audit;
  passwords: Passwords;
  limits: AttemptLimits;
  lifecycle: SessionLifecycle;
}): Recovery {
  const { database, users, sessions, mails, mailSender, mailTokens, audit, passwords, limits, lifecycle } =
    deps;

  /** The row behind a token that can be used now; reads only. */
  async function recognise(token: string): Promise<string> {
    const source = await mails.find(database, mailIdOf(token));
    if (!source?.usable || !mailTokens.isGenuine(token, source)) throw new AppError("link_expired");
    return source.id;
  }

  /** Queues a mail with a token for an account that can use it. */
  async function replaceToken(userId: string, kind: MailTokenKind): Promise<void> {
    await database.transaction(async (tx) => {
      // The lock makes two requests at once leave one token.
      const user = await users.lock(tx, userId);
      if (!user || (kind === "verify_email" && user.emailVerifiedAt !== null)) return;
      await mails.voidTokens(tx, userId, [kind]);
      await mails.insert(tx, userId, kind, MAIL_LIFETIMES[kind]);
      tx.afterCommit(() => mailSender.kick());
    });
  }

  return {
    async forgot(email) {
      await limits.mail(email);
      const user = await users.byEmail(database, email);
      if (user) await replaceToken(user.id, "reset_password");
    },
    async reset(token, password, context) {
      const mailId = await recognise(token);
      const passwordHash = await passwords.hash(password);
      const seq = await database.transaction(async (tx) => {
        const userId = await mails.use(tx, mailId, "reset_password");
        const user = userId === undefined ? undefined : await users.lock(tx, userId);
        if (!user) throw new AppError("link_expired");
        await users.setPassword(tx, user.id, passwordHash);
        await users.verifyEmail(tx, user.id);
        await mails.voidTokens(tx, user.id, ["reset_password", "verify_email"]);
        await mails.insert(tx, user.id, "password_changed", MAIL_LIFETIMES.password_changed);
        tx.afterCommit(() => mailSender.kick());
        const ids = await sessions.revokeAll(tx, user.id, undefined, "password_reset");
        await audit.append(tx, { action: "password_reset", userId: user.id, context });
        return lifecycle.announceEnd(tx, { userId: user.id, ids, reason: "password_reset", context });
      });
      return lifecycle.applied(seq);
    },
    async verifyEmail(token, context) {
      const mailId = await recognise(token);
      await database.transaction(async (tx) => {
        const userId = await mails.use(tx, mailId, "verify_email");
        if (userId === undefined) throw new AppError("link_expired");
        if (await users.verifyEmail(tx, userId))
          await audit.append(tx, { action: "email_verified", userId, context });
      });
    },
    async resendVerification(principal) {
      const user = await users.byId(database, principal.userId);
      if (!user || user.emailVerifiedAt !== null) return;
      await limits.mail(user.email);
      await replaceToken(user.id, "verify_email");
    },
  };
}
