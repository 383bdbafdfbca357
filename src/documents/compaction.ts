import type { Clock } from "../platform/clock.js";
import type { Database, Sql } from "../platform/database/database.js";
import type { Logger } from "../platform/observability/logger.js";
import type { CompactionRepository, CompactionSource, Lease } from "./compaction-repository.js";
import type { DocumentThread, Merged } from "./document-thread.js";
import type { LogHead } from "./log-repository.js";
import type { VersionKeeper } from "./version-keeper.js";

/**
 * How a compaction ended: `busy` when another holds the lease, `stale` when another took it over meanwhile, `gone` when the
 * document is.
 */
export type CompactionOutcome = "done" | "busy" | "stale" | "gone";

/** Replaces the updates of documents by snapshots, and makes their automatic versions on the way. */
export interface Compaction {
  /**
   * Compacts everything in the log at this moment. Whatever happens to this process or to others on the way, the log holds
   * the same document before and after. @throws when the document cannot be merged or the database is away.
   */
  compact(documentId: string): Promise<CompactionOutcome>;
  /** Compacts the document soon when its log has grown long. */
  consider(documentId: string, head: LogHead): void;
  /** Compacts what is due, whether somebody has it open or not, at most {@link MOST_PER_SWEEP} documents. */
  sweep(): Promise<void>;
  /** Sweeps from now on. */
  start(): void;
  /** Ends after the document it is at. */
  close(): Promise<void>;
}

/** How long things take, in ms. */
export interface CompactionTimes {
  /** Without an edit for this long a document rests: it is compacted, and its version made. */
  readonly rest: number;
  /** A document that is edited without a rest gets a version this often. */
  readonly every: number;
  /** A compactor that is not heard of for this long has lost its turn. */
  readonly lease: number;
  /** After a compaction, and after one that failed, a document is left alone for this long. */
  readonly pause: number;
  readonly failurePause: number;
}

const TIMES: CompactionTimes = {
  rest: 2 * 60_000,
  every: 10 * 60_000,
  lease: 120_000,
  pause: 10_000,
  failurePause: 60_000,
};
/** Updates and bytes after the newest snapshot beyond which a document is compacted while it is edited. */
const TAIL = 500;
const TAIL_BYTES = 1_000_000;
const SWEEP_MS = 15_000;
const PER_LOOK = 100;
const MOST_PER_SWEEP = 1_000;
/** A long document takes longer to read and write than anything a client waits for. */
const LONG = { statementTimeoutMs: 30_000 };
/** What is read at a time, so that the event loop serves others in between. */
const SLICE_BYTES = 256 * 1_024;

/** Compaction over the log. */
export function createCompaction(deps: {
  database: Database;
  repository: CompactionRepository;
  versions: VersionKeeper;
  thread: Pick<DocumentThread, "merge">;
  nodeId: string;
  clock: Clock;
  logger: Logger;
  observe?: (outcome: CompactionOutcome | "failed", seconds: number) => void;
  times?: Partial<CompactionTimes>;
}): Compaction {
  const { database, repository, versions, thread, nodeId, clock, logger } = deps;
  const times = { ...TIMES, ...deps.times };
  const wanted = new Set<string>();
  let working: Promise<void> | undefined;
  let sweeping: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  async function compact(documentId: string): Promise<CompactionOutcome> {
    const lease = await repository.takeLease(database, documentId, nodeId, times.lease);
    if (!lease) return "busy";
    const started = performance.now();
    let outcome: CompactionOutcome | "failed" = "failed";
    try {
      outcome = await underLease(lease);
      return outcome;
    } finally {
      const pause = outcome === "failed" ? times.failurePause : times.pause;
      deps.observe?.(outcome, (performance.now() - started) / 1_000);
      await repository.endLease(database, lease, pause).catch(() => {
        // It runs out by itself.
      });
    }
  }

  async function underLease(lease: Lease): Promise<CompactionOutcome> {
    const source = await repository.source(database, lease.documentId);
    if (!source) return "gone";
    const updates = await database.transaction((tx) => read(tx, lease.documentId, source), LONG);
    if (!updates) return "stale";
    return write(lease, source, await thread.merge(updates, versions.maxBytes));
  }

  /** The snapshot and every update up to the head; undefined when somebody else has compacted meanwhile. */
  async function read(
    sql: Sql,
    documentId: string,
    { head, uptoSeq, snapshotBytes }: CompactionSource,
  ): Promise<Uint8Array[] | undefined> {
    const updates: Uint8Array[] = [];
    if (uptoSeq > 0) {
      const snapshot = new Uint8Array(snapshotBytes);
      for (let at = 0; at < snapshotBytes; at += SLICE_BYTES) {
        const slice = await repository.snapshotSlice(sql, documentId, uptoSeq, at, SLICE_BYTES);
        if (!slice) return undefined;
        snapshot.set(slice, at);
      }
      updates.push(snapshot);
    }
    let seq = uptoSeq;
    while (seq < head) {
      const page = await repository.updatesAfter(sql, documentId, seq, head, SLICE_BYTES);
      if (page.length === 0) return undefined;
      for (const each of page) {
        if (each.seq !== seq + 1) return undefined;
        updates.push(each.update);
        seq = each.seq;
      }
    }
    return updates;
  }

  function write(lease: Lease, source: CompactionSource, merged: Merged): Promise<CompactionOutcome> {
    const { documentId } = lease;
    const { head } = source;
    return database.transaction(async (tx) => {
      if (!(await repository.holdLease(tx, lease))) return "stale";
      const at = new Date(clock.now());
      const longer = head > source.uptoSeq;
      // The document's row is taken last and for a moment: editors append meanwhile.
      const deleted = longer ? await repository.replaceTail(tx, documentId, head, merged.state, at) : [];
      const before = await repository.lock(tx, documentId);
      if (!before) return "gone";
      const authors = new Set(before.pendingAuthors);
      for (const { userId, lastSeq } of deleted) if (lastSeq > before.versionedSeq) authors.add(userId);
      const settled = isSettled(before);
      const version =
        settled && head > before.versionedSeq
          ? await versions.keep(tx, { documentId, seq: head, text: merged.text, authors: [...authors] })
          : undefined;
      await repository.settle(tx, documentId, {
        compactedSeq: head,
        versionedSeq: settled ? Math.max(head, before.versionedSeq) : before.versionedSeq,
        dirtySince: settled ? (before.head > head ? at : undefined) : before.dirtySince,
        pendingAuthors: version ? [] : [...authors],
      });
      return "done";
    }, LONG);
  }

  /** Time for a version: it rests, or is edited for long. */
  function isSettled({ updatedAt, dirtySince }: { updatedAt: Date; dirtySince: Date | undefined }): boolean {
    const now = clock.now();
    return (
      updatedAt.getTime() <= now - times.rest ||
      (dirtySince !== undefined && dirtySince.getTime() <= now - times.every)
    );
  }

  async function tryToCompact(documentId: string): Promise<void> {
    try {
      await compact(documentId);
    } catch (error) {
      logger.warn("a document could not be compacted; it will be tried again", { documentId, error });
    }
  }

  async function work(): Promise<void> {
    for (const documentId of wanted) {
      if (closed) return;
      wanted.delete(documentId);
      await tryToCompact(documentId);
    }
  }

  async function sweepOnce(): Promise<void> {
    for (let done = 0; done < MOST_PER_SWEEP && !closed; done += PER_LOOK) {
      const now = clock.now();
      const due = await repository.due(
        database,
        {
          restedBefore: new Date(now - times.rest),
          dirtyBefore: new Date(now - times.every),
          tail: TAIL,
          tailBytes: TAIL_BYTES,
        },
        PER_LOOK,
      );
      for (const documentId of due) if (!closed) await tryToCompact(documentId);
      if (due.length < PER_LOOK) break;
    }
    if (!closed) await versions.thin();
  }

  const compaction: Compaction = {
    compact,
    consider(documentId, { tail, tailBytes }) {
      if (closed || (tail < TAIL && tailBytes < TAIL_BYTES)) return;
      wanted.add(documentId);
      working ??= work().finally(() => {
        working = undefined;
      });
    },
    sweep() {
      sweeping ??= sweepOnce().finally(() => {
        sweeping = undefined;
      });
      return sweeping;
    },
    start() {
      timer = setInterval(() => {
        compaction
          .sweep()
          .catch((error: unknown) =>
            logger.debug("documents that are due for compaction cannot be found now", { error }),
          );
      }, SWEEP_MS);
      timer.unref();
    },
    async close() {
      closed = true;
      clearInterval(timer);
      await Promise.allSettled([working, sweeping]);
    },
  };
  return compaction;
}
