import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** A refresh token taken apart; nothing in it is proven yet. */
export interface PresentedRefreshToken {
  readonly sessionId: string;
  /** Rotation counter for which it was made. */
  readonly n: number;
  readonly mac: string;
}

/** Makes and checks refresh tokens: `rt1.<session id>.<n>.<mac>`. */
export interface RefreshTokens {
  issue(session: { readonly id: string; readonly salt: Buffer }, n: number): string;
  /** Undefined when `token` does not have the form of one. */
  parse(token: string): PresentedRefreshToken | undefined;
  /** True when it was made by this server for a session with this salt; takes as long for an unknown session. */
  isGenuine(presented: PresentedRefreshToken, salt: Buffer | undefined): boolean;
}

/** What rotation has to know of a session; times are judged by the database's clock. */
export interface RotationState {
  readonly active: boolean;
  readonly expired: boolean;
  readonly counter: number;
  /** The current token, or an access token made with it, was used. */
  readonly confirmed: boolean;
  readonly msSinceRotation: number;
}

/** What a genuine refresh token means for a session that did not rotate on it. */
export type RotationVerdict = "revoked" | "expired" | "successor" | "reused" | "ahead" | "undecided";

/** How long the parent of the current token is taken for the second of two requests sent at once. */
export const GRACE_MS = 10_000;

const FORM =
  /^rt1\.([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.([1-9]\d{0,8})\.([\w-]{43})$/;

/**
 * Refresh tokens as HMACs over session, counter and the session's salt. The database holds no token and is useless without
 * a key, a key is useless without the salt, and the same successor can be given again without having been stored.
 *
 * @param keys the first one makes tokens; those after it are only still accepted.
 */
export function createRefreshTokens(keys: readonly [Buffer, ...Buffer[]]): RefreshTokens {
  const unknown = randomBytes(16);
  const macOf = (key: Buffer, sessionId: string, n: number, salt: Buffer) =>
    createHmac("sha256", key).update(`rt1.${sessionId}.${n}.`).update(salt).digest("base64url");
  return {
    issue: ({ id, salt }, n) => `rt1.${id}.${n}.${macOf(keys[0], id, n, salt)}`,
    parse(token) {
      const [, sessionId, n, mac] = FORM.exec(token) ?? [];
      return sessionId !== undefined && n !== undefined && mac !== undefined
        ? { sessionId, n: Number(n), mac }
        : undefined;
    },
    isGenuine({ sessionId, n, mac }, salt) {
      const given = Buffer.from(mac);
      const matches = keys.filter((key) =>
        timingSafeEqual(given, Buffer.from(macOf(key, sessionId, n, salt ?? unknown))),
      );
      return matches.length > 0 && salt !== undefined;
    },
  };
}

/**
 * Judges the genuine token `n` of a session whose counter was not `n` when the rotation was tried. An ended session is
 * looked at first, so no window can bring it back; only the parent of the current token can be excused.
 */
export function judgeRotation(state: RotationState, n: number): RotationVerdict {
  if (!state.active) return "revoked";
  if (state.expired) return "expired";
  if (n > state.counter) return "ahead";
  if (n === state.counter) return "undecided";
  if (n < state.counter - 1) return "reused";
  return !state.confirmed || state.msSinceRotation <= GRACE_MS ? "successor" : "reused";
}
