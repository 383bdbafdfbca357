/** Ends one subscription; safe to call twice. */
export type Unsubscribe = () => Promise<void>;

/**
 * At-most-once messages between the nodes of one deployment. A message may be lost when the link breaks, so every user
 * has a second way to learn what it missed (a log with a sequence).
 */
export interface PubSub {
  /** Sends bytes or text to every subscriber of `channel` on every node, this one included. */
  publish(channel: string, message: string | Buffer): Promise<void>;
  /** Messages arrive as Buffers in publish order of one publisher. Resolves when the subscription is active. */
  subscribe(channel: string, listener: (message: Buffer) => void): Promise<Unsubscribe>;
  /** Called after the link was lost and is back: messages in between may be missing. */
  onReconnect(listener: () => void): void;
  close(): Promise<void>;
}
