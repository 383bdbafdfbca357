import type { Outbox } from "../events/outbox.js";
import type { Route } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { Database } from "../platform/database/database.js";
import type { Access } from "../projects/access.js";
import { createWorkspaceAccess, type WorkspaceAccess } from "./access.js";
import { createWorkspaceRepository } from "./repository.js";
import { workspaceRoutes } from "./routes.js";
import { createWorkspaceService } from "./service.js";

/** The feature, ready to be mounted. */
export interface Workspaces {
  readonly routes: readonly Route[];
  /** Access to things below a workspace: documents, files and jobs ask here. */
  readonly access: WorkspaceAccess;
}

/** Workspaces of projects. */
export function createWorkspaces(deps: {
  database: Database;
  clock: Clock;
  outbox: Outbox;
  access: Access;
  /** Base of the `Location` of what is created, such as `/api/v1`. */
  basePath: string;
}): Workspaces {
  const repository = createWorkspaceRepository();
  const workspaceAccess = createWorkspaceAccess({ repository, access: deps.access });
  const workspaces = createWorkspaceService({ ...deps, repository, workspaceAccess });
  return { access: workspaceAccess, routes: workspaceRoutes({ workspaces, basePath: deps.basePath }) };
}
