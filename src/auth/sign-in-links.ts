import { createHash, randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { AppError } from "../errors.js";
import type { Clock } from "../platform/clock.js";

/** How long a link can be used, in ms. */
const LIFE_MS = 3_600_000;

/** The form of a token. */
export const SIGN_IN_LINK_FORM = /^lnk1\.[\w-]{43}$/;

/** Links that sign in without a password, once: for the person at this machine, while the service is tried out. */
export interface SignInLinks {
  /**
   * Makes a token. @param account gives the account to sign in as, when the link is used; it may make it first.
   *
   * @throws Error where links are not allowed.
   */
  issue(account: () => Promise<string>): string;
  /**
   * Uses a token up by what `enter` makes of its account. What fails on the way (a store that is away) does not use it up.
   *
   * @param ip where the request came from; anything but this machine is refused as if there was no such link.
   * @throws AppError `link_expired`.
   */
  redeem<T>(token: string, ip: string, enter: (account: string) => Promise<T>): Promise<T>;
}

interface Waiting {
  readonly account: () => Promise<string>;
  readonly expiresAt: number;
}

/** Links of this process, which end with it; `allowed` is false in production. */
export function createSignInLinks({
  clock,
  allowed,
}: {
  readonly clock: Clock;
  readonly allowed: boolean;
}): SignInLinks {
  const waiting = new Map<string, Waiting>();
  const nameOf = (token: string) => createHash("sha256").update(token).digest("base64url");
  return {
    issue(account) {
      if (!allowed) throw new Error("sign-in links are for development only");
      const token = `lnk1.${randomBytes(32).toString("base64url")}`;
      waiting.set(nameOf(token), { account, expiresAt: clock.now() + LIFE_MS });
      return token;
    },
    async redeem(token, ip, enter) {
      const name = nameOf(token);
      const found = allowed && isLoopback(ip) ? waiting.get(name) : undefined;
      if (!found || found.expiresAt <= clock.now()) throw new AppError("link_expired");
      // Taken before anything is awaited, so that two requests cannot both have it.
      waiting.delete(name);
      try {
        return await enter(await found.account());
      } catch (error) {
        waiting.set(name, found);
        throw error;
      }
    },
  };
}

function isLoopback(ip: string): boolean {
  const plain = ip.replace(/^::ffff:/i, "");
  return ip === "::1" || (isIP(plain) === 4 && plain.startsWith("127."));
}
