import { requireBareAddress } from "./address.js";
import type { Mailer } from "./mailer.js";

/**
 * A mailer that writes mails out for the person who started the process, so that their links can be used without a mail
 * server. Not into the log: links are secrets, and the log is kept.
 */
export function createLogMailer(options: { readonly write: (text: string) => void }): Mailer {
  return {
    send(mail) {
      return new Promise((resolve) => {
        const to = requireBareAddress(mail.to);
        options.write(
          `Mail to ${to} (SMTP_URL is not set)\n  ${plain(mail.subject)}\n${plain(mail.text).replace(/^/gm, "  | ")}`,
        );
        resolve();
      });
    },
    close: () => Promise.resolve(),
  };
}

/** Names that users chose are in mails; what a terminal would act on is taken out, line breaks stay. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (mark) =>
    mark === "\n" || mark === "\t" ? mark : "",
  );
}
