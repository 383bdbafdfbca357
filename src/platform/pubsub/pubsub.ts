/** Ends one subscription; safe to call twice. */
export type Unsubscribe = () => Promise<void>;

/**
 * At-most-once messages between the nodes of one deployment. A message may be lost when the link breaks, so every user
 * has a second way to learn what it missed (a log with a sequence).
 */
export interface PubSub {
  /**
   * Sends bytes or text to every subscriber of `channel` on every node, this one included. Rejects with
   * `dependency_unavailable` when the link is away.
   */
  publish(channel: string, message: string | Buffer): Promise<void>;
  /**
   * Messages arrive as Buffers in publish order of one publisher. Resolves when the subscription is active, which it
   * stays over lost links; rejects with `dependency_unavailable` when the link is away, and then nothing is subscribed.
   */
  subscribe(channel: string, listener: (message: Buffer) => void): Promise<Unsubscribe>;
  /**
   * Called after the link was lost and every channel is subscribed again: messages in between may be missing. Also
   * called when the first connection came up late, so that a rejected `subscribe` can be tried again.
   */
  onReconnect(listener: () => void): void;
  /** Ends every subscription. */
  close(): Promise<void>;
}
