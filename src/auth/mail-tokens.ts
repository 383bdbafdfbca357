import { createHmac, timingSafeEqual } from "node:crypto";

/** What a token in a mail is good for. */
export type MailTokenKind = "reset_password" | "verify_email";

/** The row a token is derived from. */
export interface MailTokenSource {
  readonly id: string;
  readonly kind: MailTokenKind;
  readonly salt: Buffer;
}

/** Makes and checks the tokens of links in mails: `rst1.<id>.<mac>` and `vfy1.<id>.<mac>`. */
export interface MailTokens {
  issue(source: MailTokenSource): string;
  isGenuine(token: string, source: MailTokenSource): boolean;
}

const PREFIXES: Readonly<Record<MailTokenKind, string>> = { reset_password: "rst1", verify_email: "vfy1" };

const ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";

/** The form of a token of this kind. */
export function mailTokenForm(kind: MailTokenKind): RegExp {
  return new RegExp(`^${PREFIXES[kind]}\\.${ID}\\.[\\w-]{43}$`);
}

/** The id of the row that a token names. */
export function mailIdOf(token: string): string {
  return token.split(".")[1] ?? "";
}

/** Tokens as HMACs (256 bits) over the row's id and salt: none is stored, and a mail can be written again after a crash. */
export function createMailTokens(key: Buffer): MailTokens {
  const issue = ({ id, kind, salt }: MailTokenSource) => {
    const head = `${PREFIXES[kind]}.${id}.`;
    return head + createHmac("sha256", key).update(head).update(salt).digest("base64url");
  };
  return {
    issue,
    isGenuine(token, source) {
      const given = Buffer.from(token);
      const wanted = Buffer.from(issue(source));
      return given.length === wanted.length && timingSafeEqual(given, wanted);
    },
  };
}
