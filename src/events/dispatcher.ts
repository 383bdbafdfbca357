import type { Database } from "../platform/database/database.js";
import type { Logger } from "../platform/observability/logger.js";
import type { DomainEvent } from "./catalog.js";
import type { Outbox, OutboxReader } from "./outbox.js";

/** Someone who reads every event, in order, at least once: a second delivery of an id must change nothing. */
export interface EventConsumer {
  /** Stable name; its cursor is kept under it. */
  readonly name: string;
  /** Handles a batch; a rejection leaves the cursor where it was, and the batch comes again. */
  handle(events: readonly DomainEvent[]): Promise<void>;
}

/** Feeds consumers from the outbox. */
export interface Dispatcher {
  start(): Promise<void>;
  /** Resolves when what is committed now has been handled by every consumer, or rejects after `timeoutMs`; for tests and drains. */
  drained(timeoutMs: number): Promise<void>;
  /** Ends after the batches under way. */
  stop(): Promise<void>;
}

/** Events a consumer gets at once. */
const BATCH = 200;
/** How often a node looks by itself: for events of a process that died between COMMIT and dispatch. */
const POLL_MS = 250;
/** The other node may hang in the middle of it, so it is not asked without a rest. */
const CONTENDED_MS = 20;
const MAX_BACKOFF_MS = 5_000;

/**
 * Each consumer has its own loop, cursor and backoff, so one that fails delays no other. Of several nodes one at a time
 * holds a consumer's cursor, by a row lock that ends with its transaction.
 */
export function createDispatcher(deps: {
  database: Database;
  outbox: Outbox & OutboxReader;
  consumers: readonly EventConsumer[];
  logger: Logger;
}): Dispatcher {
  const { database, outbox, consumers, logger } = deps;
  const wakers = new Set<() => void>();
  let stopping = false;
  let loops: Promise<void>[] = [];
  const wake = () => {
    for (const waker of wakers) waker();
  };

  /** Handles one batch. `contended`: another node was giving out positions, and there may be more in a moment. */
  async function step(consumer: EventConsumer): Promise<"handled" | "idle" | "contended"> {
    const numbered = await outbox.number(1_000);
    const outcome = await database.transaction(
      async (tx) => {
        if (!(await outbox.claim(tx, consumer.name))) return "busy";
        const events = await outbox.pending(tx, consumer.name, BATCH);
        const last = events.at(-1);
        if (!last) return "empty";
        await consumer.handle(events);
        await outbox.advance(tx, consumer.name, last.position);
        return "handled";
      },
      { retries: 0 },
    );
    if (outcome === "handled") return "handled";
    return outcome === "empty" && !numbered ? "contended" : "idle";
  }

  async function loop(consumer: EventConsumer): Promise<void> {
    let failures = 0;
    while (!stopping) {
      let outcome: Awaited<ReturnType<typeof step>> = "idle";
      try {
        outcome = await step(consumer);
        if (failures > 0) logger.info("event consumer recovered", { consumer: consumer.name });
        failures = 0;
      } catch (error) {
        failures += 1;
        if (failures === 1 || failures % 20 === 0) {
          logger.warn("event consumer failed; will try again", { consumer: consumer.name, failures, error });
        }
      }
      if (outcome === "handled") continue;
      await sleep(restAfter(outcome, failures), failures === 0);
    }
  }

  function restAfter(outcome: "idle" | "contended", failures: number): number {
    if (failures > 0) return Math.min(MAX_BACKOFF_MS, 100 * 2 ** Math.min(failures, 6));
    return outcome === "contended" ? CONTENDED_MS : POLL_MS;
  }

  function sleep(ms: number, wakeable: boolean): Promise<void> {
    if (stopping) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        wakers.delete(done);
        wakers.delete(stopOnly);
        resolve();
      };
      const stopOnly = () => {
        if (stopping) done();
      };
      const timer = setTimeout(done, ms);
      wakers.add(wakeable ? done : stopOnly);
    });
  }

  return {
    async start() {
      for (const consumer of consumers) await outbox.register(consumer.name);
      outbox.onCommit(wake);
      loops = consumers.map((consumer) => loop(consumer));
    },
    async drained(timeoutMs) {
      const deadline = Date.now() + timeoutMs;
      while ((await outbox.lag()) > 0) {
        if (Date.now() > deadline) throw new Error("the outbox was not drained in time");
        wake();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    async stop() {
      stopping = true;
      wake();
      await Promise.all(loops);
    },
  };
}
