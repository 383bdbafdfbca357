import { AppError } from "../errors.js";
import type { Sql, Tx } from "../platform/database/database.js";
import type { Access, Action, Role } from "../projects/access.js";
import type { WorkspaceRepository } from "./repository.js";

/** What somebody who was let in knows. */
export interface WorkspaceGrant {
  readonly projectId: string;
  readonly role: Role;
}

/** `Access` for things below a workspace: finds the project and asks there. Somebody outside gets `not_found`. */
export interface WorkspaceAccess {
  /** For reads. */
  require(sql: Sql, userId: string, workspaceId: string, action: Action): Promise<WorkspaceGrant>;
  /** For writes: as `Access.requireForWrite`. The workspace may still be deleted meanwhile. */
  requireForWrite(tx: Tx, userId: string, workspaceId: string, action: Action): Promise<WorkspaceGrant>;
}

/** Workspace access by the access of projects. */
export function createWorkspaceAccess(deps: {
  repository: WorkspaceRepository;
  access: Access;
}): WorkspaceAccess {
  const { repository, access } = deps;

  async function projectOf(sql: Sql, workspaceId: string): Promise<string> {
    const projectId = await repository.projectOf(sql, workspaceId);
    if (projectId === undefined) throw new AppError("not_found");
    return projectId;
  }

  return {
    async require(sql, userId, workspaceId, action) {
      const projectId = await projectOf(sql, workspaceId);
      return { projectId, ...(await access.require(sql, userId, projectId, action)) };
    },
    async requireForWrite(tx, userId, workspaceId, action) {
      const projectId = await projectOf(tx, workspaceId);
      return { projectId, ...(await access.requireForWrite(tx, userId, projectId, action)) };
    },
  };
}
