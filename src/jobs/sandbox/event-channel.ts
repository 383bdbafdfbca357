/** A queue between one producer and one reader; bounded by what the producer may send. */
export interface EventChannel<T> {
  readonly push: (event: T) => void;
  readonly end: () => void;
  /** All events in order, until the end. */
  events(): AsyncGenerator<T, void, undefined>;
}

/** Creates an empty channel. */
export function createEventChannel<T>(): EventChannel<T> {
  const queue: T[] = [];
  let ended = false;
  let wake: () => void = () => undefined;

  return {
    push(event) {
      queue.push(event);
      wake();
    },
    end() {
      ended = true;
      wake();
    },
    async *events() {
      for (;;) {
        yield* queue.splice(0);
        if (queue.length > 0) continue;
        if (ended) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
