import { createHmac, randomBytes } from "node:crypto";
import type { Cache } from "../platform/cache/cache.js";
import type { Clock } from "../platform/clock.js";
import type { AccessClaims } from "./access-tokens.js";
import { refusal } from "./refusals.js";

/** How long a ticket can be used, in seconds. */
export const TICKET_LIFE_S = 30;

const FORM = /^wst1\.[\w-]{43}$/;

/** Single-use stand-ins for an access token, to open a socket without a token in its URL. */
export interface Tickets {
  /** @param holder `expiresAt`: when the access token behind the ticket ends, and so the right to the socket. */
  issue(holder: Omit<AccessClaims, "issuedAt">): Promise<string>;
  /** @throws AppError `invalid_token` for one that was used, is too old or was never given out. */
  redeem(ticket: string): Promise<AccessClaims>;
}

/** Tickets of 256 random bits, kept in the cache under their HMAC. */
export function createTickets(deps: { cache: Cache; clock: Clock; key: Buffer }): Tickets {
  const { cache, clock } = deps;
  const nameOf = (ticket: string) =>
    `ws-ticket:${createHmac("sha256", deps.key).update(ticket).digest("base64url")}`;
  return {
    async issue(holder) {
      const ticket = `wst1.${randomBytes(32).toString("base64url")}`;
      const claims: AccessClaims = { ...holder, issuedAt: clock.now() };
      await cache.add(nameOf(ticket), claims, TICKET_LIFE_S * 1000);
      return ticket;
    },
    async redeem(ticket) {
      const claims = FORM.test(ticket) ? await cache.take<AccessClaims>(nameOf(ticket)) : undefined;
      // The cache may keep entries a little longer than asked.
      if (!claims || clock.now() - claims.issuedAt > TICKET_LIFE_S * 1000) throw refusal("invalid_token");
      return claims;
    },
  };
}
