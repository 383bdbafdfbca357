import type { Readable } from "node:stream";
import type { Outbox } from "../events/outbox.js";
import type { Route } from "../http/route.js";
import type { BlobStore } from "../platform/blobs/blob-store.js";
import type { Clock } from "../platform/clock.js";
import type { Database } from "../platform/database/database.js";
import type { Logger } from "../platform/observability/logger.js";
import type { PubSub } from "../platform/pubsub/pubsub.js";
import type { RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";
import type { WorkspaceAccess } from "../workspaces/access.js";
import { createArchiveImport, type ImportArchive } from "./archive-import.js";
import { archivePolicy, archiveRoutes } from "./archive-routes.js";
import { createArchiveWriter, type WriteArchive } from "./archive-writer.js";
import { type Compaction, type CompactionOutcome, createCompaction } from "./compaction.js";
import { createCompactionRepository } from "./compaction-repository.js";
import { createDocumentThread } from "./document-thread.js";
import { createEditRecord } from "./edit-record.js";
import { createFileBlobs } from "./file-blobs.js";
import { createFileChanges, type FileLimits } from "./file-changes.js";
import { createFileRepository } from "./file-repository.js";
import { createFileWriter } from "./file-writer.js";
import { createLogRepository } from "./log-repository.js";
import { createRooms, type Rooms, type RoomsObserver } from "./rooms.js";
import { fileRoutes } from "./routes.js";
import { createFileService } from "./service.js";
import { createUpdateLog, type UpdateLog } from "./update-log.js";
import { createVersionKeeper } from "./version-keeper.js";
import { createVersionRepository } from "./version-repository.js";
import { versionRoutes } from "./version-routes.js";
import { createVersionService } from "./version-service.js";

/** Sees what the documents of a node do, for metrics. */
export interface DocumentsObserver extends Omit<RoomsObserver, "edited" | "logged"> {
  appended(batchSize: number): void;
  compacted(outcome: CompactionOutcome | "failed", seconds: number): void;
}

/** The feature, ready to be mounted. */
export interface Documents {
  readonly routes: readonly Route[];
  readonly rooms: Rooms;
  readonly log: UpdateLog;
  readonly compaction: Compaction;
  /** Keeps house from now on: compacts what is due, makes and thins automatic versions. */
  start(): void;
  readonly policies: readonly RateLimitPolicy[];
  /** Export and import of a workspace; routes and jobs use them alike. */
  readonly writeArchive: WriteArchive;
  readonly importArchive: ImportArchive;
  /** The project of a workspace, for somebody who may read its files; @throws AppError `not_found`. */
  projectOf(userId: string, workspaceId: string): Promise<string>;
  /** The document of a path, for somebody who opens it in an editor; @throws AppError `not_found`. */
  openDocument(userId: string, workspaceId: string, path: string): Promise<string>;
  /** Deletes at most `limit` blobs that no file names any more; how many it were. */
  prune(limit: number): Promise<number>;
  /** The content of a file, for somebody who may read it; @throws AppError `not_found`. */
  readContent(userId: string, workspaceId: string, path: string): Promise<Uint8Array | Readable>;
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
  blobs: BlobStore;
  limits: FileLimits;
  /** Exports and imports per user in 15 minutes; 0 is no limit. */
  archivesPerWindow: number;
  basePath: string;
  observer: DocumentsObserver;
}): Documents {
  const { database, observer, workspaceAccess } = deps;
  const files = createFileRepository();
  const repository = createLogRepository();
  const log = createUpdateLog({
    ...deps,
    repository,
    observe: (batchSize) => observer.appended(batchSize),
  });
  const record = createEditRecord({ ...deps, files, sizeOf: (documentId) => rooms.sizeOf(documentId) });
  const rooms = createRooms({
    ...deps,
    repository,
    log,
    observer: {
      ...observer,
      edited: (documentId, userId) => record.edited(documentId, userId),
      logged: (documentId, head) => compaction.consider(documentId, head),
    },
  });
  // Two threads: what somebody waits for is not kept waiting by the housekeeping.
  const [background, foreground] = [createDocumentThread(), createDocumentThread()];
  const compactions = createCompactionRepository();
  const versions = createVersionRepository();
  const keeper = createVersionKeeper({ ...deps, versions, documents: compactions });
  const compaction = createCompaction({
    ...deps,
    repository: compactions,
    versions: keeper,
    thread: background,
    observe: (outcome, seconds) => observer.compacted(outcome, seconds),
  });
  const blobs = createFileBlobs(deps);
  const parts = { ...deps, files, log: repository, rooms, access: workspaceAccess, blobs };
  const changes = createFileChanges(parts);
  const service = createFileService({ ...parts, changes });
  const write = createFileWriter({ ...parts, changes });
  const writeArchive = createArchiveWriter(parts);
  const policy = archivePolicy(deps.archivesPerWindow);
  const importArchive = createArchiveImport({ ...parts, changes });
  const history = createVersionService({ ...parts, versions, keeper, thread: foreground });
  return {
    routes: [
      ...fileRoutes({ files: service, write, limits: deps.limits, basePath: deps.basePath }),
      ...archiveRoutes({ ...parts, write: writeArchive, take: importArchive, policy }),
      ...versionRoutes({ versions: history, basePath: deps.basePath }),
    ],
    policies: [policy],
    writeArchive,
    importArchive,
    prune: (limit) => blobs.sweep(limit),
    rooms,
    log,
    compaction,
    start: () => compaction.start(),
    async projectOf(userId, workspaceId) {
      return (await workspaceAccess.require(database, userId, workspaceId, "file.read")).projectId;
    },
    openDocument: service.openDocument,
    async readContent(userId, workspaceId, path) {
      const { content } = await service.read(userId, workspaceId, path);
      return "bytes" in content ? content.bytes : content.open();
    },
    async close() {
      await compaction.close();
      await Promise.all([background.close(), foreground.close()]);
      await log.drained(5_000);
      await record.close();
      await rooms.close();
      log.close();
    },
  };
}
