import { sql as raw } from "kysely";
import type { Sql, Tx } from "../platform/database/database.js";
import type { LoggedUpdate } from "./log-repository.js";

/** When a document is worth compacting. */
export interface CompactionNeeds {
  /** Not edited since: it rests. */
  readonly restedBefore: Date;
  /** Edited for this long without a version. */
  readonly dirtyBefore: Date;
  /** Updates, or bytes, after the newest snapshot. */
  readonly tail: number;
  readonly tailBytes: number;
}

/** What a compaction reads: everything up to `head`. */
export interface CompactionSource {
  readonly head: number;
  /** Seq of the newest snapshot, 0 without one. */
  readonly uptoSeq: number;
  readonly snapshotBytes: number;
}

/** A held lease. */
export interface Lease {
  readonly documentId: string;
  readonly owner: string;
  readonly fence: number;
}

/** What stands in the document's row while it is locked. */
export interface LockedDocument {
  readonly head: number;
  readonly compactedSeq: number;
  readonly versionedSeq: number;
  readonly updatedAt: Date;
  readonly dirtySince: Date | undefined;
  readonly pendingAuthors: readonly string[];
}

/** Somebody whose updates were deleted, and the last of them. */
export interface DeletedAuthor {
  readonly userId: string;
  readonly lastSeq: number;
}

/** The SQL of compaction. Leases go by the clock of the database, which all nodes share. */
export interface CompactionRepository {
  /** Takes the lease for `ms` when nobody holds it; undefined when somebody does, or the document is gone. */
  takeLease(sql: Sql, documentId: string, owner: string, ms: number): Promise<Lease | undefined>;
  /** True when it is still held by whom it was given to; holds it until the transaction ends. */
  holdLease(tx: Tx, lease: Lease): Promise<boolean>;
  /** Gives it up, and nobody gets it for `ms`. Does nothing when it is held by somebody else by now. */
  endLease(sql: Sql, lease: Lease, ms: number): Promise<void>;
  /** Documents that are worth it and free, those dirty for longest first. */
  due(sql: Sql, needs: CompactionNeeds, limit: number): Promise<string[]>;
  /** Undefined when the document is gone. */
  source(sql: Sql, documentId: string): Promise<CompactionSource | undefined>;
  /** Bytes `from` (counted from 0) to `from + length` of a snapshot; undefined when it is not there any more. */
  snapshotSlice(
    sql: Sql,
    documentId: string,
    uptoSeq: number,
    from: number,
    length: number,
  ): Promise<Uint8Array | undefined>;
  /** Updates after `seq` and not after `upto`, in order: the next one, and more as long as they are within `bytes`. */
  updatesAfter(
    sql: Sql,
    documentId: string,
    seq: number,
    upto: number,
    bytes: number,
  ): Promise<LoggedUpdate[]>;
  /** Puts a snapshot in the place of all updates and snapshots up to `uptoSeq`; says whose updates those were. */
  replaceTail(
    tx: Tx,
    documentId: string,
    uptoSeq: number,
    state: Uint8Array,
    at: Date,
  ): Promise<DeletedAuthor[]>;
  /** Locks the document's row; undefined when it is gone. */
  lock(tx: Tx, documentId: string): Promise<LockedDocument | undefined>;
  /** Writes what became of a locked document. */
  settle(
    tx: Tx,
    documentId: string,
    to: Pick<LockedDocument, "compactedSeq" | "versionedSeq" | "dirtySince" | "pendingAuthors">,
  ): Promise<void>;
}

const SLICE_UPDATES = 500;
/** Longest wait for a row that editors append to, or that is being deleted, in ms; then the compaction is given up. */
const LOCK_MS = 500;

/** Compaction in the `Database`. */
export function createCompactionRepository(): CompactionRepository {
  return {
    async takeLease(sql, documentId, owner, ms) {
      const { rows } = await raw<{ fence: string }>`
        insert into document_leases (document_id, owner, fence, expires_at)
        select id, ${owner}, 1, clock_timestamp() + make_interval(secs => ${ms / 1_000})
        from documents where id = ${documentId}
        on conflict (document_id) do update set
          owner = excluded.owner, fence = document_leases.fence + 1, expires_at = excluded.expires_at
        where document_leases.expires_at <= clock_timestamp()
        returning fence`.execute(sql.tables());
      return rows[0] && { documentId, owner, fence: Number(rows[0].fence) };
    },
    async holdLease(tx, { documentId, owner, fence }) {
      await raw`select set_config('lock_timeout', ${`${LOCK_MS}ms`}, true)`.execute(tx.tables());
      const { rows } = await raw`
        select 1 from document_leases
        where document_id = ${documentId} and owner = ${owner} and fence = ${fence} for update`.execute(
        tx.tables(),
      );
      return rows.length > 0;
    },
    async endLease(sql, { documentId, owner, fence }, ms) {
      await raw`
        update document_leases
        set owner = null, expires_at = clock_timestamp() + make_interval(secs => ${ms / 1_000})
        where document_id = ${documentId} and owner = ${owner} and fence = ${fence}`.execute(sql.tables());
    },
    async due(sql, needs, limit) {
      const { rows } = await raw<{ id: string }>`
        select id from documents
        where dirty_since is not null and (
          updated_at <= ${needs.restedBefore} or dirty_since <= ${needs.dirtyBefore}
          or head - compacted_seq >= ${needs.tail} or tail_bytes >= ${needs.tailBytes}
        ) and not exists (
          select 1 from document_leases where document_id = documents.id and expires_at > clock_timestamp()
        )
        order by dirty_since limit ${limit}`.execute(sql.tables());
      return rows.map(({ id }) => id);
    },
    async source(sql, documentId) {
      const { rows } = await raw<{ head: string; upto_seq: string | null; bytes: number | null }>`
        select documents.head, newest.upto_seq, newest.bytes
        from documents left join lateral (
          select upto_seq, octet_length(state) as bytes from document_snapshots
          where document_id = documents.id order by upto_seq desc limit 1
        ) newest on true
        where id = ${documentId}`.execute(sql.tables());
      const [found] = rows;
      return (
        found && {
          head: Number(found.head),
          uptoSeq: Number(found.upto_seq ?? 0),
          snapshotBytes: found.bytes ?? 0,
        }
      );
    },
    async snapshotSlice(sql, documentId, uptoSeq, from, length) {
      const { rows } = await raw<{ slice: Buffer }>`
        select substring(state from ${from + 1}::int for ${length}::int) as slice from document_snapshots
        where document_id = ${documentId} and upto_seq = ${uptoSeq}`.execute(sql.tables());
      return rows[0]?.slice;
    },
    async updatesAfter(sql, documentId, seq, upto, bytes) {
      const { rows } = await raw<{ seq: string; update: Buffer }>`
        select seq, update from (
          select seq, update, sum(octet_length(update)) over (order by seq) - octet_length(update) as before
          from document_updates where document_id = ${documentId} and seq > ${seq} and seq <= ${upto}
          order by seq limit ${SLICE_UPDATES}
        ) page where before < ${bytes} order by seq`.execute(sql.tables());
      return rows.map((row) => ({ seq: Number(row.seq), update: row.update }));
    },
    async replaceTail(tx, documentId, uptoSeq, state, at) {
      await raw`
        insert into document_snapshots (document_id, upto_seq, state, created_at)
        values (${documentId}, ${uptoSeq}, ${Buffer.from(state.buffer, state.byteOffset, state.byteLength)}, ${at})`.execute(
        tx.tables(),
      );
      await raw`
        delete from document_snapshots where document_id = ${documentId} and upto_seq < ${uptoSeq}`.execute(
        tx.tables(),
      );
      const { rows } = await raw<{ user_id: string; last_seq: string }>`
        with gone as (
          delete from document_updates where document_id = ${documentId} and seq <= ${uptoSeq}
          returning seq, user_id
        )
        select user_id, max(seq) as last_seq from gone where user_id is not null group by user_id`.execute(
        tx.tables(),
      );
      return rows.map((row) => ({ userId: row.user_id, lastSeq: Number(row.last_seq) }));
    },
    async lock(tx, documentId) {
      const { rows } = await raw<{
        head: string;
        compacted_seq: string;
        versioned_seq: string;
        updated_at: Date;
        dirty_since: Date | null;
        pending_authors: string[];
      }>`
        select head, compacted_seq, versioned_seq, updated_at, dirty_since, pending_authors
        from documents where id = ${documentId} for no key update`.execute(tx.tables());
      const [row] = rows;
      return (
        row && {
          head: Number(row.head),
          compactedSeq: Number(row.compacted_seq),
          versionedSeq: Number(row.versioned_seq),
          updatedAt: row.updated_at,
          dirtySince: row.dirty_since ?? undefined,
          pendingAuthors: row.pending_authors,
        }
      );
    },
    async settle(tx, documentId, { compactedSeq, versionedSeq, dirtySince, pendingAuthors }) {
      await raw`
        update documents set compacted_seq = ${compactedSeq}, versioned_seq = ${versionedSeq},
          dirty_since = ${dirtySince ?? null}, pending_authors = ${[...pendingAuthors]}::uuid[],
          tail_bytes = (
            select coalesce(sum(octet_length(update)), 0) from document_updates where document_id = ${documentId}
          )
        where id = ${documentId}`.execute(tx.tables());
    },
  };
}
