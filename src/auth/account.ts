import { AppError } from "../errors.js";
import { versionMismatch } from "../http/etag.js";
import type { Principal, RequestContext } from "../http/route.js";
import type { Database } from "../platform/database/database.js";
import type { AttemptLimits } from "./attempt-limits.js";
import type { Audit } from "./audit.js";
import type { MailRepository } from "./mail-repository.js";
import type { MailSender } from "./mail-sender.js";
import { MAIL_LIFETIMES } from "./mails.js";
import type { Passwords } from "./passwords.js";
import { refusal } from "./refusals.js";
import type { SessionLifecycle } from "./session-lifecycle.js";
import type { SessionRepository } from "./session-repository.js";
import type { Applied } from "./sessions.js";
import type { User, UserRepository } from "./user-repository.js";

/** What an account does to itself, and an operator to it. */
export interface AccountService {
  get(principal: Principal): Promise<User>;
  /** @throws AppError `version_mismatch` when `ifVersion` is not the account's version. */
  rename(principal: Principal, name: string | undefined, ifVersion: number | undefined): Promise<User>;
  /** Ends every other session; @throws AppError `wrong_password`, `rate_limited`, `overloaded`. */
  changePassword(
    principal: Principal,
    input: { readonly currentPassword: string; readonly newPassword: string },
    context: RequestContext,
  ): Promise<Applied>;
  /** Ends every session of the account and lets it open none; nothing happens the second time. */
  disable(userId: string): Promise<Applied>;
  /** Lets a disabled account sign in again. */
  enable(userId: string): Promise<void>;
}

/** Accounts over the repositories. */
export function createAccountService(deps: {
  database: Database;
  users: UserRepository;
  sessions: SessionRepository;
  mails: MailRepository;
  mailSender: MailSender;
  audit: Audit;
  passwords: Passwords;
  limits: AttemptLimits;
  lifecycle: SessionLifecycle;
}): AccountService {
  const { database, users, sessions, mails, mailSender, audit, passwords, limits, lifecycle } = deps;

  async function get({ userId }: Principal): Promise<User> {
    const user = await users.byId(database, userId);
    if (!user) throw refusal("session_revoked");
    return user;
  }

  async function checkPassword(
    principal: Principal,
    password: string,
    context: RequestContext,
  ): Promise<User> {
    const user = await get(principal);
    if (await passwords.verify(password, user.passwordHash)) return user;
    const { userId, sessionId } = principal;
    await audit.append(database, { action: "password_refused", userId, sessionId, context });
    throw new AppError("wrong_password");
  }

  return {
    get,
    async rename(principal, name, ifVersion) {
      const renamed =
        name === undefined ? undefined : await users.rename(database, principal.userId, name, ifVersion);
      if (renamed) return renamed;
      const user = await get(principal);
      if (ifVersion !== undefined && ifVersion !== user.version) throw versionMismatch(user.version);
      return user;
    },
    async changePassword(principal, { currentPassword, newPassword }, context) {
      const { userId, sessionId } = principal;
      const checked = await limits.password(userId, () => checkPassword(principal, currentPassword, context));
      const passwordHash = await passwords.hash(newPassword);
      const seq = await database.transaction(async (tx) => {
        // Of two changes at once the second one has shown a password that is no longer the current one.
        if (!(await users.lock(tx, userId, checked.passwordHash))) throw new AppError("wrong_password");
        await users.setPassword(tx, userId, passwordHash);
        await mails.voidTokens(tx, userId, ["reset_password", "verify_email"]);
        await mails.insert(tx, userId, "password_changed", MAIL_LIFETIMES.password_changed);
        tx.afterCommit(() => mailSender.kick());
        await sessions.touchAuthTime(tx, sessionId);
        const ids = await sessions.revokeAll(tx, userId, sessionId, "password_changed");
        await audit.append(tx, { action: "password_changed", userId, sessionId, context });
        return lifecycle.announceEnd(tx, { userId, ids, reason: "password_changed", context });
      });
      return lifecycle.applied(seq);
    },
    async disable(userId) {
      const seq = await database.transaction(async (tx) => {
        if (!(await users.setDisabled(tx, userId, true))) return undefined;
        await mails.voidTokens(tx, userId, ["reset_password", "verify_email"]);
        const ids = await sessions.revokeAll(tx, userId, undefined, "disabled");
        return lifecycle.announceEnd(
          tx,
          { userId, ids, reason: "disabled", context: undefined, action: "disabled" },
          [{ kind: "user", subject: userId, projectId: null, reason: "disabled" }],
        );
      });
      return lifecycle.applied(seq);
    },
    async enable(userId) {
      await database.transaction(async (tx) => {
        if (await users.setDisabled(tx, userId, false)) await audit.append(tx, { action: "enabled", userId });
      });
    },
  };
}
