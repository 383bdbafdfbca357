import { v7 } from "uuid";
import { AppError } from "../errors.js";
import type { Outbox } from "../events/outbox.js";
import { versionMismatch } from "../http/etag.js";
import type { Page, RawBody } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Tx } from "../platform/database/database.js";
import type { WorkspaceAccess } from "../workspaces/access.js";
import { pathFault } from "./file-path.js";
import type { FileRepository, FileRow } from "./file-repository.js";
import type { LogRepository } from "./log-repository.js";
import type { Room } from "./room.js";
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
  read(actor: string, workspaceId: string, path: string): Promise<{ file: File; content: RawBody }>;
  /** Creates or replaces a text file; people who have it open see the change. */
  write(
    actor: string,
    workspaceId: string,
    path: string,
    content: RawBody,
    ifMatch: number | undefined,
  ): Promise<{ file: File; created: boolean }>;
  delete(actor: string, workspaceId: string, path: string, ifMatch: number | undefined): Promise<void>;
  /** Moves a file, or a folder with all below it; what is open stays open. */
  move(actor: string, workspaceId: string, from: string, to: string): Promise<File[]>;
  /**
   * The document of a path for somebody who opens it in an editor. A path that is not there yet becomes an empty text file
   * when they may write and it was not deleted or moved away lately. @throws AppError `not_found`, `forbidden`.
   */
  openDocument(actor: string, workspaceId: string, path: string): Promise<string>;
}

/** Files of one workspace. */
const MAX_FILES = 10_000;
/** How long an editor that was left open cannot bring a deleted path back. */
const BURIED_MS = 24 * 3_600_000;
const TEXT_TYPE = "text/plain; charset=utf-8";
const TEXT =
  /^(text\/[\w.+-]+|application\/([\w.+-]+\+)?(json|xml|yaml)|application\/(x-)?(javascript|ecmascript|typescript|toml|sql|sh|httpd-php|python|ndjson|graphql))$/;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The file use cases over these parts. */
export function createFileService(deps: {
  database: Database;
  files: FileRepository;
  log: LogRepository;
  rooms: Rooms;
  access: WorkspaceAccess;
  outbox: Outbox;
  clock: Clock;
}): FileService {
  const { database, files, log, rooms, access, outbox, clock } = deps;

  async function insert(
    tx: Tx,
    actor: string,
    workspaceId: string,
    projectId: string,
    path: string,
  ): Promise<string> {
    if (await files.isTaken(tx, workspaceId, path))
      throw new AppError("conflict", { detail: "A file or folder is in the way." });
    if ((await files.count(tx, workspaceId)) >= MAX_FILES)
      throw new AppError("quota_exceeded", { detail: `A workspace has at most ${MAX_FILES} files.` });
    const id = v7();
    const at = new Date(clock.now());
    await files.insert(tx, { id, workspaceId, path, kind: "text", userId: actor }, at);
    await log.insertDocument(tx, id, actor, at);
    await files.unbury(tx, workspaceId, path);
    await outbox.append(tx, {
      type: "file_created",
      payload: { workspaceId, path },
      projectId,
      userId: actor,
    });
    return id;
  }

  async function required(tx: Tx, workspaceId: string, path: string): Promise<FileRow> {
    const file = await files.find(tx, workspaceId, path);
    if (!file || file.path !== path) throw new AppError("not_found");
    return file;
  }

  /** The file with this path, created when there is none; commits before anything is written into it. */
  function ensure(
    actor: string,
    workspaceId: string,
    path: string,
    ifMatch: number | undefined,
  ): Promise<{ id: string; created: boolean }> {
    return database.transaction(async (tx) => {
      const { projectId } = await access.requireForWrite(tx, actor, workspaceId, "file.write");
      await files.takeTurn(tx, workspaceId);
      const file = await files.find(tx, workspaceId, path);
      if (file?.path === path) {
        if (ifMatch !== undefined && file.version !== ifMatch) throw versionMismatch(file.version);
        return { id: file.id, created: false };
      }
      if (ifMatch !== undefined) throw new AppError("version_mismatch");
      return { id: await insert(tx, actor, workspaceId, projectId, path), created: true };
    });
  }

  /** Writes the difference into the log in one transaction with the check of the right to do so. */
  async function replace(
    room: Room,
    actor: string,
    workspaceId: string,
    content: string,
    ifMatch: number | undefined,
  ): Promise<void> {
    await rooms.catchUp(room);
    let update: Uint8Array | undefined;
    let changed = false;
    try {
      const seq = await database.transaction(async (tx) => {
        await access.requireForWrite(tx, actor, workspaceId, "file.write");
        const head = await log.lockHead(tx, room.id);
        if (head === undefined) throw new AppError("not_found");
        const before = ifMatch === undefined ? undefined : await files.findById(tx, room.id);
        if (before && before.version !== ifMatch) throw versionMismatch(before.version);
        // A transaction that is tried again must not look for a difference that it made itself.
        if (!changed) update = room.change(content);
        changed = true;
        await files.setSize(tx, room.id, Buffer.byteLength(content));
        if (!update) return undefined;
        const at = new Date(clock.now());
        await log.appendLocked(tx, { documentId: room.id, update, userId: actor }, head + 1, at);
        return head + 1;
      });
      if (update && seq !== undefined) room.announce(seq, update, actor);
    } catch (error) {
      // The room has what the log may not have.
      if (update) rooms.discard(room.id);
      throw error;
    }
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
      return rooms.use(found.id, async (room) => {
        await rooms.catchUp(room);
        const file = await present(found.id);
        return { file, content: { contentType: TEXT_TYPE, bytes: Buffer.from(room.text, "utf8") } };
      });
    },

    async write(actor, workspaceId, path, content, ifMatch) {
      const text = readText(content);
      const { id, created } = await ensure(actor, workspaceId, path, ifMatch);
      await rooms.use(id, (room) => replace(room, actor, workspaceId, text, created ? undefined : ifMatch));
      return { file: await present(id), created };
    },

    async delete(actor, workspaceId, path, ifMatch) {
      const id = await database.transaction(async (tx) => {
        const { projectId } = await access.requireForWrite(tx, actor, workspaceId, "file.write");
        await files.takeTurn(tx, workspaceId);
        const file = await required(tx, workspaceId, path);
        await log.lockHead(tx, file.id);
        const current = await required(tx, workspaceId, path);
        if (ifMatch !== undefined && current.version !== ifMatch) throw versionMismatch(current.version);
        await files.delete(tx, file.id);
        await files.bury(tx, workspaceId, path, new Date(clock.now()), expiry());
        await outbox.append(tx, {
          type: "file_deleted",
          payload: { workspaceId, path },
          projectId,
          userId: actor,
        });
        return file.id;
      });
      rooms.gone(id);
    },

    move: (actor, workspaceId, from, to) =>
      database.transaction(async (tx) => {
        const { projectId } = await access.requireForWrite(tx, actor, workspaceId, "file.write");
        await files.takeTurn(tx, workspaceId);
        const tree = (await files.findTree(tx, workspaceId, from)).filter(
          ({ path }) => path === from || path.startsWith(`${from}/`),
        );
        if (tree.length === 0) throw new AppError("not_found");
        if (to === from || to.startsWith(`${from}/`))
          throw new AppError("unprocessable", { detail: "A folder cannot be moved into itself." });
        const at = new Date(clock.now());
        // First out of the way, so that a change of case only, or a move to a parent, meets nothing of its own.
        for (const file of tree) await files.rename(tx, file.id, `.moving/${file.id}`, actor, at);
        if (await files.isTaken(tx, workspaceId, to))
          throw new AppError("conflict", { detail: "A file or folder is in the way." });
        for (const file of tree) {
          const path = `${to}${file.path.slice(from.length)}`;
          const fault = pathFault(path);
          if (fault !== undefined)
            throw new AppError("unprocessable", { detail: `The new path of a file ${fault}.` });
          await files.bury(tx, workspaceId, file.path, at, expiry());
          await files.rename(tx, file.id, path, actor, at);
          await files.unbury(tx, workspaceId, path);
        }
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
      const { id } = await ensure(actor, workspaceId, path, undefined).catch((error: unknown) => {
        // Somebody who may only read learns what a path without a file is to everybody who may not make one.
        if (error instanceof AppError && error.code === "forbidden") throw new AppError("not_found");
        throw error;
      });
      return id;
    },
  };
}

function readText({ contentType, bytes }: RawBody): string {
  const type = (contentType.split(";")[0] ?? "").trim().toLowerCase();
  const charset = /;\s*charset="?([\w-]+)"?/i.exec(contentType)?.[1]?.toLowerCase();
  if (!TEXT.test(type) || (charset !== undefined && charset !== "utf-8" && charset !== "us-ascii")) {
    throw new AppError("unsupported_media_type", {
      detail: "Files are text in UTF-8: send text/* or a source type, such as application/json.",
    });
  }
  try {
    const text = utf8.decode(bytes);
    if (!text.includes("\u0000")) return text;
  } catch {
    // refused below
  }
  throw new AppError("unprocessable", { detail: "The body is not text in UTF-8." });
}

/** A file as replies show it. */
export function presentFile(row: FileRow): File {
  return {
    path: row.path,
    kind: row.kind,
    size: row.size,
    version: row.version,
    updatedAt: row.updatedAt.toISOString(),
  };
}
