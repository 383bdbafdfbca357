import { sql as raw } from "kysely";
import type { Sql, Tx } from "../platform/database/database.js";
import { pathKey } from "./file-path.js";

/** A file. */
export interface FileRow {
  readonly id: string;
  readonly workspaceId: string;
  readonly path: string;
  readonly kind: "text" | "binary";
  readonly size: number;
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
  count(sql: Sql, workspaceId: string): Promise<number>;
  /** True when the path, or a folder above it, is the name of another file, or the path is a folder. */
  isTaken(sql: Sql, workspaceId: string, path: string): Promise<boolean>;
  insert(
    tx: Tx,
    file: Pick<FileRow, "id" | "workspaceId" | "path" | "kind"> & { readonly userId: string },
    at: Date,
  ): Promise<void>;
  setSize(sql: Sql, fileId: string, size: number): Promise<void>;
  delete(tx: Tx, fileId: string): Promise<void>;
  /** The file at `path`, or all files below it. */
  findTree(tx: Tx, workspaceId: string, path: string): Promise<FileRow[]>;
  rename(tx: Tx, fileId: string, path: string, userId: string, at: Date): Promise<void>;
  /** Remembers that the path was given up, and forgets those given up before `expired`. */
  bury(tx: Tx, workspaceId: string, path: string, at: Date, expired: Date): Promise<void>;
  unbury(tx: Tx, workspaceId: string, path: string): Promise<void>;
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
  version: string;
  updated_at: Date;
}

const LOCK_SPACE = 4_202;

const COLUMNS = raw`files.id, files.workspace_id, files.path, files.path_key, files.kind, files.size,
  files.version + coalesce(documents.head, 0) as version,
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
    async count(sql, workspaceId) {
      const { rows } = await raw<{ n: number }>`
        select count(*)::int as n from files where workspace_id = ${workspaceId}`.execute(sql.tables());
      return rows[0]?.n ?? 0;
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
    async insert(tx, { id, workspaceId, path, kind, userId }, at) {
      await raw`
        insert into files (id, workspace_id, path, path_key, kind, created_at, updated_at, updated_by)
        values (${id}, ${workspaceId}, ${path}, ${pathKey(path)}, ${kind}, ${at}, ${at}, ${userId})`.execute(
        tx.tables(),
      );
    },
    async setSize(sql, fileId, size) {
      await raw`update files set size = ${size} where id = ${fileId} and size <> ${size}`.execute(
        sql.tables(),
      );
    },
    async delete(tx, fileId) {
      await raw`delete from files where id = ${fileId}`.execute(tx.tables());
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
    async bury(tx, workspaceId, path, at, expired) {
      await raw`
        delete from file_tombstones
        where workspace_id = ${workspaceId} and deleted_at < ${expired}`.execute(tx.tables());
      await raw`
        insert into file_tombstones (workspace_id, path_key, deleted_at)
        values (${workspaceId}, ${pathKey(path)}, ${at})
        on conflict (workspace_id, path_key) do update set deleted_at = excluded.deleted_at`.execute(
        tx.tables(),
      );
    },
    async unbury(tx, workspaceId, path) {
      await raw`
        delete from file_tombstones
        where workspace_id = ${workspaceId} and path_key = ${pathKey(path)}`.execute(tx.tables());
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
    version: Number(row.version),
    updatedAt: row.updated_at,
  };
}
