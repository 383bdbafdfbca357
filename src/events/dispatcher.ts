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
  /** Loops that rest, by consumer. */
  const resting = new Map<string, { readonly wakeable: boolean; readonly wake: () => void }>();
  let stopping = false;
  let loops: Promise<void>[] = [];
  let poll: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;
  /** Counts commits with events, so that one that falls into a step is not left to the poll. */
  let commits = 0;
  const wake = () => {
    commits += 1;
    for (const loop of resting.values()) if (loop.wakeable || stopping) loop.wake();
  };

  /** Asks once for all loops that rest, whether one of them has missed something. */
  async function look(): Promise<void> {
    const idle = [...resting].flatMap(([name, { wakeable }]) => (wakeable ? [name] : []));
    if (idle.length === 0) return;
    for (const name of await outbox.waiting(idle)) resting.get(name)?.wake();
  }

  function pollLater(): void {
    poll = setTimeout(() => {
      // A database that is away is the loops' to complain of: they find out when there is something to do.
      looking = look()
        .catch(() => undefined)
        .then(() => {
          if (!stopping) pollLater();
        });
    }, POLL_MS);
  }

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
      const before = commits;
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
      if (outcome === "handled" || (failures === 0 && commits !== before)) continue;
      if (failures > 0)
        await rest(consumer, Math.min(MAX_BACKOFF_MS, 100 * 2 ** Math.min(failures, 6)), false);
      else await rest(consumer, outcome === "contended" ? CONTENDED_MS : undefined, true);
    }
  }

  /** Until it is woken, or `ms` have passed. */
  function rest({ name }: EventConsumer, ms: number | undefined, wakeable: boolean): Promise<void> {
    if (stopping) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        resting.delete(name);
        resolve();
      };
      const timer = ms === undefined ? undefined : setTimeout(wake, ms);
      resting.set(name, { wakeable, wake });
    });
  }

  return {
    async start() {
      for (const consumer of consumers) await outbox.register(consumer.name);
      outbox.onCommit(wake);
      loops = consumers.map((consumer) => loop(consumer));
      pollLater();
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
      clearTimeout(poll);
      wake();
      await Promise.all([...loops, looking]);
    },
  };
}
