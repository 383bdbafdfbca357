import { sql as raw } from "kysely";
import type { Sql, Tx } from "../platform/database/database.js";
import { pathKey } from "./file-path.js";

/** Where the content of a binary file is, and what it is. */
export interface StoredBinary {
  /** Key in the blob store. */
  readonly key: string;
  readonly mediaType: string;
  /** Hex. */
  readonly sha256: string;
}

/** A file. */
export interface FileRow {
  readonly id: string;
  readonly workspaceId: string;
  readonly path: string;
  readonly kind: "text" | "binary";
  readonly size: number;
  /** Undefined for a text, which is a document of the same id. */
  readonly binary: StoredBinary | undefined;
  /** Grows with every change of the file and every edit of its text. */
  readonly version: number;
  readonly updatedAt: Date;
}

/** The SQL of files. */
export interface FileRepository {
  /** Makes changes of which paths there are wait for each other, until the transaction ends. */
  takeTurn(tx: Tx, workspaceId: string): Promise<void>;
  find(sql: Sql, workspaceId: string, path: string): Promise<FileRow | undefined>;
  /** The file and its project, by id. */
  findById(sql: Sql, fileId: string): Promise<(FileRow & { readonly projectId: string }) | undefined>;
  /** In the order of paths, case folded. */
  pageOf(
    sql: Sql,
    workspaceId: string,
    limit: number,
    after: { readonly key: string } | undefined,
  ): Promise<(FileRow & { readonly key: string })[]>;
  /** How many files there are and how many bytes they have. */
  usage(sql: Sql, workspaceId: string): Promise<{ readonly files: number; readonly bytes: number }>;
  /** True when the path, or a folder above it, is the name of another file, or the path is a folder. */
  isTaken(sql: Sql, workspaceId: string, path: string): Promise<boolean>;
  insert(
    tx: Tx,
    file: Pick<FileRow, "id" | "workspaceId" | "path" | "size" | "binary"> & { readonly userId: string },
    at: Date,
  ): Promise<void>;
  setSize(sql: Sql, fileId: string, size: number): Promise<void>;
  /** Another content for a binary file. */
  setBinary(
    tx: Tx,
    file: Pick<FileRow, "id" | "size"> & { readonly binary: StoredBinary; readonly userId: string },
    at: Date,
  ): Promise<void>;
  /**
   * Makes a text binary, or, without `binary`, the reverse. The file gets a new id and its document, if any, is gone: a node
   * that still has it open must not take what comes after for its continuation.
   */
  changeKind(
    tx: Tx,
    file: Pick<FileRow, "id" | "size" | "binary"> & { readonly newId: string; readonly userId: string },
    at: Date,
  ): Promise<void>;
  delete(tx: Tx, fileIds: readonly string[]): Promise<void>;
  /** The file at `path`, or all files below it. */
  findTree(tx: Tx, workspaceId: string, path: string): Promise<FileRow[]>;
  rename(tx: Tx, fileId: string, path: string, userId: string, at: Date): Promise<void>;
  /** Remembers that the paths were given up, and forgets those given up before `expired`. */
  bury(tx: Tx, workspaceId: string, paths: readonly string[], at: Date, expired: Date): Promise<void>;
  unbury(tx: Tx, workspaceId: string, paths: readonly string[]): Promise<void>;
  /** True when a file of this path was deleted or moved away since `since`. */
  isBuried(sql: Sql, workspaceId: string, path: string, since: Date): Promise<boolean>;
}

interface Found {
  id: string;
  workspace_id: string;
  path: string;
  path_key: string;
  kind: "text" | "binary";
  size: string;
  blob_key: string | null;
  media_type: string | null;
  sha256: string | null;
  version: string;
  updated_at: Date;
}

const LOCK_SPACE = 4_202;

const COLUMNS = raw`files.id, files.workspace_id, files.path, files.path_key, files.kind, files.size,
  files.blob_key, files.media_type, files.sha256, files.version + coalesce(documents.head, 0) as version,
  greatest(files.updated_at, documents.updated_at) as updated_at`;

/** Files in the `Database`. */
export function createFileRepository(): FileRepository {
  return {
    async takeTurn(tx, workspaceId) {
      await raw`select pg_advisory_xact_lock(hashtextextended(${workspaceId}, ${LOCK_SPACE}))`.execute(
        tx.tables(),
      );
    },
    async find(sql, workspaceId, path) {
      const { rows } = await raw<Found>`
        select ${COLUMNS} from files left join documents on documents.id = files.id
        where files.workspace_id = ${workspaceId} and files.path_key = ${pathKey(path)}`.execute(
        sql.tables(),
      );
      return rows[0] && toRow(rows[0]);
    },
    async findById(sql, fileId) {
      const { rows } = await raw<Found & { project_id: string }>`
        select ${COLUMNS}, workspaces.project_id
        from files join workspaces on workspaces.id = files.workspace_id left join documents on documents.id = files.id
        where files.id = ${fileId}`.execute(sql.tables());
      return rows[0] && { ...toRow(rows[0]), projectId: rows[0].project_id };
    },
    async pageOf(sql, workspaceId, limit, after) {
      const { rows } = await raw<Found>`
        select ${COLUMNS} from files left join documents on documents.id = files.id
        where files.workspace_id = ${workspaceId} and files.path_key > ${after?.key ?? ""}
        order by files.path_key limit ${limit}`.execute(sql.tables());
      return rows.map((row) => ({ ...toRow(row), key: row.path_key }));
    },
    async usage(sql, workspaceId) {
      const { rows } = await raw<{ files: number; bytes: string }>`
        select count(*)::int as files, coalesce(sum(size), 0) as bytes
        from files where workspace_id = ${workspaceId}`.execute(sql.tables());
      return { files: rows[0]?.files ?? 0, bytes: Number(rows[0]?.bytes ?? 0) };
    },
    async isTaken(sql, workspaceId, path) {
      const key = pathKey(path);
      const names = key.split("/");
      const above = names.map((_, i) => names.slice(0, i + 1).join("/"));
      const { rows } = await raw<{ taken: boolean }>`
        select exists (
          select 1 from files where workspace_id = ${workspaceId}
          and (path_key = any(${above}::text[]) or starts_with(path_key, ${`${key}/`}))
        ) as taken`.execute(sql.tables());
      return rows[0]?.taken ?? false;
    },
    async insert(tx, { id, workspaceId, path, size, binary, userId }, at) {
      await raw`
        insert into files (id, workspace_id, path, path_key, kind, size, blob_key, media_type, sha256,
          created_at, updated_at, updated_by)
        values (${id}, ${workspaceId}, ${path}, ${pathKey(path)}, ${binary ? "binary" : "text"}, ${size},
          ${binary?.key ?? null}, ${binary?.mediaType ?? null}, ${binary?.sha256 ?? null},
          ${at}, ${at}, ${userId})`.execute(tx.tables());
    },
    async setSize(sql, fileId, size) {
      await raw`update files set size = ${size} where id = ${fileId} and kind = 'text' and size <> ${size}`.execute(
        sql.tables(),
      );
    },
    async setBinary(tx, { id, size, binary, userId }, at) {
      await raw`
        update files set size = ${size}, blob_key = ${binary.key}, media_type = ${binary.mediaType},
          sha256 = ${binary.sha256}, updated_at = ${at}, updated_by = ${userId}, version = version + 1
        where id = ${id}`.execute(tx.tables());
    },
    async changeKind(tx, { id, newId, size, binary, userId }, at) {
      const { rows } = await raw<{ head: string }>`
        delete from documents where id = ${id} returning head`.execute(tx.tables());
      // The version goes on from where the document's edits had brought it.
      await raw`
        update files set id = ${newId}, kind = ${binary ? "binary" : "text"}, size = ${size},
          blob_key = ${binary?.key ?? null}, media_type = ${binary?.mediaType ?? null}, sha256 = ${binary?.sha256 ?? null},
          updated_at = ${at}, updated_by = ${userId}, version = version + 1 + ${Number(rows[0]?.head ?? 0)}
        where id = ${id}`.execute(tx.tables());
    },
    async delete(tx, fileIds) {
      await raw`delete from files where id = any(${[...fileIds]}::uuid[])`.execute(tx.tables());
    },
    async findTree(tx, workspaceId, path) {
      const key = pathKey(path);
      const { rows } = await raw<Found>`
        select ${COLUMNS} from files left join documents on documents.id = files.id
        where files.workspace_id = ${workspaceId}
        and (files.path_key = ${key} or starts_with(files.path_key, ${`${key}/`}))
        order by files.path_key`.execute(tx.tables());
      return rows.map(toRow);
    },
    async rename(tx, fileId, path, userId, at) {
      await raw`
        update files set path = ${path}, path_key = ${pathKey(path)}, version = version + 1,
        updated_at = ${at}, updated_by = ${userId} where id = ${fileId}`.execute(tx.tables());
    },
    async bury(tx, workspaceId, paths, at, expired) {
      await raw`
        delete from file_tombstones
        where workspace_id = ${workspaceId} and deleted_at < ${expired}`.execute(tx.tables());
      await raw`
        insert into file_tombstones (workspace_id, path_key, deleted_at)
        select ${workspaceId}, key, ${at} from unnest(${paths.map(pathKey)}::text[]) as key
        on conflict (workspace_id, path_key) do update set deleted_at = excluded.deleted_at`.execute(
        tx.tables(),
      );
    },
    async unbury(tx, workspaceId, paths) {
      await raw`
        delete from file_tombstones
        where workspace_id = ${workspaceId} and path_key = any(${paths.map(pathKey)}::text[])`.execute(
        tx.tables(),
      );
    },
    async isBuried(sql, workspaceId, path, since) {
      const { rows } = await raw`
        select 1 from file_tombstones
        where workspace_id = ${workspaceId} and path_key = ${pathKey(path)} and deleted_at > ${since}`.execute(
        sql.tables(),
      );
      return rows.length > 0;
    },
  };
}

function toRow(row: Found): FileRow {
  return {
    id: row.id,
    workspaceId: row.workspace_id,
    path: row.path,
    kind: row.kind,
    size: Number(row.size),
    binary:
      row.blob_key !== null && row.media_type !== null && row.sha256 !== null
        ? { key: row.blob_key, mediaType: row.media_type, sha256: row.sha256 }
        : undefined,
    version: Number(row.version),
    updatedAt: row.updated_at,
  };
}
