import { createHash } from "node:crypto";
import { sql as raw } from "kysely";
import type { Sql, Tx } from "../platform/database/database.js";
import type { Thinnable } from "./version-thinning.js";

/** Why there is a version: it was time, somebody asked for it, or something older was restored over it. */
export type VersionKind = "automatic" | "saved" | "before_restore";

/** A version, without its content. */
export interface VersionRow {
  readonly id: string;
  readonly documentId: string;
  /** Path of the file as it is now. */
  readonly path: string;
  /** Every update of the document up to this one is in it. */
  readonly seq: number;
  readonly kind: VersionKind;
  readonly label: string | undefined;
  /** Bytes of the text. */
  readonly size: number;
  /** Ids of those who edited since the version before. */
  readonly authors: readonly string[];
  /** Who asked for it. */
  readonly createdBy: string | undefined;
  readonly createdAt: Date;
}

/** A version about to be written. */
export type NewVersion = Omit<VersionRow, "path" | "size"> & { readonly text: Uint8Array };

/** A place in the list of versions. */
export interface VersionPosition {
  readonly seq: number;
  readonly id: string;
}

/** The SQL of versions. */
export interface VersionRepository {
  insert(tx: Tx, version: NewVersion): Promise<void>;
  /** What the newest version of a document is, and whether it holds this text. */
  newest(
    sql: Sql,
    documentId: string,
    text: Uint8Array,
  ): Promise<{ readonly kind: VersionKind; readonly same: boolean } | undefined>;
  /** Newest first. */
  pageOf(
    sql: Sql,
    documentId: string,
    limit: number,
    after: VersionPosition | undefined,
  ): Promise<VersionRow[]>;
  find(sql: Sql, workspaceId: string, versionId: string): Promise<VersionRow | undefined>;
  /** The version before this one. */
  previous(sql: Sql, version: VersionRow): Promise<string | undefined>;
  /** The text in UTF-8; undefined when the version is gone. */
  contentOf(sql: Sql, versionId: string): Promise<Buffer | undefined>;
  countSaved(sql: Sql, documentId: string): Promise<number>;
  /** Ids of those whose updates are in the log between two seqs. */
  authorsBetween(sql: Sql, documentId: string, after: number, upto: number): Promise<string[]>;
  /** Notes that a version holds a locked document up to `seq`, and who is named in it when `authorsTaken`. */
  noteVersion(tx: Tx, documentId: string, seq: number, authorsTaken: boolean): Promise<void>;
  /** Versions that thinning may take away. */
  thinnable(sql: Sql, documentId: string): Promise<Thinnable[]>;
  delete(sql: Sql, versionIds: readonly string[]): Promise<void>;
  /** Documents with versions to be thinned. */
  thinDue(sql: Sql, now: Date, limit: number): Promise<string[]>;
  setThinAt(sql: Sql, documentId: string, at: Date | undefined): Promise<void>;
  /** As `setThinAt`, unless it is due earlier. */
  thinBy(sql: Sql, documentId: string, at: Date): Promise<void>;
}

interface Found {
  id: string;
  document_id: string;
  path: string;
  seq: string;
  kind: VersionKind;
  label: string | null;
  size: string;
  authors: string[];
  created_by: string | null;
  created_at: Date;
}

const COLUMNS = raw`v.id, v.document_id, files.path, v.seq, v.kind, v.label, v.size, v.authors, v.created_by, v.created_at`;

/** Versions in the `Database`. */
export function createVersionRepository(): VersionRepository {
  return {
    async insert(tx, version) {
      const { id, documentId, seq, kind, label, text, authors, createdBy, createdAt } = version;
      await raw`
        insert into document_versions
          (id, document_id, seq, kind, label, content, size, authors, created_by, created_at)
        values (${id}, ${documentId}, ${seq}, ${kind}, ${label ?? null}, ${asBuffer(text)}, ${text.byteLength},
          ${[...authors]}::uuid[], ${createdBy ?? null}, ${createdAt})`.execute(tx.tables());
    },
    async newest(sql, documentId, text) {
      const digest = createHash("sha256").update(text).digest();
      const { rows } = await raw<{ kind: VersionKind; same: boolean }>`
        select kind, size = ${text.byteLength} and sha256(content) = ${digest} as same
        from document_versions where document_id = ${documentId}
        order by seq desc, id desc limit 1`.execute(sql.tables());
      return rows[0];
    },
    async pageOf(sql, documentId, limit, after) {
      const { rows } = await raw<Found>`
        select ${COLUMNS} from document_versions v join files on files.id = v.document_id
        where v.document_id = ${documentId}
        ${after ? raw`and (v.seq, v.id) < (${after.seq}::bigint, ${after.id}::uuid)` : raw``}
        order by v.seq desc, v.id desc limit ${limit}`.execute(sql.tables());
      return rows.map(toRow);
    },
    async find(sql, workspaceId, versionId) {
      const { rows } = await raw<Found>`
        select ${COLUMNS} from document_versions v join files on files.id = v.document_id
        where v.id = ${versionId} and files.workspace_id = ${workspaceId}`.execute(sql.tables());
      return rows[0] && toRow(rows[0]);
    },
    async previous(sql, { documentId, seq, id }) {
      const { rows } = await raw<{ id: string }>`
        select id from document_versions
        where document_id = ${documentId} and (seq, id) < (${seq}::bigint, ${id}::uuid)
        order by seq desc, id desc limit 1`.execute(sql.tables());
      return rows[0]?.id;
    },
    async contentOf(sql, versionId) {
      const { rows } = await raw<{ content: Buffer }>`
        select content from document_versions where id = ${versionId}`.execute(sql.tables());
      return rows[0]?.content;
    },
    async countSaved(sql, documentId) {
      const { rows } = await raw<{ n: number }>`
        select count(*)::int as n from document_versions
        where document_id = ${documentId} and kind = 'saved'`.execute(sql.tables());
      return rows[0]?.n ?? 0;
    },
    async authorsBetween(sql, documentId, after, upto) {
      const { rows } = await raw<{ user_id: string }>`
        select distinct user_id from document_updates
        where document_id = ${documentId} and seq > ${after} and seq <= ${upto} and user_id is not null`.execute(
        sql.tables(),
      );
      return rows.map((row) => row.user_id);
    },
    async noteVersion(tx, documentId, seq, authorsTaken) {
      await raw`
        update documents set versioned_seq = greatest(versioned_seq, ${seq}::bigint)
        ${authorsTaken ? raw`, pending_authors = '{}'` : raw``}
        where id = ${documentId}`.execute(tx.tables());
    },
    async thinnable(sql, documentId) {
      const { rows } = await raw<{
        id: string;
        kind: VersionKind;
        created_at: Date;
        superseded_at: Date | null;
      }>`
        select id, kind, created_at, lead(created_at) over (order by seq, id) as superseded_at
        from document_versions where document_id = ${documentId}`.execute(sql.tables());
      return rows.flatMap(({ id, kind, created_at, superseded_at }) =>
        kind === "saved"
          ? []
          : [{ id, kind, createdAt: created_at.getTime(), supersededAt: superseded_at?.getTime() }],
      );
    },
    async delete(sql, versionIds) {
      await raw`delete from document_versions where id = any(${[...versionIds]}::uuid[])`.execute(
        sql.tables(),
      );
    },
    async thinDue(sql, now, limit) {
      const { rows } = await raw<{ id: string }>`
        select id from documents where thin_at <= ${now} order by thin_at limit ${limit}`.execute(
        sql.tables(),
      );
      return rows.map(({ id }) => id);
    },
    async setThinAt(sql, documentId, at) {
      await raw`update documents set thin_at = ${at ?? null} where id = ${documentId}`.execute(sql.tables());
    },
    async thinBy(sql, documentId, at) {
      await raw`
        update documents set thin_at = least(thin_at, ${at}::timestamptz) where id = ${documentId}`.execute(
        sql.tables(),
      );
    },
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function toRow(row: Found): VersionRow {
  return {
    id: row.id,
    documentId: row.document_id,
    path: row.path,
    seq: Number(row.seq),
    kind: row.kind,
    label: row.label ?? undefined,
    size: Number(row.size),
    authors: row.authors,
    createdBy: row.created_by ?? undefined,
    createdAt: row.created_at,
  };
}
