import type { Sql, Tx } from "../platform/database/database.js";
import type { Role } from "./access.js";
import type { ProjectTables } from "./tables.js";

/** A membership with the account it belongs to. */
export interface MemberRow {
  readonly userId: string;
  readonly name: string;
  readonly email: string;
  readonly role: Role;
  readonly version: number;
  readonly joinedAt: Date;
}

/** The SQL of memberships. Whoever writes has the project's `membership` turn. */
export interface MemberRepository {
  find(sql: Sql, projectId: string, userId: string): Promise<MemberRow | undefined>;
  /** In the order of joining. */
  pageOf(
    sql: Sql,
    projectId: string,
    limit: number,
    after: { readonly joinedAt: number; readonly userId: string } | undefined,
  ): Promise<MemberRow[]>;
  countOwners(tx: Tx, projectId: string): Promise<number>;
  insert(tx: Tx, projectId: string, userId: string, role: Role, at: Date): Promise<void>;
  /** Returns the new version. */
  setRole(tx: Tx, projectId: string, userId: string, role: Role): Promise<number>;
  delete(tx: Tx, projectId: string, userId: string): Promise<void>;
}

/** Memberships in the `Database`. */
export function createMemberRepository(): MemberRepository {
  const membersOf = (sql: Sql, projectId: string) =>
    sql
      .tables<ProjectTables>()
      .selectFrom("project_members as m")
      .innerJoin("users as u", "u.id", "m.user_id")
      .where("m.project_id", "=", projectId)
      .select(["m.user_id as userId", "u.name", "u.email", "m.role", "m.version", "m.joined_at as joinedAt"]);

  async function nextRevision(tx: Tx, projectId: string): Promise<number> {
    const { revision } = await tx
      .tables<ProjectTables>()
      .updateTable("projects")
      .set((q) => ({ revision: q("revision", "+", 1) }))
      .where("id", "=", projectId)
      .returning("revision")
      .executeTakeFirstOrThrow();
    return revision;
  }

  return {
    find: (sql, projectId, userId) =>
      membersOf(sql, projectId).where("m.user_id", "=", userId).executeTakeFirst(),
    pageOf(sql, projectId, limit, after) {
      const page = membersOf(sql, projectId).orderBy("m.joined_at").orderBy("m.user_id").limit(limit);
      if (!after) return page.execute();
      return page
        .where((q) =>
          q(q.refTuple("m.joined_at", "m.user_id"), ">", q.tuple(new Date(after.joinedAt), after.userId)),
        )
        .execute();
    },
    async countOwners(tx, projectId) {
      const { n } = await tx
        .tables<ProjectTables>()
        .selectFrom("project_members")
        .select((q) => q.fn.countAll<string>().as("n"))
        .where("project_id", "=", projectId)
        .where("role", "=", "owner")
        .executeTakeFirstOrThrow();
      return Number(n);
    },
    async insert(tx, projectId, userId, role, at) {
      await tx
        .tables<ProjectTables>()
        .insertInto("project_members")
        .values({
          project_id: projectId,
          user_id: userId,
          role,
          version: await nextRevision(tx, projectId),
          joined_at: at,
        })
        .execute();
    },
    async setRole(tx, projectId, userId, role) {
      const version = await nextRevision(tx, projectId);
      await tx
        .tables<ProjectTables>()
        .updateTable("project_members")
        .set({ role, version })
        .where("project_id", "=", projectId)
        .where("user_id", "=", userId)
        .execute();
      return version;
    },
    async delete(tx, projectId, userId) {
      await tx
        .tables<ProjectTables>()
        .deleteFrom("project_members")
        .where("project_id", "=", projectId)
        .where("user_id", "=", userId)
        .execute();
    },
  };
}
