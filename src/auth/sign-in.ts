import { randomBytes } from "node:crypto";
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
  /** Signs in as an account that was proven otherwise; @throws AppError `invalid_credentials` for one that is disabled or gone. */
  enter(userId: string, context: RequestContext): Promise<SignedIn>;
  /** The account with this address, made without a password and with its address verified when there is none. */
  provision(input: { readonly email: string; readonly name: string }): Promise<string>;
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

  async function open(userId: string, context: RequestContext, hash?: string): Promise<SignedIn> {
    const opened = await database.transaction(async (tx) => {
      // A password that was changed, or an account disabled, since it was read must not open a session.
      const user = await users.lock(tx, userId, hash);
      if (!user) return undefined;
      await audit.append(tx, { action: "login", userId, context });
      return { user, session: await lifecycle.open(tx, userId, context) };
    });
    if (!opened) throw refusal("invalid_credentials");
    return { user: opened.user, tokens: await lifecycle.pair(opened.session) };
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
        const signedIn = await open(checked.id, context, checked.passwordHash);
        await renewHash(checked, password);
        return signedIn;
      });
    },

    enter: (userId, context) => open(userId, context),

    async provision({ email, name }) {
      const found = await users.byEmail(database, email);
      if (found) return found.id;
      const passwordHash = await passwords.hash(randomBytes(32).toString("base64url"));
      return database.transaction(async (tx) => {
        const made = await users.insert(tx, { email, name, passwordHash });
        if (!made) throw new AppError("email_taken");
        await users.verifyEmail(tx, made.id);
        await audit.append(tx, { action: "registered", userId: made.id, detail: "provisioned" });
        return made.id;
      });
    },
  };
}
