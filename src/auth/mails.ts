import type { Mail } from "../platform/mail/mailer.js";
import type { DueMail } from "./mail-repository.js";
import type { MailTokens } from "./mail-tokens.js";

/** Life of the token in a mail, and how long a notice is worth sending, in ms. */
export const MAIL_LIFETIMES = {
  reset_password: 30 * 60_000,
  verify_email: 24 * 3_600_000,
  password_changed: 24 * 3_600_000,
  session_reused: 24 * 3_600_000,
} as const satisfies Record<DueMail["kind"], number>;

/**
 * Writes the text of a mail. Nothing a user has chosen is in it (a name could carry an advertisement to a stranger's
 * mailbox), and links lead to `publicUrl` whatever the request's Host was. The token is in the fragment, which browsers
 * send to no server.
 */
export function composeMail(mail: DueMail, deps: { publicUrl: string; tokens: MailTokens }): Mail {
  const { publicUrl } = deps;
  const link = (page: string, kind: "reset_password" | "verify_email") =>
    `${publicUrl}/${page}#token=${deps.tokens.issue({ id: mail.id, kind, salt: mail.salt })}`;
  const when = mail.createdAt.toISOString();
  const to = mail.address;
  switch (mail.kind) {
    case "verify_email":
      return {
        to,
        subject: "Verify your e-mail address",
        text: lines(
          `An account at ${publicUrl} was made with this address. Open this link within 24 hours to verify it:`,
          link("verify-email", "verify_email"),
          "If it was not you, ignore this mail.",
        ),
      };
    case "reset_password":
      return {
        to,
        subject: "Reset your password",
        text: lines(
          `A new password was asked for at ${publicUrl}. Open this link within 30 minutes to choose one:`,
          link("reset-password", "reset_password"),
          "The link works once, and every device is signed out. If it was not you, ignore this mail: nothing has changed.",
        ),
      };
    case "password_changed":
      return {
        to,
        subject: "Your password was changed",
        text: lines(
          `The password of your account at ${publicUrl} was changed at ${when}, and your other devices were signed out.`,
          `If it was not you, choose a new password now: ${publicUrl}/forgot-password`,
        ),
      };
    case "session_reused":
      return {
        to,
        subject: "A device was signed out for your safety",
        text: lines(
          `At ${when} an old key of one of your devices was used at ${publicUrl}. Somebody may have copied it, so that device was signed out.`,
          `Sign in again on it. If you do not know why this happened, choose a new password: ${publicUrl}/forgot-password`,
        ),
      };
  }
}

function lines(...paragraphs: readonly string[]): string {
  return `${paragraphs.join("\n\n")}\n`;
}
