import { dependencyUnavailable } from "../errors.js";
import type { AuthzWatch } from "../events/authz-watch.js";
import type { Authenticator } from "../http/admission.js";
import type { Principal } from "../http/route.js";
import type { AccessTokens } from "./access-tokens.js";
import type { Confirmations } from "./confirmations.js";
import { refusal } from "./refusals.js";
import type { Revocations } from "./revocations.js";
import type { Tickets } from "./tickets.js";

/** A principal, and until when what it showed is good. */
export interface TimedPrincipal extends Principal {
  /** Milliseconds since the Unix epoch. */
  readonly expiresAt: number;
}

/** The one door for HTTP and sockets. Every refusal is a 401 code, or `dependency_unavailable` when nothing can be decided. */
export interface AccessAuthenticator extends Authenticator {
  authenticate(authorization: string | undefined): Promise<TimedPrincipal>;
  /** An access token, however it came. */
  authenticateToken(token: string): Promise<TimedPrincipal>;
  /** A ticket of `POST /ws-ticket`, which is used up by this. */
  authenticateTicket(ticket: string): Promise<TimedPrincipal>;
}

/** RFC 6750, section 2.1; more than one space is let through as in RFC 9110, section 11.4. */
const BEARER = /^Bearer +([\w~+/.-]+=*) *$/i;

/** Authenticates without reading a store: by signature, and by what the access log has told this node. */
export function createAuthenticator(deps: {
  accessTokens: AccessTokens;
  tickets: Tickets;
  revocations: Revocations;
  confirmations: Confirmations;
  authzWatch: Pick<AuthzWatch, "fresh">;
}): AccessAuthenticator {
  const { accessTokens, tickets, revocations, confirmations, authzWatch } = deps;

  /** A node that does not know what was revoked must not call anything valid, nor anything revoked. */
  function requireFreshness(): void {
    if (!authzWatch.fresh()) throw dependencyUnavailable("access log");
  }

  async function authenticateToken(token: string): Promise<TimedPrincipal> {
    requireFreshness();
    const claims = await accessTokens.verify(token);
    if (revocations.covers(claims)) throw refusal("session_revoked");
    const { userId, sessionId, generation, expiresAt } = claims;
    confirmations.note(sessionId, generation);
    return { userId, sessionId, generation, expiresAt };
  }

  return {
    async authenticate(authorization) {
      if (authorization === undefined) throw refusal("unauthenticated");
      const token = BEARER.exec(authorization)?.[1];
      if (token === undefined) throw refusal("invalid_token");
      return authenticateToken(token);
    },
    authenticateToken,
    async authenticateTicket(ticket) {
      requireFreshness();
      const claims = await tickets.redeem(ticket);
      if (revocations.covers(claims)) throw refusal("session_revoked");
      const { userId, sessionId, generation, expiresAt } = claims;
      return { userId, sessionId, generation, expiresAt };
    },
  };
}
