import { AppError } from "../errors.js";

/** Runs costly work a few at a time and refuses more than can be done soon. */
export interface HashQueue {
  /** @throws AppError `overloaded` at once when the queue is full. */
  run<T>(work: () => Promise<T>): Promise<T>;
}

/**
 * A semaphore with a short queue.
 *
 * @param options.slots how many run at once.
 * @param options.waiting how many may wait.
 */
export function createHashQueue(options: { readonly slots: number; readonly waiting: number }): HashQueue {
  const queue: (() => void)[] = [];
  let running = 0;

  async function slot(): Promise<void> {
    if (running < options.slots) {
      running += 1;
      return;
    }
    if (queue.length >= options.waiting) {
      throw new AppError("overloaded", {
        detail: "Too many people are signing in right now.",
        headers: { "Retry-After": "2" },
      });
    }
    await new Promise<void>((resolve) => queue.push(resolve));
  }

  return {
    async run(work) {
      await slot();
      try {
        return await work();
      } finally {
        // The slot goes to the next one directly, so that nobody who comes later can take it first.
        const next = queue.shift();
        if (next) next();
        else running -= 1;
      }
    },
  };
}
