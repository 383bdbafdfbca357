import type { Database } from "../platform/database/database.js";
import type { Mailer } from "../platform/mail/mailer.js";
import type { Logger } from "../platform/observability/logger.js";
import type { DueMail, MailRepository } from "./mail-repository.js";
import type { MailTokens } from "./mail-tokens.js";
import { composeMail } from "./mails.js";

/** Sends queued mails, off the path of any request. */
export interface MailSender {
  /** Looks for mails every few seconds: for retries, and for those of a process that died. */
  start(): void;
  /** Looks now; call it after a transaction that queued one. */
  kick(): void;
  /** Ends after the mails under way. */
  stop(): Promise<void>;
}

const POLL_MS = 5_000;
const BATCH = 10;

/** Sends mails at least once: a mail is taken with a date for the next attempt, which only success removes. */
export function createMailSender(deps: {
  database: Database;
  mails: MailRepository;
  tokens: MailTokens;
  mailer: Mailer;
  publicUrl: string;
  logger: Logger;
}): MailSender {
  const { database, mails, mailer, logger } = deps;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let again = false;
  let stopped = false;

  async function sendOne(mail: DueMail): Promise<void> {
    try {
      await mailer.send(composeMail(mail, deps));
      await mails.markSent(database, mail.id);
    } catch (error) {
      logger.warn("a mail could not be sent; it will be tried again", {
        mailId: mail.id,
        kind: mail.kind,
        error,
      });
    }
  }

  async function sendDue(): Promise<void> {
    for (let more = true; more && !stopped; ) {
      const due = await mails.claim(database, BATCH);
      await Promise.all(due.map(sendOne));
      more = due.length === BATCH;
    }
  }

  function kick(): void {
    if (stopped) return;
    again = true;
    running ??= (async () => {
      while (again && !stopped) {
        again = false;
        try {
          await sendDue();
        } catch (error) {
          logger.debug("mails cannot be read right now", { error });
        }
      }
      running = undefined;
    })();
  }

  return {
    start() {
      timer = setInterval(kick, POLL_MS);
      timer.unref();
      kick();
    },
    kick,
    async stop() {
      stopped = true;
      clearInterval(timer);
      await running;
    },
  };
}
