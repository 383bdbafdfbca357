import { sql as raw } from "kysely";
import type { Sql, Tx } from "../platform/database/database.js";
import type { Role, RoleReader } from "./access.js";
import type { ProjectTables } from "./tables.js";

/** A project, seen by one of its members. */
export interface ProjectRow {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  readonly role: Role;
  /** Rises with every change of the project or of this member's role, because both are in what the member reads. */
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What can be changed of a project. */
export interface ProjectFields {
  readonly name: string;
  readonly description: string | null;
}

/** The SQL of projects. */
export interface ProjectRepository extends RoleReader {
  /** Creates a project without members; its first member makes its revision 1. */
  insert(tx: Tx, id: string, fields: ProjectFields, at: Date): Promise<void>;
  find(sql: Sql, projectId: string, userId: string): Promise<ProjectRow | undefined>;
  /** As `find`, and keeps the row from other changes until the transaction ends. */
  findForUpdate(tx: Tx, projectId: string, userId: string): Promise<ProjectRow | undefined>;
  /** Newest first. */
  pageOf(
    sql: Sql,
    userId: string,
    limit: number,
    after: { readonly id: string } | undefined,
  ): Promise<ProjectRow[]>;
  /** Returns the new version. */
  update(tx: Tx, projectId: string, fields: ProjectFields, at: Date): Promise<number>;
  /** Deletes the project with all that hangs on it. */
  delete(tx: Tx, projectId: string): Promise<void>;
}

/** Keeps the advisory locks of projects apart from others that are made of a hash. */
const TURN_SEED = 11;

/** Projects in the `Database`. */
export function createProjectRepository(): ProjectRepository {
  const seenBy = (sql: Sql, userId: string) =>
    sql
      .tables<ProjectTables>()
      .selectFrom("projects as p")
      .innerJoin("project_members as m", "m.project_id", "p.id")
      .where("m.user_id", "=", userId)
      .select([
        "p.id",
        "p.name",
        "p.description",
        "m.role",
        "p.created_at as createdAt",
        "p.updated_at as updatedAt",
        raw<number>`greatest(p.version, m.version)`.as("version"),
      ]);

  return {
    async roleOf(sql, projectId, userId) {
      const row = await sql
        .tables<ProjectTables>()
        .selectFrom("project_members")
        .select("role")
        .where("project_id", "=", projectId)
        .where("user_id", "=", userId)
        .executeTakeFirst();
      return row?.role;
    },
    async takeTurn(tx, projectId, turn) {
      // Not a lock on a row: those who share one overtake who waits to change it, for as long as they keep coming.
      const lock = turn === "writing" ? "pg_advisory_xact_lock_shared" : "pg_advisory_xact_lock";
      await raw`select ${raw.raw(lock)}(hashtextextended(${projectId}, ${TURN_SEED}))`.execute(tx.tables());
    },
    async insert(tx, id, fields, at) {
      await tx
        .tables<ProjectTables>()
        .insertInto("projects")
        .values({ id, ...fields, revision: 0, version: 1, created_at: at, updated_at: at })
        .execute();
    },
    find: (sql, projectId, userId) => seenBy(sql, userId).where("p.id", "=", projectId).executeTakeFirst(),
    findForUpdate: (tx, projectId, userId) =>
      seenBy(tx, userId).where("p.id", "=", projectId).forNoKeyUpdate("p").executeTakeFirst(),
    pageOf(sql, userId, limit, after) {
      const page = seenBy(sql, userId).orderBy("m.project_id", "desc").limit(limit);
      return (after ? page.where("m.project_id", "<", after.id) : page).execute();
    },
    async update(tx, projectId, fields, at) {
      const { version } = await tx
        .tables<ProjectTables>()
        .updateTable("projects")
        .set((q) => ({
          ...fields,
          updated_at: at,
          revision: q("revision", "+", 1),
          version: q("revision", "+", 1),
        }))
        .where("id", "=", projectId)
        .returning("version")
        .executeTakeFirstOrThrow();
      return version;
    },
    async delete(tx, projectId) {
      await tx.tables<ProjectTables>().deleteFrom("projects").where("id", "=", projectId).execute();
    },
  };
}
