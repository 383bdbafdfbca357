import { AppError } from "../errors.js";
import type { Outbox } from "../events/outbox.js";
import { versionMismatch } from "../http/etag.js";
import type { Page, RawBody, StreamedBody } from "../http/route.js";
import type { BlobRange } from "../platform/blobs/blob-store.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Tx } from "../platform/database/database.js";
import type { WorkspaceAccess } from "../workspaces/access.js";
import type { FileBlobs } from "./file-blobs.js";
import type { FileChanges } from "./file-changes.js";
import { TEXT_TYPE } from "./file-content.js";
import { pathFault } from "./file-path.js";
import type { FileRepository, FileRow } from "./file-repository.js";
import type { LogRepository } from "./log-repository.js";
import type { Rooms } from "./rooms.js";
import type { File } from "./schema.js";

/** Use cases of files. `actor` is the id of the account that asks. */
export interface FileService {
  /** In the order of paths. */
  list(
    actor: string,
    workspaceId: string,
    page: Page<{ key: string }>,
  ): Promise<{ files: File[]; nextCursor: string | null }>;
  read(
    actor: string,
    workspaceId: string,
    path: string,
  ): Promise<{ file: File; content: RawBody | StreamedBody }>;
  /** Deletes a file, or a folder with all below it; editors that have one of them open are closed. */
  delete(actor: string, workspaceId: string, path: string, ifMatch: number | undefined): Promise<void>;
  /** Moves a file, or a folder with all below it; what is open stays open. */
  move(actor: string, workspaceId: string, from: string, to: string): Promise<File[]>;
  /**
   * The document of a path for somebody who opens it in an editor. A path that is not there yet becomes an empty text file
   * when they may write and it was not deleted or moved away lately. @throws AppError `not_found`, `forbidden`.
   */
  openDocument(actor: string, workspaceId: string, path: string): Promise<string>;
}

/** How long an editor that was left open cannot bring a deleted path back. */
const BURIED_MS = 24 * 3_600_000;

/** The file use cases over these parts. */
export function createFileService(deps: {
  database: Database;
  files: FileRepository;
  log: LogRepository;
  rooms: Rooms;
  access: WorkspaceAccess;
  outbox: Outbox;
  clock: Clock;
  changes: FileChanges;
  blobs: FileBlobs;
}): FileService {
  const { database, files, log, rooms, access, outbox, clock, changes, blobs } = deps;

  /** The file of this path, or all files below it. */
  async function below(tx: Tx, workspaceId: string, path: string): Promise<FileRow[]> {
    const tree = (await files.findTree(tx, workspaceId, path)).filter(
      (file) => file.path === path || file.path.startsWith(`${path}/`),
    );
    if (tree.length === 0) throw new AppError("not_found");
    return tree;
  }

  const expiry = () => new Date(clock.now() - BURIED_MS);

  async function present(fileId: string): Promise<File> {
    const row = await files.findById(database, fileId);
    if (!row) throw new AppError("not_found");
    return presentFile(row);
  }

  return {
    async list(actor, workspaceId, page) {
      await access.require(database, actor, workspaceId, "file.read");
      const rows = await files.pageOf(database, workspaceId, page.limit + 1, page.after);
      const shown = rows.slice(0, page.limit);
      const last = rows.length > page.limit ? shown.at(-1) : undefined;
      return { files: shown.map(presentFile), nextCursor: page.next(last && { key: last.key }) };
    },

    async read(actor, workspaceId, path) {
      await access.require(database, actor, workspaceId, "file.read");
      const found = await files.find(database, workspaceId, path);
      if (!found || found.path !== path) throw new AppError("not_found");
      const { binary } = found;
      if (binary) {
        const open = (range?: BlobRange) => blobs.open(binary.key, range);
        return {
          file: presentFile(found),
          content: { contentType: binary.mediaType, size: found.size, open },
        };
      }
      return rooms.use(found.id, async (room) => {
        await rooms.catchUp(room);
        const file = await present(found.id);
        return { file, content: { contentType: TEXT_TYPE, bytes: Buffer.from(room.text, "utf8") } };
      });
    },

    async delete(actor, workspaceId, path, ifMatch) {
      const gone = await database.transaction(async (tx) => {
        const { projectId } = await access.requireForWrite(tx, actor, workspaceId, "file.write");
        await files.takeTurn(tx, workspaceId);
        const found = await below(tx, workspaceId, path);
        // In the order of ids, as whoever appends to several documents at a time does.
        for (const { id } of [...found].sort((a, b) => (a.id < b.id ? -1 : 1))) await log.lockHead(tx, id);
        if (ifMatch !== undefined) {
          // A folder has no version.
          const current = await files.find(tx, workspaceId, path);
          if (current?.path !== path) throw new AppError("version_mismatch");
          if (current.version !== ifMatch) throw versionMismatch(current.version);
        }
        const ids = found.map(({ id }) => id);
        await files.delete(tx, ids);
        const paths = found.map((file) => file.path);
        await files.bury(tx, workspaceId, paths, new Date(clock.now()), expiry());
        await changes.tell(tx, "file_deleted", projectId, { actor, workspaceId, path });
        return ids;
      });
      for (const id of gone) rooms.gone(id);
    },

    move: (actor, workspaceId, from, to) =>
      database.transaction(async (tx) => {
        const { projectId } = await access.requireForWrite(tx, actor, workspaceId, "file.write");
        await files.takeTurn(tx, workspaceId);
        const tree = await below(tx, workspaceId, from);
        if (to === from || to.startsWith(`${from}/`))
          throw new AppError("unprocessable", { detail: "A folder cannot be moved into itself." });
        const at = new Date(clock.now());
        // First out of the way, so that a change of case only, or a move to a parent, meets nothing of its own.
        for (const file of tree) await files.rename(tx, file.id, `.moving/${file.id}`, actor, at);
        if (await files.isTaken(tx, workspaceId, to))
          throw new AppError("conflict", { detail: "A file or folder is in the way." });
        const arrived: string[] = [];
        for (const file of tree) {
          const path = `${to}${file.path.slice(from.length)}`;
          const fault = pathFault(path);
          if (fault !== undefined)
            throw new AppError("unprocessable", { detail: `The new path of a file ${fault}.` });
          await files.rename(tx, file.id, path, actor, at);
          arrived.push(path);
        }
        const left = tree.map(({ path }) => path);
        await files.bury(tx, workspaceId, left, at, expiry());
        await files.unbury(tx, workspaceId, arrived);
        await outbox.append(tx, {
          type: "file_renamed",
          payload: { workspaceId, from, to },
          projectId,
          userId: actor,
        });
        return (await files.findTree(tx, workspaceId, to)).map(presentFile);
      }),

    async openDocument(actor, workspaceId, path) {
      if (pathFault(path) !== undefined) throw new AppError("not_found");
      await access.require(database, actor, workspaceId, "file.read");
      const found = await files.find(database, workspaceId, path);
      if (found?.path === path) {
        if (found.kind !== "text") throw new AppError("not_found");
        return found.id;
      }
      if (found || (await files.isBuried(database, workspaceId, path, expiry())))
        throw new AppError("not_found");
      return await database
        .transaction(async (tx) => {
          const { projectId } = await access.requireForWrite(tx, actor, workspaceId, "file.write");
          await files.takeTurn(tx, workspaceId);
          const meanwhile = await files.find(tx, workspaceId, path);
          if (meanwhile?.path === path && meanwhile.kind === "text") return meanwhile.id;
          return await changes.add(tx, { actor, workspaceId, path }, projectId, { kind: "text", text: "" });
        })
        .catch((error: unknown) => {
          // Somebody who may only read learns what a path without a file is to everybody who may not make one.
          if (error instanceof AppError && error.code === "forbidden") throw new AppError("not_found");
          throw error;
        });
    },
  };
}

/** A file as replies show it. */
export function presentFile(row: FileRow): File {
  return {
    path: row.path,
    kind: row.kind,
    size: row.size,
    contentType: row.binary?.mediaType ?? TEXT_TYPE,
    version: row.version,
    updatedAt: row.updatedAt.toISOString(),
  };
}
