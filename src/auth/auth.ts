import type { AuthzLog } from "../events/authz-log.js";
import type { AuthzWatch } from "../events/authz-watch.js";
import type { Outbox } from "../events/outbox.js";
import type { Route } from "../http/route.js";
import type { Cache } from "../platform/cache/cache.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Sql, Tx } from "../platform/database/database.js";
import type { Mailer } from "../platform/mail/mailer.js";
import type { Logger } from "../platform/observability/logger.js";
import type { RateLimiter, RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";
import { createAccessTokens } from "./access-tokens.js";
import { type AccountService, createAccountService } from "./account.js";
import { type AuthLimits, authPolicies, createAttemptLimits } from "./attempt-limits.js";
import { createAudit } from "./audit.js";
import { type AccessAuthenticator, createAuthenticator } from "./authenticate.js";
import { createConfirmations } from "./confirmations.js";
import { deriveKeys } from "./keys.js";
import { createMailRepository } from "./mail-repository.js";
import { createMailSender } from "./mail-sender.js";
import { createMailTokens } from "./mail-tokens.js";
import { createPasswords } from "./passwords.js";
import { createRecovery } from "./recovery.js";
import { recoveryRoutes } from "./recovery-routes.js";
import { createRefresh } from "./refresh.js";
import { createRefreshTokens } from "./refresh-tokens.js";
import { createRevocations } from "./revocations.js";
import { accountRoutes } from "./routes.js";
import { createSessionLifecycle } from "./session-lifecycle.js";
import { createSessionRepository, type SessionLifetimes } from "./session-repository.js";
import { sessionRoutes } from "./session-routes.js";
import { createSessions } from "./sessions.js";
import { createSignIn, type SignIn } from "./sign-in.js";
import { createSignInLinks, type SignInLinks } from "./sign-in-links.js";
import { createTickets } from "./tickets.js";
import { createUserRepository, type User } from "./user-repository.js";

/** The part of the configuration this feature uses. */
export interface AuthConfig {
  /** `JWT_SECRET`; secrets after the first are only still accepted. */
  readonly accessSecrets: readonly [string, ...string[]];
  /** `JWT_REFRESH_SECRET`; secrets after the first are only still accepted, and only for refresh tokens. */
  readonly refreshSecrets: readonly [string, ...string[]];
  readonly accessTtlMs: number;
  readonly sessions: SessionLifetimes;
  readonly bcryptRounds: number;
  /** Base of links in mails, without a trailing slash. */
  readonly publicUrl: string;
  readonly limits: AuthLimits;
  /** Links that sign in without a password may be made: never in production. */
  readonly signInLinks: boolean;
}

/** What the feature stands on. */
export interface AuthDeps {
  readonly config: AuthConfig;
  readonly database: Database;
  readonly clock: Clock;
  readonly outbox: Outbox;
  readonly authzLog: AuthzLog;
  /** Not started yet, so that nothing of its first reading is missed; its `recentMs` is {@link authzHistoryMs}. */
  readonly authzWatch: AuthzWatch;
  readonly mailer: Mailer;
  readonly cache: Cache;
  readonly limiter: RateLimiter;
  readonly logger: Logger;
}

/** An account as other features see it. */
export interface DirectoryEntry {
  readonly id: string;
  /** Canonical. */
  readonly email: string;
  readonly name: string;
  readonly emailVerified: boolean;
  readonly disabled: boolean;
}

/** Accounts for other features, inside their own transactions where they have one. */
export interface Directory {
  /** @param email in canonical form (`canonicalEmail`). */
  findByEmail(sql: Sql, email: string): Promise<DirectoryEntry | undefined>;
  findById(sql: Sql, userId: string): Promise<DirectoryEntry | undefined>;
  /** Notes that the mailbox was proven; does nothing when it was before. */
  markEmailVerified(tx: Tx, userId: string): Promise<void>;
}

/** The feature, ready to be mounted. */
export interface Auth {
  readonly routes: readonly Route[];
  readonly authenticator: AccessAuthenticator;
  readonly directory: Directory;
  /** For operators: disabling and enabling. */
  readonly accounts: Pick<AccountService, "disable" | "enable">;
  /** For trying the service out: links that sign in, and accounts to sign in as. */
  readonly trial: Pick<SignInLinks, "issue"> &
    Pick<SignIn, "enter" | "provision"> & {
      /** True while nobody has an account. */
      isEmpty(): Promise<boolean>;
    };
  /** Every policy applied here, for `GET /limits`. */
  readonly policies: readonly RateLimitPolicy[];
  /** Begins to send mails. */
  start(): void;
  /** Ends after the mails and writes under way. */
  stop(): Promise<void>;
  /** Housekeeping: deletes what is over, at most `limit` of each kind. */
  prune(limit: number): Promise<void>;
}

/** Clocks of nodes and database may differ by this much when tokens and their revocations are compared. */
const CLOCK_SLACK_MS = 60_000;

/** How much of the access log a node has to know: the life of an access token, and a little more. */
export function authzHistoryMs(accessTtlMs: number): number {
  return accessTtlMs + CLOCK_SLACK_MS;
}

/** Accounts, sessions and what proves them. */
export function createAuth(deps: AuthDeps): Auth {
  const { config, database, clock, authzWatch, logger } = deps;
  const keys = deriveKeys(config.refreshSecrets[0]);
  const policies = authPolicies(config.limits);

  const users = createUserRepository();
  const sessionRepository = createSessionRepository();
  const mails = createMailRepository();
  const audit = createAudit();

  const accessTokens = createAccessTokens({
    secrets: config.accessSecrets,
    ttlMs: config.accessTtlMs,
    clock,
  });
  const [, ...olderSecrets] = config.refreshSecrets;
  const refreshTokens = createRefreshTokens([
    keys.refresh,
    ...olderSecrets.map((secret) => deriveKeys(secret).refresh),
  ]);
  const mailTokens = createMailTokens(keys.mailTokens);
  const tickets = createTickets({ cache: deps.cache, clock, key: keys.tickets });

  const mailSender = createMailSender({
    database,
    mails,
    tokens: mailTokens,
    mailer: deps.mailer,
    publicUrl: config.publicUrl,
    logger,
  });
  const confirmations = createConfirmations({ database, sessions: sessionRepository, logger });
  const revocations = createRevocations({
    keepMs: authzHistoryMs(config.accessTtlMs),
    elapsed: () => performance.now(),
  });
  authzWatch.onChange((entries) => revocations.apply(entries));

  const shared = {
    ...deps,
    users,
    sessions: sessionRepository,
    mails,
    mailSender,
    mailTokens,
    audit,
    refreshTokens,
    accessTokens,
    passwords: createPasswords({ rounds: config.bcryptRounds }),
    limits: createAttemptLimits({ limiter: deps.limiter, policies }),
    lifetimes: config.sessions,
  };
  const lifecycle = createSessionLifecycle(shared);
  const account = createAccountService({ ...shared, lifecycle });
  const refresh = createRefresh({ ...shared, lifecycle });
  const sessions = createSessions({ database, sessions: sessionRepository, refresh, lifecycle });

  const signIn = createSignIn({ ...shared, lifecycle });
  const links = createSignInLinks({ clock, allowed: config.signInLinks });

  return {
    routes: [
      ...accountRoutes({ signIn, links, refresh, account, policies }),
      ...sessionRoutes({ sessions, tickets, clock }),
      ...recoveryRoutes({ recovery: createRecovery({ ...shared, lifecycle }), policies }),
    ],
    authenticator: createAuthenticator({ accessTokens, tickets, revocations, confirmations, authzWatch }),
    directory: {
      findByEmail: async (sql, email) => toEntry(await users.byEmail(sql, email)),
      findById: async (sql, userId) => toEntry(await users.byId(sql, userId)),
      async markEmailVerified(tx, userId) {
        if (await users.verifyEmail(tx, userId))
          await audit.append(tx, { action: "email_verified", userId, detail: "invitation" });
      },
    },
    accounts: account,
    trial: {
      issue: (give) => links.issue(give),
      enter: (userId, context) => signIn.enter(userId, context),
      provision: (input) => signIn.provision(input),
      isEmpty: () => users.isEmpty(database),
    },
    policies: Object.values(policies),
    start: () => mailSender.start(),
    async stop() {
      await Promise.all([mailSender.stop(), confirmations.stop()]);
    },
    async prune(limit) {
      await sessionRepository.prune(database, limit);
      await mails.prune(database, limit);
      await audit.prune(database, limit);
    },
  };
}

function toEntry(user: User | undefined): DirectoryEntry | undefined {
  return (
    user && {
      id: user.id,
      email: user.email,
      name: user.name,
      emailVerified: user.emailVerifiedAt !== null,
      disabled: user.disabledAt !== null,
    }
  );
}
