import { sql as raw } from "kysely";
import type { Database } from "../platform/database/database.js";
import type { Logger } from "../platform/observability/logger.js";
import type { PubSub, Unsubscribe } from "../platform/pubsub/pubsub.js";
import type { AuthzEntry, AuthzLog } from "./authz-log.js";

/** Keeps a node's view of access current, and knows when it is not. */
export interface AuthzWatch {
  /** Loads the recent log and begins to follow it; rejects when the database is away. */
  start(): Promise<void>;
  /**
   * Called with every change in order, exactly once each, also with the recent ones at start. A change counts as applied
   * when every listener has settled, or after {@link APPLY_MS}.
   */
  onChange(listener: (entries: readonly AuthzEntry[]) => void | Promise<void>): void;
  /** False when the log was not read for {@link LEASE_MS}: then nothing may be written on the strength of old rights. */
  fresh(): boolean;
  /**
   * Waits up to 1 s until every live node has applied the change `seq`. False when one did not: its lease then ends
   * within {@link LEASE_MS}, after which it refuses writes by itself.
   */
  settled(seq: number): Promise<boolean>;
  stop(): Promise<void>;
}

/** How long a node may act on what it knows without having read the log. */
export const LEASE_MS = 3_000;
const POLL_MS = 500;
const SETTLE_MS = 1_000;
/** Longest wait for listeners to finish what was under way before a change. */
const APPLY_MS = 2_000;
const CHANNEL = "authz";

/**
 * Follows `authz_log` by a doorbell (pub/sub) and, because a doorbell can be lost, by a poll every 500 ms.
 *
 * @param deps.recentMs how far back a starting node reads: the life of an access token.
 */
export function createAuthzWatch(deps: {
  log: AuthzLog;
  database: Database;
  pubsub: PubSub;
  nodeId: string;
  recentMs: number;
  logger: Logger;
}): AuthzWatch {
  const { log, database, pubsub, nodeId, logger } = deps;
  const listeners: ((entries: readonly AuthzEntry[]) => void | Promise<void>)[] = [];
  let applied = 0;
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;
  let again = false;
  let timer: NodeJS.Timeout | undefined;
  let unsubscribe: Unsubscribe | undefined;
  let stopped = false;
  let failing = false;
  let knowsRecent = false;

  async function apply(entries: readonly AuthzEntry[]): Promise<void> {
    const last = entries.at(-1);
    if (!last) return;
    const late = new Promise<void>((resolve) => setTimeout(resolve, APPLY_MS).unref());
    await Promise.race([Promise.allSettled(listeners.map(async (listener) => listener(entries))), late]);
    applied = last.seq;
  }

  async function readOnce(): Promise<void> {
    const started = performance.now();
    for (let more = true; more; ) {
      const entries = await log.after(applied, 500);
      await apply(entries);
      more = entries.length === 500;
    }
    await report();
    // The lease counts from when the read began: what it saw is at least that recent.
    readAt = started;
  }

  async function report(): Promise<void> {
    await raw`
      insert into authz_nodes (node_id, applied_seq, seen_at) values (${nodeId}, ${applied}, now())
      on conflict (node_id) do update set applied_seq = excluded.applied_seq, seen_at = excluded.seen_at`.execute(
      database.tables(),
    );
  }

  /** Reads now; calls that arrive while a read is under way share the one after it. */
  function read(): Promise<void> {
    // After `stop` the node's row is gone; reading would put it back, and others would wait for this node.
    if (stopped) return Promise.resolve();
    if (reading) {
      again = true;
      return reading;
    }
    reading = (async () => {
      do {
        again = false;
        try {
          await readOnce();
          failing = false;
        } catch (error) {
          if (!failing)
            logger.warn("the access log cannot be read; writes stop when the lease ends", { error });
          failing = true;
        }
      } while (again && !stopped);
    })().finally(() => {
      reading = undefined;
    });
    return reading;
  }

  function ring(): void {
    pubsub.publish(CHANNEL, "").catch(() => {
      // Redis is away: the other nodes' poll finds the change.
    });
  }

  return {
    async start() {
      if (!knowsRecent) {
        const { entries, head } = await log.recent(deps.recentMs);
        await apply(entries);
        applied = head;
        knowsRecent = true;
      }
      await readOnce();
      log.onCommit(() => {
        void read();
        ring();
      });
      timer = setInterval(() => void read(), POLL_MS);
      pubsub.onReconnect(() => void read());
      pubsub
        .subscribe(CHANNEL, () => void read())
        .then((end) => {
          unsubscribe = end;
        })
        .catch(() => logger.warn("the access doorbell is not connected; the poll stands in for it"));
    },
    onChange(listener) {
      listeners.push(listener);
    },
    fresh: () => performance.now() - readAt < LEASE_MS,
    async settled(seq) {
      await read();
      const deadline = performance.now() + SETTLE_MS;
      for (;;) {
        const behind = await raw<{ n: number }>`
          select count(*)::int as n from authz_nodes
          where seen_at > now() - make_interval(secs => ${LEASE_MS / 1000}) and applied_seq < ${seq}`.execute(
          database.tables(),
        );
        if (behind.rows[0]?.n === 0) return true;
        if (performance.now() > deadline) return false;
        await new Promise((resolve) => setTimeout(resolve, 15));
      }
    },
    async stop() {
      stopped = true;
      clearInterval(timer);
      await unsubscribe?.().catch(() => undefined);
      await reading;
      await raw`delete from authz_nodes where node_id = ${nodeId} or seen_at < now() - interval '1 day'`
        .execute(database.tables())
        .catch(() => undefined);
    },
  };
}
