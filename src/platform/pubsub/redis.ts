import type { RedisConnections } from "../redis/redis.js";
import type { PubSub, Unsubscribe } from "./pubsub.js";

/** Listeners of one channel, and the promise that it is subscribed. */
interface Channel {
  readonly listeners: Set<{ deliver: (message: Buffer) => void }>;
  readonly active: Promise<unknown>;
}

const RESUBSCRIBE_BATCH = 500;

/**
 * PubSub over Redis: one listening connection per process, one SUBSCRIBE per channel however many listen. `close` ends
 * the subscriptions and leaves the connections to their owner.
 */
export function createRedisPubSub(options: {
  readonly redis: RedisConnections;
  /** Told what a listener threw. */
  readonly onError: (error: unknown) => void;
}): PubSub {
  const { redis, onError } = options;
  const { subscriber } = redis;
  const channels = new Map<string, Channel>();
  const reconnectListeners: (() => void)[] = [];
  let lost = false;

  function attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      onError(error);
    }
  }

  function onMessage(channel: Buffer, message: Buffer): void {
    for (const listener of channels.get(channel.toString())?.listeners ?? []) {
      attempt(() => listener.deliver(message));
    }
  }
  function onClose(): void {
    lost = true;
  }
  function onReady(): void {
    if (!lost) return;
    lost = false;
    resubscribe().then(
      () => {
        // Lost again meanwhile: the next connection tells the listeners.
        if (!lost) for (const listener of reconnectListeners) attempt(listener);
      },
      () => {
        // Connected but deaf would lose messages for good, so begin again. A link that is being opened is left alone:
        // ioredis ends for good when it is disconnected at that moment.
        if (subscriber.client.status === "ready") subscriber.client.disconnect(true);
      },
    );
  }
  async function resubscribe(): Promise<void> {
    const names = [...channels.keys()];
    for (let from = 0; from < names.length; from += RESUBSCRIBE_BATCH) {
      await subscriber.run((client) => client.subscribe(...names.slice(from, from + RESUBSCRIBE_BATCH)));
    }
  }
  subscriber.client.on("messageBuffer", onMessage);
  subscriber.client.on("close", onClose);
  subscriber.client.on("ready", onReady);

  function open(name: string): Channel {
    const channel: Channel = {
      listeners: new Set(),
      active: subscriber.run((client) => client.subscribe(name)),
    };
    channels.set(name, channel);
    channel.active.catch(() => {
      if (channels.get(name) === channel) channels.delete(name);
    });
    return channel;
  }

  return {
    async publish(channel, message) {
      await redis.commands.run((client) => client.publish(redis.key(channel), message));
    },
    async subscribe(channel, listener): Promise<Unsubscribe> {
      const name = redis.key(channel);
      const entry = channels.get(name) ?? open(name);
      const subscription = { deliver: listener };
      entry.listeners.add(subscription);
      await entry.active;
      return async () => {
        if (!entry.listeners.delete(subscription) || entry.listeners.size > 0) return;
        if (channels.get(name) !== entry) return;
        channels.delete(name);
        // When this fails the link is away, and a channel without listeners is not subscribed again.
        await subscriber.run((client) => client.unsubscribe(name)).catch(() => undefined);
      };
    },
    onReconnect(listener) {
      reconnectListeners.push(listener);
    },
    async close() {
      subscriber.client.off("messageBuffer", onMessage);
      subscriber.client.off("close", onClose);
      subscriber.client.off("ready", onReady);
      const names = [...channels.keys()];
      channels.clear();
      if (names.length === 0) return;
      await subscriber.run((client) => client.unsubscribe(...names)).catch(() => undefined);
    },
  };
}
