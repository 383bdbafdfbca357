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
}

/** Each wait for the mail server: name, connection, greeting, answer. */
const WAIT_MS = 10_000;
/** One mail altogether, so that a server that trickles its answers cannot hold it. */
const MAIL_MS = 30_000;
const MAX_CONNECTIONS = 3;

/** Sends by SMTP over a few kept connections. */
export function createSmtpMailer(options: SmtpMailerOptions): Mailer {
  const transport = createTransport({
    url: options.url,
    pool: true,
    maxConnections: MAX_CONNECTIONS,
    maxRequeues: 1,
    dnsTimeout: WAIT_MS,
    connectionTimeout: WAIT_MS,
    greetingTimeout: WAIT_MS,
    socketTimeout: WAIT_MS,
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
          signal: AbortSignal.timeout(MAIL_MS),
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

/** Answers from 500 are final (RFC 5321, section 4.2.1), except to the login: that is ours to put right. */
function translate(error: unknown): AppError {
  const { responseCode, code } = error as { responseCode?: unknown; code?: unknown };
  if (typeof responseCode === "number" && responseCode >= 500 && code !== "EAUTH") {
    return new AppError("unprocessable", { detail: "The mail server refused the mail.", cause: error });
  }
  return dependencyUnavailable("mail server", error);
}
