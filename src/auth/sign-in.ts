import { AppError } from "../errors.js";
import type { Outbox } from "../events/outbox.js";
import type { RequestContext } from "../http/route.js";
import type { Database } from "../platform/database/database.js";
import type { AttemptLimits } from "./attempt-limits.js";
import type { Audit } from "./audit.js";
import { ipPrefix } from "./devices.js";
import type { MailRepository } from "./mail-repository.js";
import type { MailSender } from "./mail-sender.js";
import { MAIL_LIFETIMES } from "./mails.js";
import type { Passwords } from "./passwords.js";
import { refusal } from "./refusals.js";
import type { SessionLifecycle, TokenPair } from "./session-lifecycle.js";
import type { User, UserRepository } from "./user-repository.js";

/** An account, and tokens to act for it. */
export interface SignedIn {
  readonly user: User;
  readonly tokens: TokenPair;
}

/** E-mail (canonical) and password. */
export interface Credentials {
  readonly email: string;
  readonly password: string;
}

/** The ways into the service. */
export interface SignIn {
  /** Makes an account; @throws AppError `email_taken`, `rate_limited`, `overloaded`. */
  register(input: Credentials & { readonly name: string }, context: RequestContext): Promise<SignedIn>;
  /** @throws AppError `invalid_credentials`, `rate_limited`, `overloaded`. */
  login(input: Credentials, context: RequestContext): Promise<SignedIn>;
}

/** Registration and login. Both cost one hash whether the account exists or not. */
export function createSignIn(deps: {
  database: Database;
  users: UserRepository;
  mails: MailRepository;
  mailSender: MailSender;
  audit: Audit;
  outbox: Outbox;
  passwords: Passwords;
  limits: AttemptLimits;
  lifecycle: SessionLifecycle;
}): SignIn {
  const { database, users, mails, mailSender, audit, outbox, passwords, limits, lifecycle } = deps;

  async function checkPassword(
    user: User | undefined,
    password: string,
    context: RequestContext,
  ): Promise<User> {
    const matches = await passwords.verify(password, user?.passwordHash);
    if (matches && user && user.disabledAt === null) return user;
    await audit.append(database, { action: "login_failed", userId: user?.id ?? null, context });
    throw refusal("invalid_credentials");
  }

  /** The number of rounds was changed since the account last signed in. */
  async function renewHash(user: User, password: string): Promise<void> {
    if (!passwords.isOutdated(user.passwordHash)) return;
    try {
      await users.rehash(database, user.id, user.passwordHash, await passwords.hash(password));
    } catch {
      // Too busy now; the next login tries again.
    }
  }

  return {
    async register({ email, password, name }, context) {
      await limits.mail(email);
      const passwordHash = await passwords.hash(password);
      const { user, session } = await database.transaction(async (tx) => {
        const made = await users.insert(tx, { email, name, passwordHash });
        if (!made) throw new AppError("email_taken");
        await mails.insert(tx, made.id, "verify_email", MAIL_LIFETIMES.verify_email);
        await audit.append(tx, { action: "registered", userId: made.id, context });
        await outbox.append(tx, {
          type: "user_registered",
          payload: { name },
          projectId: null,
          userId: made.id,
        });
        tx.afterCommit(() => mailSender.kick());
        return { user: made, session: await lifecycle.open(tx, made.id, context) };
      });
      return { user, tokens: await lifecycle.pair(session) };
    },

    async login({ email, password }, context) {
      const found = await users.forLogin(database, email, ipPrefix(context.ip));
      return limits.login({ ip: context.ip, email, knownDevice: found.knownDevice }, async () => {
        const checked = await checkPassword(found.user, password, context);
        const opened = await database.transaction(async (tx) => {
          // A password that was changed, or an account disabled, since it was read must not open a session.
          const user = await users.lock(tx, checked.id, checked.passwordHash);
          if (!user) return undefined;
          await audit.append(tx, { action: "login", userId: user.id, context });
          return { user, session: await lifecycle.open(tx, user.id, context) };
        });
        if (!opened) throw refusal("invalid_credentials");
        await renewHash(checked, password);
        return { user: opened.user, tokens: await lifecycle.pair(opened.session) };
      });
    },
  };
}
