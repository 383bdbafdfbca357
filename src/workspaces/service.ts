import { v7 } from "uuid";
import { AppError } from "../errors.js";
import type { Outbox } from "../events/outbox.js";
import { versionMismatch } from "../http/etag.js";
import type { Page } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Tx } from "../platform/database/database.js";
import type { Access } from "../projects/access.js";
import type { WorkspaceAccess } from "./access.js";
import type { WorkspaceFields, WorkspaceRepository, WorkspaceRow } from "./repository.js";
import type { Workspace } from "./schema.js";

/** Use cases of workspaces. `actor` is the id of the account that asks. */
export interface WorkspaceService {
  create(tx: Tx, actor: string, projectId: string, fields: WorkspaceFields): Promise<Workspace>;
  /** Newest first. */
  list(
    actor: string,
    projectId: string,
    page: Page<{ id: string }>,
  ): Promise<{ workspaces: Workspace[]; nextCursor: string | null }>;
  get(actor: string, workspaceId: string): Promise<Workspace>;
  /** @param change what is undefined stays as it is. */
  update(
    actor: string,
    workspaceId: string,
    change: Partial<WorkspaceFields>,
    ifMatch: number | undefined,
  ): Promise<Workspace>;
  /** Deletes the workspace with everything in it. */
  delete(actor: string, workspaceId: string, ifMatch: number | undefined): Promise<void>;
}

/** The workspace use cases over these parts. */
export function createWorkspaceService(deps: {
  database: Database;
  repository: WorkspaceRepository;
  access: Access;
  workspaceAccess: WorkspaceAccess;
  outbox: Outbox;
  clock: Clock;
}): WorkspaceService {
  const { database, repository, access, workspaceAccess, outbox, clock } = deps;

  async function lockedRow(
    tx: Tx,
    actor: string,
    workspaceId: string,
    ifMatch: number | undefined,
  ): Promise<WorkspaceRow> {
    await workspaceAccess.requireForWrite(tx, actor, workspaceId, "workspace.write");
    const row = await repository.findForUpdate(tx, workspaceId);
    if (!row) throw new AppError("not_found");
    if (ifMatch !== undefined && ifMatch !== row.version) throw versionMismatch(row.version);
    return row;
  }

  return {
    async create(tx, actor, projectId, fields) {
      await access.requireForWrite(tx, actor, projectId, "workspace.write");
      const row = await repository.insert(tx, v7(), projectId, fields, new Date(clock.now()));
      await outbox.append(tx, {
        type: "workspace_created",
        payload: { workspaceId: row.id, name: row.name },
        projectId,
        userId: actor,
      });
      return presentWorkspace(row);
    },

    async list(actor, projectId, page) {
      await access.require(database, actor, projectId, "workspace.read");
      const rows = await repository.pageOf(database, projectId, page.limit + 1, page.after);
      const shown = rows.slice(0, page.limit);
      const last = rows.length > page.limit ? shown.at(-1) : undefined;
      return { workspaces: shown.map(presentWorkspace), nextCursor: page.next(last && { id: last.id }) };
    },

    async get(actor, workspaceId) {
      const row = await repository.find(database, workspaceId);
      if (!row) throw new AppError("not_found");
      await access.require(database, actor, row.projectId, "workspace.read");
      return presentWorkspace(row);
    },

    update: (actor, workspaceId, change, ifMatch) =>
      database.transaction(async (tx) => {
        const before = await lockedRow(tx, actor, workspaceId, ifMatch);
        const fields: WorkspaceFields = {
          name: change.name ?? before.name,
          settings: change.settings ?? before.settings,
        };
        const changed = (["name", "settings"] as const).filter(
          (field) => JSON.stringify(fields[field]) !== JSON.stringify(before[field]),
        );
        if (changed.length === 0) return presentWorkspace(before);
        const row = await repository.update(tx, workspaceId, fields, new Date(clock.now()));
        await outbox.append(tx, {
          type: "workspace_updated",
          payload: { workspaceId, name: row.name, changed },
          projectId: row.projectId,
          userId: actor,
        });
        return presentWorkspace(row);
      }),

    delete: (actor, workspaceId, ifMatch) =>
      database.transaction(async (tx) => {
        const row = await lockedRow(tx, actor, workspaceId, ifMatch);
        await repository.delete(tx, workspaceId);
        await outbox.append(tx, {
          type: "workspace_deleted",
          payload: { workspaceId, name: row.name },
          projectId: row.projectId,
          userId: actor,
        });
      }),
  };
}

function presentWorkspace(row: WorkspaceRow): Workspace {
  return {
    id: row.id,
    projectId: row.projectId,
    name: row.name,
    settings: row.settings,
    version: row.version,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}
