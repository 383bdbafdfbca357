import type { Logger } from "./platform/observability/logger.js";

/** Something that must be ended, in the reverse order of its start. */
interface Part {
  readonly name: string;
  readonly stop: () => Promise<void>;
}

/** Ordered start and stop: parts stop in the reverse order of their registration, each within its time. */
export interface Lifecycle {
  /** Registers a part that has been started. */
  add(name: string, stop: () => Promise<void>): void;
  /** Stops everything; a part that fails or hangs is reported and passed over. Safe to call twice. */
  stop(): Promise<void>;
}

/** Longest time one part may take to stop. */
const PART_MS = 12_000;

/** A lifecycle that reports to `logger`. */
export function createLifecycle(logger: Logger): Lifecycle {
  const parts: Part[] = [];
  let stopping: Promise<void> | undefined;
  async function stopAll(): Promise<void> {
    for (let part = parts.pop(); part; part = parts.pop()) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`did not stop within ${PART_MS} ms`)), PART_MS);
      });
      try {
        await Promise.race([part.stop(), late]);
      } catch (error) {
        logger.error("a part did not stop cleanly", { part: part.name, error });
      } finally {
        clearTimeout(timer);
      }
    }
  }
  return {
    add(name, stop) {
      parts.push({ name, stop });
    },
    stop() {
      stopping ??= stopAll();
      return stopping;
    },
  };
}
