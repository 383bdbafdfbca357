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

/** What is kept until the end of the transaction that asks for a role. */
export type RoleLock =
  /** Nothing: for reads. */
  | "none"
  /** The asker's role and the project's existence. */
  | "role"
  /** Every membership of the project. */
  | "project";

/** Where roles are kept. */
export interface RoleReader {
  roleOf(sql: Sql, projectId: string, userId: string, lock: RoleLock): Promise<Role | undefined>;
}

/** Decides who may do what in a project; every method throws as {@link decide} does. */
export interface Access {
  /** For reads. */
  require(sql: Sql, userId: string, projectId: string, action: Action): Promise<{ readonly role: Role }>;
  /** For writes: sees every demotion committed before, and holds off later ones until this transaction ends. */
  requireForWrite(
    tx: Tx,
    userId: string,
    projectId: string,
    action: Action,
  ): Promise<{ readonly role: Role }>;
  /** For changes of memberships and of the project's existence: one such transaction at a time per project. */
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
  const deciding =
    (lock: RoleLock) => async (sql: Sql, userId: string, projectId: string, action: Action) => ({
      role: decide(await roles.roleOf(sql, projectId, userId, lock), action),
    });
  return {
    require: deciding("none"),
    requireForWrite: deciding("role"),
    requireForMembership: deciding("project"),
    roleIn: (projectId, userId) => roles.roleOf(database, projectId, userId, "none"),
  };
}
