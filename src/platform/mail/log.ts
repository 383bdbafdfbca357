import type { Mailer } from "./mailer.js";

/**
 * A mailer that writes mails out for the person who started the process, so that their links can be used without a mail
 * server. Not into the log: links are secrets, and the log is kept.
 */
export function createLogMailer(options: { readonly write: (text: string) => void }): Mailer {
  return {
    async send({ to, subject, text }) {
      options.write(`Mail to ${to} (SMTP_URL is not set)\n  ${subject}\n${text.replace(/^/gm, "  | ")}`);
    },
    async close() {},
  };
}
