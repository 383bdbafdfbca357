import type { Sql, Tx } from "../platform/database/database.js";
import type { Role } from "./access.js";
import type { ProjectTables } from "./tables.js";

/** A pending invitation. */
export interface InvitationRow {
  readonly id: string;
  readonly projectId: string;
  readonly email: string;
  readonly role: Role;
  readonly invitedBy: string;
  /** Number of the link that is valid; earlier ones are dead. */
  readonly issue: number;
  readonly salt: Buffer;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** The SQL of invitations. */
export interface InvitationRepository {
  find(sql: Sql, invitationId: string): Promise<InvitationRow | undefined>;
  /** Newest first. */
  pageOf(
    sql: Sql,
    projectId: string,
    limit: number,
    after: { readonly id: string } | undefined,
  ): Promise<InvitationRow[]>;
  /** Writes an invitation; one of the same address in the project keeps its id and gets the new values and next issue. */
  upsert(tx: Tx, row: Omit<InvitationRow, "issue">): Promise<InvitationRow>;
  /** Kills the old link; undefined when the project has no such invitation. */
  reissue(
    tx: Tx,
    projectId: string,
    invitationId: string,
    values: Pick<InvitationRow, "invitedBy" | "salt" | "expiresAt">,
  ): Promise<InvitationRow | undefined>;
  /** True when there was one. */
  delete(tx: Tx, projectId: string, invitationId: string): Promise<boolean>;
  /** Ends all invitations of an inviter, or to an address; returns their ids. */
  deleteWhere(
    tx: Tx,
    projectId: string,
    which: { readonly invitedBy: string } | { readonly email: string },
  ): Promise<string[]>;
  /** Forgets invitations that expired before, at most `limit`. */
  prune(sql: Sql, before: Date, limit: number): Promise<void>;
}

const COLUMNS = [
  "id",
  "project_id as projectId",
  "email",
  "role",
  "invited_by as invitedBy",
  "issue",
  "salt",
  "created_at as createdAt",
  "expires_at as expiresAt",
] as const;

/** Invitations in the `Database`. */
export function createInvitationRepository(): InvitationRepository {
  const select = (sql: Sql) => sql.tables<ProjectTables>().selectFrom("project_invitations").select(COLUMNS);
  return {
    find: (sql, invitationId) => select(sql).where("id", "=", invitationId).executeTakeFirst(),
    pageOf(sql, projectId, limit, after) {
      const page = select(sql).where("project_id", "=", projectId).orderBy("id", "desc").limit(limit);
      return (after ? page.where("id", "<", after.id) : page).execute();
    },
    upsert: (tx, row) =>
      tx
        .tables<ProjectTables>()
        .insertInto("project_invitations")
        .values({
          id: row.id,
          project_id: row.projectId,
          email: row.email,
          role: row.role,
          invited_by: row.invitedBy,
          issue: 1,
          salt: row.salt,
          created_at: row.createdAt,
          expires_at: row.expiresAt,
        })
        .onConflict((conflict) =>
          conflict.columns(["project_id", "email"]).doUpdateSet((q) => ({
            role: row.role,
            invited_by: row.invitedBy,
            issue: q("project_invitations.issue", "+", 1),
            salt: row.salt,
            expires_at: row.expiresAt,
          })),
        )
        .returning(COLUMNS)
        .executeTakeFirstOrThrow(),
    reissue: (tx, projectId, invitationId, values) =>
      tx
        .tables<ProjectTables>()
        .updateTable("project_invitations")
        .set((q) => ({
          invited_by: values.invitedBy,
          issue: q("issue", "+", 1),
          salt: values.salt,
          expires_at: values.expiresAt,
        }))
        .where("project_id", "=", projectId)
        .where("id", "=", invitationId)
        .returning(COLUMNS)
        .executeTakeFirst(),
    async delete(tx, projectId, invitationId) {
      const row = await tx
        .tables<ProjectTables>()
        .deleteFrom("project_invitations")
        .where("project_id", "=", projectId)
        .where("id", "=", invitationId)
        .returning("id")
        .executeTakeFirst();
      return row !== undefined;
    },
    async deleteWhere(tx, projectId, which) {
      const query = tx
        .tables<ProjectTables>()
        .deleteFrom("project_invitations")
        .where("project_id", "=", projectId);
      const rows = await ("email" in which
        ? query.where("email", "=", which.email)
        : query.where("invited_by", "=", which.invitedBy)
      )
        .returning("id")
        .execute();
      return rows.map(({ id }) => id);
    },
    async prune(sql, before, limit) {
      const t = sql.tables<ProjectTables>();
      const expired = t
        .selectFrom("project_invitations")
        .select("id")
        .where("expires_at", "<", before)
        .limit(limit);
      await t.deleteFrom("project_invitations").where("id", "in", expired).execute();
    },
  };
}
