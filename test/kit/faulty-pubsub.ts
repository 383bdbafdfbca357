import type { PubSub } from "../../src/platform/pubsub/pubsub.js";

/** How often, of all deliveries, each fault happens: numbers from 0 to 1. */
export interface PubSubFaults {
  /** Delivered never. */
  readonly loss: number;
  /** Delivered twice. */
  readonly doubling: number;
  /** Held back until one to `maxDelay` later messages of the channel have passed it, so it arrives late and out of order. */
  readonly delay: number;
  /** Default 5. */
  readonly maxDelay?: number;
}

/** A PubSub with faults, and the handles of a test on it. */
export interface FaultyPubSub extends PubSub {
  /** Delivers all that is held back, in random order. */
  release(): void;
  /** Ends the faults and releases; messages published from now on arrive once and in order. */
  heal(): void;
  /** Loses every message until `mend`. */
  cut(): void;
  /** Ends a cut and calls the `onReconnect` listeners, as a link that is back does. */
  mend(): void;
}

interface Held {
  readonly message: Buffer;
  /** How many messages still pass it. */
  after: number;
}

/**
 * Wraps `inner` and spoils what arrives, for each subscription by itself, as it happens to nodes. Nothing depends on
 * time: with the same `random` (numbers from 0 up to 1) and the same messages the same faults happen.
 */
export function createFaultyPubSub(options: {
  readonly inner: PubSub;
  readonly faults: PubSubFaults;
  readonly random: () => number;
}): FaultyPubSub {
  const { inner, faults, random } = options;
  const reconnectListeners: (() => void)[] = [];
  const gates = new Set<{ release(): void }>();
  let healed = false;
  let isCut = false;

  function createGate(listener: (message: Buffer) => void): {
    pass(message: Buffer): void;
    release(): void;
  } {
    let held: Held[] = [];
    function deliver(message: Buffer): void {
      listener(message);
      if (happens(faults.doubling)) listener(message);
    }
    function age(): void {
      for (const one of held) one.after -= 1;
      const due = held.filter(({ after }) => after <= 0);
      held = held.filter(({ after }) => after > 0);
      for (const { message } of due) deliver(message);
    }
    return {
      pass(message) {
        if (isCut || happens(faults.loss)) return;
        if (happens(faults.delay)) {
          held.push({ message, after: 1 + Math.floor(random() * (faults.maxDelay ?? 5)) });
          return;
        }
        deliver(message);
        age();
      },
      release() {
        while (held.length > 0) {
          for (const { message } of held.splice(Math.floor(random() * held.length), 1)) deliver(message);
        }
      },
    };
  }
  function happens(share: number): boolean {
    return !healed && random() < share;
  }
  function release(): void {
    for (const gate of gates) gate.release();
  }
  function tellReconnected(): void {
    for (const listener of reconnectListeners) listener();
  }
  inner.onReconnect(tellReconnected);

  return {
    publish: (channel, message) => inner.publish(channel, message),
    async subscribe(channel, listener) {
      const gate = createGate(listener);
      const unsubscribe = await inner.subscribe(channel, (message) => gate.pass(message));
      gates.add(gate);
      return async () => {
        gates.delete(gate);
        await unsubscribe();
      };
    },
    onReconnect(listener) {
      reconnectListeners.push(listener);
    },
    close: () => inner.close(),
    release,
    heal() {
      healed = true;
      release();
    },
    cut() {
      isCut = true;
    },
    mend() {
      isCut = false;
      tellReconnected();
    },
  };
}
