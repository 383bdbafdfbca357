import { createHash } from "node:crypto";
import { errors, jwtVerify, SignJWT } from "jose";
import { LRUCache } from "lru-cache";
import { v7 } from "uuid";
import { z } from "zod";
import type { Clock } from "../platform/clock.js";
import { refusal } from "./refusals.js";

/** What an access token says. Roles are never in it: they are read where they are kept. */
export interface AccessClaims {
  readonly userId: string;
  readonly sessionId: string;
  /** Rotation counter of the session when the token was made. */
  readonly generation: number;
  /** Milliseconds since the Unix epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** A token with its life. */
export interface IssuedAccessToken {
  readonly token: string;
  /** Seconds. */
  readonly expiresIn: number;
}

/** Signs and reads access tokens (RFC 9068, without what only an authorization server needs). */
export interface AccessTokens {
  /** @param maxTtlMs what is left of the session: no token outlives it. */
  issue(
    subject: Pick<AccessClaims, "userId" | "sessionId" | "generation">,
    maxTtlMs: number,
  ): Promise<IssuedAccessToken>;
  /** @throws AppError `token_expired`, or `invalid_token` for every other fault. */
  verify(token: string): Promise<AccessClaims>;
}

const ALGORITHM = "HS256";
const TYPE = "at+jwt";
const ISSUER = "atelier";
const AUDIENCE = "atelier-api";
/** How far the clocks of two nodes may differ, in seconds. */
const LEEWAY_S = 10;
const MAX_LENGTH = 2_048;
/** Tokens whose signature is remembered: a client sends the same one until it expires. */
const MAX_KNOWN = 10_000;
/** A compact JWS of one spelling: no padding, nothing but the alphabet. */
const FORM = /^[\w-]+\.[\w-]+\.[\w-]{43}$/;

const claimsSchema = z.object({
  iss: z.literal(ISSUER),
  aud: z.literal(AUDIENCE),
  sub: z.uuid(),
  sid: z.uuid(),
  gen: z.int().min(1),
  jti: z.uuid(),
  iat: z.int(),
  nbf: z.int(),
  exp: z.int(),
});

/**
 * Access tokens signed with HS256.
 *
 * @param deps.secrets `JWT_SECRET` first, which signs; those after it are only still accepted. A token names its secret by
 * `kid`, a digest; every other header member is ignored.
 */
export function createAccessTokens(deps: {
  secrets: readonly [string, ...string[]];
  ttlMs: number;
  clock: Clock;
}): AccessTokens {
  const { clock, ttlMs } = deps;
  const encoder = new TextEncoder();
  const keys = new Map(deps.secrets.map((secret) => [keyId(secret), encoder.encode(secret)]));
  const signingKeyId = keyId(deps.secrets[0]);
  const signingKey = encoder.encode(deps.secrets[0]);
  // What was signed stays signed; only its time has to be looked at again.
  const known = new LRUCache<string, AccessClaims>({ max: MAX_KNOWN });
  const isTimely = ({ issuedAt, expiresAt }: AccessClaims, now: number) => now < expiresAt && issuedAt <= now;

  return {
    async issue(subject, maxTtlMs) {
      const issuedAt = Math.floor(clock.now() / 1000);
      const expiresIn = Math.max(1, Math.floor(Math.min(ttlMs, maxTtlMs) / 1000));
      const token = await new SignJWT({ sid: subject.sessionId, gen: subject.generation })
        .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: signingKeyId })
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setSubject(subject.userId)
        .setJti(v7())
        .setIssuedAt(issuedAt)
        .setNotBefore(issuedAt)
        .setExpirationTime(issuedAt + expiresIn)
        .sign(signingKey);
      return { token, expiresIn };
    },
    async verify(token) {
      const seen = known.get(token);
      if (seen && isTimely(seen, clock.now())) return seen;
      if (token.length > MAX_LENGTH || !FORM.test(token)) throw refusal("invalid_token");
      try {
        const { payload } = await jwtVerify(
          token,
          ({ kid }) => {
            const key = typeof kid === "string" ? keys.get(kid) : undefined;
            if (!key) throw new errors.JWSInvalid("no such key");
            return key;
          },
          {
            algorithms: [ALGORITHM],
            typ: TYPE,
            issuer: ISSUER,
            audience: AUDIENCE,
            clockTolerance: LEEWAY_S,
            // Also refuses an `iat` that lies ahead.
            maxTokenAge: Math.ceil(ttlMs / 1000),
            currentDate: new Date(clock.now()),
          },
        );
        const claims = claimsSchema.parse(payload);
        const read: AccessClaims = {
          userId: claims.sub,
          sessionId: claims.sid,
          generation: claims.gen,
          issuedAt: claims.iat * 1000,
          expiresAt: claims.exp * 1000,
        };
        known.set(token, read);
        return read;
      } catch (error) {
        throw refusal(error instanceof errors.JWTExpired ? "token_expired" : "invalid_token", error);
      }
    },
  };
}

function keyId(secret: string): string {
  return createHash("sha256").update(`atelier/kid\n${secret}`).digest("base64url").slice(0, 12);
}
