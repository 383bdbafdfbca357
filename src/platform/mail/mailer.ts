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
  /**
   * Resolves when the transport has accepted the mail. Rejects with `unprocessable` when it never will (not one bare
   * address, or refused for good) and with `dependency_unavailable` when it may later.
   */
  send(mail: Mail): Promise<void>;
  close(): Promise<void>;
}
