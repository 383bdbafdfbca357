import { hkdfSync } from "node:crypto";

/** What keys are derived for; each use has its own, so that nothing made for one is valid for another. */
const USES = ["refresh", "mailTokens", "cursors", "idempotency", "invitations", "tickets"] as const;

/** Keys of 32 bytes, one per use. */
export type DerivedKeys = Readonly<Record<(typeof USES)[number], Buffer>>;

/** Derives every key but the one of access tokens from `JWT_REFRESH_SECRET` (HKDF-SHA-256, RFC 5869). */
export function deriveKeys(refreshSecret: string): DerivedKeys {
  const derive = (use: string) => Buffer.from(hkdfSync("sha256", refreshSecret, "", `atelier/${use}`, 32));
  return Object.fromEntries(USES.map((use) => [use, derive(use)])) as DerivedKeys;
}
