import { createHash } from "node:crypto";
import { AppError, type ErrorCode } from "../errors.js";
import { addressKey, rateLimited } from "../http/rate-limit.js";
import type { RateLimiter, RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";

/** Policies of this feature. */
export interface AuthPolicies {
  /** Wrong passwords of one account from one address. */
  readonly login: RateLimitPolicy;
  /** Wrong passwords of one account from anywhere; not for devices the account was used from. */
  readonly loginAccount: RateLimitPolicy;
  /** Wrong passwords from one address. */
  readonly loginAddress: RateLimitPolicy;
  /** Wrong current passwords of one account when it changes its password. */
  readonly password: RateLimitPolicy;
  /** Registrations and mails asked for by one address. */
  readonly register: RateLimitPolicy;
  /** Registrations and mails for one e-mail address. */
  readonly mail: RateLimitPolicy;
  /** Rotations of one session. */
  readonly refresh: RateLimitPolicy;
  /** Refreshes by one address. */
  readonly refreshAddress: RateLimitPolicy;
}

/** The numbers an operator sets; 0 switches off that policy and the fixed ones beside it. */
export interface AuthLimits {
  /** Failures per account and address in 15 minutes. */
  readonly login: number;
  /** Registrations and mails per address and hour. */
  readonly register: number;
  /** Rotations per session in 15 minutes. */
  readonly refresh: number;
}

const QUARTER_MS = 15 * 60_000;
const HOUR_MS = 3_600_000;

/** The policies with these numbers. */
export function authPolicies(limits: AuthLimits): AuthPolicies {
  const beside = (chosen: number, limit: number) => (chosen === 0 ? 0 : limit);
  return {
    login: { name: "login", limit: limits.login, windowMs: QUARTER_MS },
    loginAccount: { name: "login-account", limit: beside(limits.login, 20), windowMs: HOUR_MS },
    loginAddress: { name: "login-address", limit: beside(limits.login, 100), windowMs: QUARTER_MS },
    password: { name: "password", limit: limits.login, windowMs: QUARTER_MS },
    register: { name: "register", limit: limits.register, windowMs: HOUR_MS },
    mail: { name: "auth-mail", limit: beside(limits.register, 3), windowMs: HOUR_MS },
    refresh: { name: "refresh", limit: limits.refresh, windowMs: QUARTER_MS },
    refreshAddress: { name: "refresh-address", limit: beside(limits.refresh, 600), windowMs: QUARTER_MS },
  };
}

/** Limits that depend on what came out: only failures count. */
export interface AttemptLimits {
  readonly policies: AuthPolicies;
  /**
   * Runs a login. What it throws as `invalid_credentials` is a failure; anything else gives the points back.
   *
   * @throws AppError `rate_limited` before `work` is run.
   */
  login<T>(
    attempt: { readonly ip: string; readonly email: string; readonly knownDevice: boolean },
    work: () => Promise<T>,
  ): Promise<T>;
  /** Runs a check of the current password, whose failure is `wrong_password`. */
  password<T>(userId: string, work: () => Promise<T>): Promise<T>;
  /** Counts a registration or a mail for this e-mail address; @throws AppError `rate_limited`. */
  mail(email: string): Promise<void>;
  /** @throws AppError `rate_limited` when the session has no rotation left. */
  requireRotation(sessionId: string): Promise<void>;
  /** Counts a rotation. */
  rotated(sessionId: string): Promise<void>;
}

type Counter = readonly [policy: RateLimitPolicy, key: string];

/** Limits over the `RateLimiter` port. Points are taken before the work, so that guesses sent at once count too. */
export function createAttemptLimits(deps: { limiter: RateLimiter; policies: AuthPolicies }): AttemptLimits {
  const { limiter, policies } = deps;

  async function guard<T>(
    counters: readonly Counter[],
    failure: ErrorCode,
    work: () => Promise<T>,
  ): Promise<T> {
    const taken: Counter[] = [];
    const giveBack = () => Promise.all(taken.map(([policy, key]) => limiter.refund(policy, key)));
    try {
      for (const [policy, key] of counters) {
        if (policy.limit === 0) continue;
        // One after the other: a refused address must not use up the account's points, or it could lock the owner out.
        const verdict = await limiter.consume(policy, key);
        if (!verdict.allowed) throw rateLimited(policy, verdict);
        taken.push([policy, key]);
      }
      const result = await work();
      await giveBack();
      return result;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== failure) await giveBack();
      throw error;
    }
  }

  return {
    policies,
    login({ ip, email, knownDevice }, work) {
      const address = addressKey(ip);
      const account = accountKey(email);
      const counters: Counter[] = [
        [policies.loginAddress, address],
        [policies.login, `${address} ${account}`],
      ];
      if (!knownDevice) counters.push([policies.loginAccount, account]);
      return guard(counters, "invalid_credentials", work);
    },
    password: (userId, work) => guard([[policies.password, userId]], "wrong_password", work),
    async mail(email) {
      const { mail } = policies;
      if (mail.limit === 0) return;
      const verdict = await limiter.consume(mail, accountKey(email));
      if (!verdict.allowed) throw rateLimited(mail, verdict);
    },
    async requireRotation(sessionId) {
      const { refresh } = policies;
      if (refresh.limit === 0) return;
      const verdict = await limiter.consume(refresh, sessionId, 0);
      if (!verdict.allowed) throw rateLimited(refresh, verdict);
    },
    async rotated(sessionId) {
      if (policies.refresh.limit > 0) await limiter.consume(policies.refresh, sessionId);
    },
  };
}

/** Limits are kept in a shared store, where addresses have no business. */
function accountKey(email: string): string {
  return createHash("sha256").update(email).digest("base64url").slice(0, 22);
}
