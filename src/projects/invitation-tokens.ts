import { createHmac, timingSafeEqual } from "node:crypto";

/** Shape of an invitation token. */
export const INVITATION_TOKEN =
  /^inv1\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9]\d{0,8})\.([\w-]{43})$/;

/**
 * How a token reaches who is invited. Only one that was `mailed` proves the mailbox: the `copied` one is in the inviter's
 * hands, who could otherwise have any address verified that has no account yet.
 */
export type TokenWay = "mailed" | "copied";

/** What of an invitation is in its tokens. */
export interface TokenSubject {
  readonly id: string;
  readonly issue: number;
  readonly salt: Buffer;
}

/** What a token claims before it is checked. */
export interface InvitationClaim {
  readonly invitationId: string;
  readonly issue: number;
  readonly mac: Buffer;
}

/** Makes and checks the tokens in invitation links: `inv1.<id>.<issue>.<mac>`. */
export interface InvitationTokens {
  create(invitation: TokenSubject, way: TokenWay): string;
  /** Takes a token apart; undefined for what does not look like one. */
  read(token: string): InvitationClaim | undefined;
  /** The way of a token that was made for this issue of this invitation; undefined for any other. */
  check(claim: InvitationClaim, invitation: TokenSubject): TokenWay | undefined;
}

/** The tokens of `key`: the database alone, or the key alone, cannot make one (256-bit HMAC over id, issue and salt). */
export function createInvitationTokens(key: Buffer): InvitationTokens {
  const macOf = ({ id, issue, salt }: TokenSubject, way: TokenWay) =>
    createHmac("sha256", key).update(`inv1\n${way}\n${id}\n${issue}\n`).update(salt).digest();
  return {
    create: (invitation, way) =>
      `inv1.${invitation.id}.${invitation.issue}.${macOf(invitation, way).toString("base64url")}`,
    read(token) {
      const [, invitationId, issue, mac] = INVITATION_TOKEN.exec(token) ?? [];
      if (invitationId === undefined || issue === undefined || mac === undefined) return undefined;
      return { invitationId, issue: Number(issue), mac: Buffer.from(mac, "base64url") };
    },
    check(claim, invitation) {
      if (claim.invitationId !== invitation.id || claim.issue !== invitation.issue) return undefined;
      return (["mailed", "copied"] as const).find((way) =>
        timingSafeEqual(claim.mac, macOf(invitation, way)),
      );
    },
  };
}
