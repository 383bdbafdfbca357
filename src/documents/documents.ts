import type { Outbox } from "../events/outbox.js";
import type { Route } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { Database } from "../platform/database/database.js";
import type { Logger } from "../platform/observability/logger.js";
import type { PubSub } from "../platform/pubsub/pubsub.js";
import type { WorkspaceAccess } from "../workspaces/access.js";
import { createEditRecord } from "./edit-record.js";
import { createFileRepository } from "./file-repository.js";
import { createLogRepository } from "./log-repository.js";
import { createRooms, type Rooms, type RoomsObserver } from "./rooms.js";
import { fileRoutes } from "./routes.js";
import { createFileService } from "./service.js";
import { createUpdateLog, type UpdateLog } from "./update-log.js";

/** Sees what the documents of a node do, for metrics. */
export interface DocumentsObserver extends Omit<RoomsObserver, "edited"> {
  readonly appended?: (batchSize: number) => void;
}

/** The feature, ready to be mounted. */
export interface Documents {
  readonly routes: readonly Route[];
  readonly rooms: Rooms;
  readonly log: UpdateLog;
  /** The project of a workspace, for somebody who may read its files; @throws AppError `not_found`. */
  projectOf(userId: string, workspaceId: string): Promise<string>;
  /** The document of a path, for somebody who opens it in an editor; @throws AppError `not_found`. */
  openDocument(userId: string, workspaceId: string, path: string): Promise<string>;
  /** Sends away everybody, keeps what can be kept, and closes. */
  close(): Promise<void>;
}

/** Files of workspaces and the live documents in them. */
export function createDocuments(deps: {
  database: Database;
  pubsub: PubSub;
  clock: Clock;
  logger: Logger;
  outbox: Outbox;
  nodeId: string;
  workspaceAccess: WorkspaceAccess;
  basePath: string;
  observer: DocumentsObserver;
}): Documents {
  const { database, observer, workspaceAccess } = deps;
  const files = createFileRepository();
  const repository = createLogRepository();
  const log = createUpdateLog({
    ...deps,
    repository,
    ...(observer.appended ? { observe: observer.appended } : {}),
  });
  const record = createEditRecord({ ...deps, files, sizeOf: (documentId) => rooms.sizeOf(documentId) });
  const rooms = createRooms({
    ...deps,
    repository,
    log,
    observer: { ...observer, edited: (documentId, userId) => record.edited(documentId, userId) },
  });
  const service = createFileService({
    ...deps,
    files,
    log: repository,
    rooms,
    access: workspaceAccess,
    database,
  });
  return {
    routes: fileRoutes({ files: service, basePath: deps.basePath }),
    rooms,
    log,
    async projectOf(userId, workspaceId) {
      return (await workspaceAccess.require(database, userId, workspaceId, "file.read")).projectId;
    },
    openDocument: service.openDocument,
    async close() {
      await log.drained(5_000);
      await record.close();
      await rooms.close();
      log.close();
    },
  };
}
