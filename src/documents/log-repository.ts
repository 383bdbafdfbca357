import { sql as raw } from "kysely";
import type { Sql, Tx } from "../platform/database/database.js";

/** One update on its way into the log. */
export interface NewUpdate {
  readonly documentId: string;
  readonly update: Uint8Array;
  readonly userId: string;
}

/** One update of the log. */
export interface LoggedUpdate {
  readonly seq: number;
  readonly update: Uint8Array;
}

/** What a document is made from: the newest snapshot, if any, and every update after it, in order. */
export interface StoredDocument {
  readonly snapshot: { readonly uptoSeq: number; readonly state: Uint8Array } | undefined;
  readonly updates: readonly LoggedUpdate[];
}

/** Where the log of a document stands. */
export interface LogHead {
  /** Seq of its last update. */
  readonly head: number;
  /** Updates and bytes after its newest snapshot. */
  readonly tail: number;
  readonly tailBytes: number;
}

/** The SQL of the update log. */
export interface LogRepository {
  /**
   * Appends all in one statement, which is a transaction of its own. Answers the seq of each, in the same order; undefined
   * for one whose document is gone.
   */
  appendAll(sql: Sql, updates: readonly NewUpdate[], at: Date): Promise<(number | undefined)[]>;
  /** Takes the document's row for this transaction; its head, or undefined when it is gone. */
  lockHead(tx: Tx, documentId: string): Promise<number | undefined>;
  /** Appends one update to a document whose head is locked by this transaction. */
  appendLocked(tx: Tx, update: NewUpdate, seq: number, at: Date): Promise<void>;
  insertDocument(tx: Tx, documentId: string, userId: string, at: Date): Promise<void>;
  /** Everything a document is made from, as of one moment; undefined when it is gone. */
  load(sql: Sql, documentId: string): Promise<StoredDocument | undefined>;
  /** Updates after `seq`, in order. */
  after(sql: Sql, documentId: string, seq: number, limit: number): Promise<LoggedUpdate[]>;
  /** Where the logs of those documents stand that still exist. */
  heads(sql: Sql, documentIds: readonly string[]): Promise<ReadonlyMap<string, LogHead>>;
}

/** The update log in the `Database`. */
export function createLogRepository(): LogRepository {
  return {
    async appendAll(sql, updates, at) {
      const counts = new Map<string, number>();
      const places = updates.map(({ documentId }) => {
        const place = (counts.get(documentId) ?? 0) + 1;
        counts.set(documentId, place);
        return place;
      });
      // Rows are locked in the order of ids, so two nodes that append to the same documents never wait for each other in a ring.
      const { rows } = await raw<{ document_id: string; base: string }>`
        with input as (
          select * from unnest(
            ${updates.map(({ documentId }) => documentId)}::uuid[], ${places}::int[],
            ${updates.map(({ update }) => Buffer.from(update.buffer, update.byteOffset, update.byteLength))}::bytea[],
            ${updates.map(({ userId }) => userId)}::uuid[]
          ) as t (document_id, place, update, user_id)
        ), counts as (
          select document_id, max(place) as n, sum(octet_length(update)) as bytes,
            (array_agg(user_id order by place desc))[1] as user_id
          from input group by document_id
        ), locked as materialized (
          select id from documents where id in (select document_id from counts) order by id for no key update
        ), heads as (
          update documents set head = head + counts.n, tail_bytes = tail_bytes + counts.bytes,
            dirty_since = coalesce(dirty_since, ${at}), updated_at = ${at}, updated_by = counts.user_id
          from counts join locked on locked.id = counts.document_id
          where documents.id = counts.document_id
          returning documents.id, documents.head - counts.n as base
        ), inserted as (
          insert into document_updates (document_id, seq, update, user_id, created_at)
          select input.document_id, heads.base + input.place, input.update, input.user_id, ${at}
          from input join heads on heads.id = input.document_id
        )
        select id as document_id, base from heads`.execute(sql.tables());
      const bases = new Map(rows.map((row) => [row.document_id, Number(row.base)]));
      return updates.map(({ documentId }, i) => {
        const base = bases.get(documentId);
        return base === undefined ? undefined : base + (places[i] ?? 0);
      });
    },
    async lockHead(tx, documentId) {
      const { rows } = await raw<{ head: string }>`
        select head from documents where id = ${documentId} for no key update`.execute(tx.tables());
      return rows[0] && Number(rows[0].head);
    },
    async appendLocked(tx, { documentId, update, userId }, seq, at) {
      await raw`
        with head as (
          update documents set head = ${seq}, tail_bytes = tail_bytes + ${update.byteLength},
            dirty_since = coalesce(dirty_since, ${at}), updated_at = ${at}, updated_by = ${userId}
          where id = ${documentId}
        )
        insert into document_updates (document_id, seq, update, user_id, created_at)
        values (${documentId}, ${seq}, ${Buffer.from(update)}, ${userId}, ${at})`.execute(tx.tables());
    },
    async insertDocument(tx, documentId, userId, at) {
      await raw`
        insert into documents (id, head, updated_at, updated_by) values (${documentId}, 0, ${at}, ${userId})`.execute(
        tx.tables(),
      );
    },
    async load(sql, documentId) {
      const { rows } = await raw<{
        kind: "document" | "snapshot" | "update";
        seq: string;
        bytes: Buffer | null;
      }>`
        with newest as (
          select upto_seq, state from document_snapshots
          where document_id = ${documentId} order by upto_seq desc limit 1
        )
        select 'document' as kind, head as seq, null as bytes from documents where id = ${documentId}
        union all select 'snapshot', upto_seq, state from newest
        union all (
          select 'update', seq, update from document_updates
          where document_id = ${documentId} and seq > coalesce((select upto_seq from newest), 0) order by seq
        )`.execute(sql.tables());
      if (!rows.some(({ kind }) => kind === "document")) return undefined;
      const found = rows.find(({ kind }) => kind === "snapshot");
      return {
        snapshot: found?.bytes ? { uptoSeq: Number(found.seq), state: found.bytes } : undefined,
        updates: rows
          .filter(({ kind }) => kind === "update")
          .map(({ seq, bytes }) => ({ seq: Number(seq), update: bytes ?? Buffer.alloc(0) }))
          .sort((a, b) => a.seq - b.seq),
      };
    },
    async after(sql, documentId, seq, limit) {
      const { rows } = await raw<{ seq: string; update: Buffer }>`
        select seq, update from document_updates
        where document_id = ${documentId} and seq > ${seq} order by seq limit ${limit}`.execute(sql.tables());
      return rows.map((row) => ({ seq: Number(row.seq), update: row.update }));
    },
    async heads(sql, documentIds) {
      const { rows } = await raw<{ id: string; head: string; tail: string; tail_bytes: string }>`
        select id, head, head - compacted_seq as tail, tail_bytes
        from documents where id = any(${[...documentIds]}::uuid[])`.execute(sql.tables());
      return new Map(
        rows.map((row) => [
          row.id,
          { head: Number(row.head), tail: Number(row.tail), tailBytes: Number(row.tail_bytes) },
        ]),
      );
    },
  };
}
