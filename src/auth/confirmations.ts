import { LRUCache } from "lru-cache";
import type { Database } from "../platform/database/database.js";
import type { Logger } from "../platform/observability/logger.js";
import type { SessionRepository } from "./session-repository.js";

/** Writes down, off the path of requests, that a generation of a session is in use. */
export interface Confirmations {
  /** Notes one use; at most one write per session and generation in 15 minutes. */
  note(sessionId: string, generation: number): void;
  /** Writes what was noted until now. */
  flush(): Promise<void>;
  /** {@link Confirmations.flush}, and no further writes. */
  stop(): Promise<void>;
}

const EVERY_MS = 15 * 60_000;
const MAX_SESSIONS = 50_000;
const GATHER_MS = 100;

/** Gathers uses for a moment and writes them in one statement. */
export function createConfirmations(deps: {
  database: Database;
  sessions: SessionRepository;
  logger: Logger;
}): Confirmations {
  const { database, sessions, logger } = deps;
  const noted = new LRUCache<string, number>({ max: MAX_SESSIONS, ttl: EVERY_MS });
  let pending = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  let stopped = false;

  async function write(): Promise<void> {
    const batch = pending;
    if (batch.size === 0) return;
    pending = new Map();
    try {
      await sessions.confirm(database, batch);
    } catch (error) {
      // The next request of each session notes it again.
      for (const id of batch.keys()) noted.delete(id);
      logger.debug("session use could not be written down", { error });
    }
  }

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    writing = writing.then(write);
    return writing;
  }

  return {
    note(sessionId, generation) {
      if (stopped || noted.get(sessionId) === generation) return;
      noted.set(sessionId, generation);
      pending.set(sessionId, generation);
      timer ??= setTimeout(() => void flush(), GATHER_MS).unref();
    },
    flush,
    async stop() {
      stopped = true;
      await flush();
    },
  };
}
