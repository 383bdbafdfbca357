import { AppError } from "../errors.js";
import type { Sql, Tx } from "../platform/database/database.js";

/** The roles of a project, strongest first. */
export const ROLES = ["owner", "collaborator", "viewer"] as const;

/** What a member is in a project. */
export type Role = (typeof ROLES)[number];

/** The one table of rights: the weakest role that may do each thing. HTTP, sockets and jobs all decide by it. */
export const WEAKEST_ROLE = {
  "project.read": "viewer",
  "project.update": "collaborator",
  "project.delete": "owner",
  "member.read": "viewer",
  "member.leave": "viewer",
  "member.manage": "owner",
  "invitation.manage": "owner",
  "workspace.read": "viewer",
  "workspace.write": "collaborator",
  "file.read": "viewer",
  "file.write": "collaborator",
  "activity.read": "viewer",
  "presence.read": "viewer",
  "awareness.send": "viewer",
  "event.receive": "viewer",
  "event.send": "collaborator",
  "job.read": "viewer",
  "job.run": "collaborator",
} as const satisfies Record<string, Role>;

/** Something that is done in a project. */
export type Action = keyof typeof WEAKEST_ROLE;

/** True when the role may do it; nobody (undefined) may do nothing. */
export function can(role: Role | undefined, action: Action): boolean {
  return role !== undefined && ROLES.indexOf(role) <= ROLES.indexOf(WEAKEST_ROLE[action]);
}

/**
 * The role, when it may do it.
 *
 * @throws AppError `not_found` without a role: a project of others looks like none at all. `forbidden` with one too weak.
 */
export function decide(role: Role | undefined, action: Action): Role {
  if (role === undefined) throw new AppError("not_found");
  if (!can(role, action)) throw new AppError("forbidden");
  return role;
}

/** Where roles are kept. */
export interface RoleReader {
  roleOf(sql: Sql, projectId: string, userId: string): Promise<Role | undefined>;
  /**
   * Waits for its turn in the project and keeps it until the transaction ends: any number of `writing` at a time, or one
   * `membership`. Turns come in the order they were asked for.
   */
  takeTurn(tx: Tx, projectId: string, turn: "writing" | "membership"): Promise<void>;
}

/** Decides who may do what in a project; every method throws as {@link decide} does. */
export interface Access {
  /** For reads. */
  require(sql: Sql, userId: string, projectId: string, action: Action): Promise<{ readonly role: Role }>;
  /**
   * For writes: sees every demotion committed before, and holds off later ones until this transaction ends. First thing in
   * a `read committed` transaction.
   */
  requireForWrite(
    tx: Tx,
    userId: string,
    projectId: string,
    action: Action,
  ): Promise<{ readonly role: Role }>;
  /** As `requireForWrite`, for changes of memberships and of the project's existence: alone in the project. */
  requireForMembership(
    tx: Tx,
    userId: string,
    projectId: string,
    action: Action,
  ): Promise<{ readonly role: Role }>;
  /** The role right now; undefined for somebody who is no member, or a project that is not there. */
  roleIn(projectId: string, userId: string): Promise<Role | undefined>;
}

/** Access by the roles that `roles` reads. */
export function createAccess(deps: { database: Sql; roles: RoleReader }): Access {
  const { database, roles } = deps;
  const require: Access["require"] = async (sql, userId, projectId, action) => ({
    role: decide(await roles.roleOf(sql, projectId, userId), action),
  });
  return {
    require,
    async requireForWrite(tx, userId, projectId, action) {
      await roles.takeTurn(tx, projectId, "writing");
      return require(tx, userId, projectId, action);
    },
    async requireForMembership(tx, userId, projectId, action) {
      // Asked twice, so that nobody outside can make members wait.
      await require(tx, userId, projectId, action);
      await roles.takeTurn(tx, projectId, "membership");
      return require(tx, userId, projectId, action);
    },
    roleIn: (projectId, userId) => roles.roleOf(database, projectId, userId),
  };
}
