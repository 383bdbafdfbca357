import type { PubSub } from "./pubsub.js";

/** PubSub for a single process. Delivers in publish order, never inside `publish` itself. */
export function createMemoryPubSub(options: {
  /** Told what a listener threw. */
  readonly onError: (error: unknown) => void;
}): PubSub {
  const channels = new Map<string, Set<{ deliver: (message: Buffer) => void }>>();
  let queue: { channel: string; message: Buffer }[] = [];

  function drain(): void {
    const batch = queue;
    queue = [];
    for (const { channel, message } of batch) {
      for (const subscription of channels.get(channel) ?? []) {
        try {
          subscription.deliver(message);
        } catch (error) {
          options.onError(error);
        }
      }
    }
  }

  return {
    async publish(channel, message) {
      if (!channels.has(channel)) return;
      // A copy, because the publisher may write to its buffer again before the listeners run.
      if (queue.push({ channel, message: Buffer.from(message as Buffer) }) === 1) queueMicrotask(drain);
    },
    async subscribe(channel, listener) {
      const subscription = { deliver: listener };
      const subscriptions = channels.get(channel) ?? new Set();
      channels.set(channel, subscriptions.add(subscription));
      return async () => {
        subscriptions.delete(subscription);
        if (subscriptions.size === 0 && channels.get(channel) === subscriptions) channels.delete(channel);
      };
    },
    onReconnect() {
      // There is no link that could be lost.
    },
    async close() {
      channels.clear();
    },
  };
}
