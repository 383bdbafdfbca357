import { createTransport } from "nodemailer";
import { AppError, dependencyUnavailable } from "../../errors.js";
import { requireBareAddress } from "./address.js";
import type { Mailer } from "./mailer.js";

/** What {@link createSmtpMailer} needs. */
export interface SmtpMailerOptions {
  /** `smtp://` (STARTTLS when offered; `?requireTLS=true` insists) or `smtps://user:password@host:port`. */
  readonly url: string;
  /** Sender, as an address or `Name <address>`. */
  readonly from: string;
  /** Longest wait for its name, a connection, its greeting and each answer. Default 10 s. */
  readonly waitMs?: number;
}

/** A server that trickles its answers may hold a mail for so many waits altogether. */
const WAITS_PER_MAIL = 3;
const MAX_CONNECTIONS = 3;

/** Sends by SMTP over a few kept connections. */
export function createSmtpMailer(options: SmtpMailerOptions): Mailer {
  const waitMs = options.waitMs ?? 10_000;
  const transport = createTransport({
    url: options.url,
    pool: true,
    maxConnections: MAX_CONNECTIONS,
    maxRequeues: 1,
    dnsTimeout: waitMs,
    connectionTimeout: waitMs,
    greetingTimeout: waitMs,
    socketTimeout: waitMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    async send(mail) {
      const to = requireBareAddress(mail.to);
      try {
        await transport.sendMail({
          from: options.from,
          // As an object the address is taken as it is, never parsed.
          to: { name: "", address: to },
          subject: mail.subject.replace(/[\r\n]+/g, " "),
          text: mail.text,
          ...(mail.html === undefined ? {} : { html: mail.html }),
          headers: { "Auto-Submitted": "auto-generated" },
          xMailer: false,
          disableFileAccess: true,
          disableUrlAccess: true,
          signal: AbortSignal.timeout(waitMs * WAITS_PER_MAIL),
        });
      } catch (error) {
        throw translate(error);
      }
    },
    close() {
      transport.close();
      return Promise.resolve();
    },
  };
}

/** Answers from 500 are final (RFC 5321, section 4.2.1); those to the recipient and the mail itself concern no other mail. */
function translate(error: unknown): AppError {
  const { responseCode, command } = error as { responseCode?: unknown; command?: unknown };
  const final = typeof responseCode === "number" && responseCode >= 500;
  if (final && (command === "RCPT TO" || command === "DATA")) {
    return new AppError("unprocessable", { detail: "The mail server refused the mail.", cause: error });
  }
  return dependencyUnavailable("mail server", error);
}
