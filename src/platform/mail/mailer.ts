/** One mail to one address. */
export interface Mail {
  /** A single bare address; anything else is refused. */
  readonly to: string;
  readonly subject: string;
  /** Plain text; adapters never add secrets to it. */
  readonly text: string;
  readonly html?: string;
}

/** Sends mail. */
export interface Mailer {
  /** Resolves when the transport has accepted the mail; rejects when it has not. */
  send(mail: Mail): Promise<void>;
  close(): Promise<void>;
}
