import type { Sql, Tx } from "../platform/database/database.js";
import type { Settings } from "./schema.js";

interface WorkspaceTables {
  workspaces: {
    id: string;
    project_id: string;
    name: string;
    settings: unknown;
    version: number;
    created_at: Date;
    updated_at: Date;
  };
}

/** A workspace. */
export interface WorkspaceRow {
  readonly id: string;
  readonly projectId: string;
  readonly name: string;
  readonly settings: Settings;
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What can be changed of a workspace. */
export interface WorkspaceFields {
  readonly name: string;
  readonly settings: Settings;
}

/** The SQL of workspaces. */
export interface WorkspaceRepository {
  insert(tx: Tx, id: string, projectId: string, fields: WorkspaceFields, at: Date): Promise<WorkspaceRow>;
  find(sql: Sql, workspaceId: string): Promise<WorkspaceRow | undefined>;
  /** As `find`, and keeps the row from other changes until the transaction ends. */
  findForUpdate(tx: Tx, workspaceId: string): Promise<WorkspaceRow | undefined>;
  /** The project it belongs to, for good. */
  projectOf(sql: Sql, workspaceId: string): Promise<string | undefined>;
  /** Newest first. */
  pageOf(
    sql: Sql,
    projectId: string,
    limit: number,
    after: { readonly id: string } | undefined,
  ): Promise<WorkspaceRow[]>;
  update(tx: Tx, workspaceId: string, fields: WorkspaceFields, at: Date): Promise<WorkspaceRow>;
  delete(tx: Tx, workspaceId: string): Promise<void>;
}

const COLUMNS = [
  "id",
  "project_id as projectId",
  "name",
  "settings",
  "version",
  "created_at as createdAt",
  "updated_at as updatedAt",
] as const;

/** Workspaces in the `Database`. */
export function createWorkspaceRepository(): WorkspaceRepository {
  const select = (sql: Sql) => sql.tables<WorkspaceTables>().selectFrom("workspaces").select(COLUMNS);
  const stored = (fields: WorkspaceFields) => ({
    name: fields.name,
    settings: JSON.stringify(fields.settings),
  });
  return {
    insert: async (tx, id, projectId, fields, at) =>
      toRow(
        await tx
          .tables<WorkspaceTables>()
          .insertInto("workspaces")
          .values({
            id,
            project_id: projectId,
            ...stored(fields),
            version: 1,
            created_at: at,
            updated_at: at,
          })
          .returning(COLUMNS)
          .executeTakeFirstOrThrow(),
      ),
    async find(sql, workspaceId) {
      const row = await select(sql).where("id", "=", workspaceId).executeTakeFirst();
      return row && toRow(row);
    },
    async findForUpdate(tx, workspaceId) {
      const row = await select(tx).where("id", "=", workspaceId).forNoKeyUpdate().executeTakeFirst();
      return row && toRow(row);
    },
    async projectOf(sql, workspaceId) {
      const row = await sql
        .tables<WorkspaceTables>()
        .selectFrom("workspaces")
        .select("project_id")
        .where("id", "=", workspaceId)
        .executeTakeFirst();
      return row?.project_id;
    },
    async pageOf(sql, projectId, limit, after) {
      const page = select(sql).where("project_id", "=", projectId).orderBy("id", "desc").limit(limit);
      return (await (after ? page.where("id", "<", after.id) : page).execute()).map(toRow);
    },
    update: async (tx, workspaceId, fields, at) =>
      toRow(
        await tx
          .tables<WorkspaceTables>()
          .updateTable("workspaces")
          .set((q) => ({ ...stored(fields), version: q("version", "+", 1), updated_at: at }))
          .where("id", "=", workspaceId)
          .returning(COLUMNS)
          .executeTakeFirstOrThrow(),
      ),
    async delete(tx, workspaceId) {
      await tx.tables<WorkspaceTables>().deleteFrom("workspaces").where("id", "=", workspaceId).execute();
    },
  };
}

function toRow(row: Omit<WorkspaceRow, "settings"> & { settings: unknown }): WorkspaceRow {
  return { ...row, settings: row.settings as Settings };
}
