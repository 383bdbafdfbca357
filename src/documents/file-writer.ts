import { AppError } from "../errors.js";
import { versionMismatch } from "../http/etag.js";
import type { Upload } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Sql } from "../platform/database/database.js";
import type { WorkspaceAccess } from "../workspaces/access.js";
import type { FileBlobs } from "./file-blobs.js";
import {
  type FileChanges,
  type FileLimits,
  isSame,
  type Place,
  type ReadyContent,
  sizeOfContent,
} from "./file-changes.js";
import { sortContent } from "./file-content.js";
import type { FileRepository } from "./file-repository.js";
import type { LogRepository } from "./log-repository.js";
import type { Room } from "./room.js";
import type { Rooms } from "./rooms.js";
import type { File } from "./schema.js";
import { presentFile } from "./service.js";

/**
 * Creates or replaces a file. People who have a text open see the change; a text that becomes binary is gone as a document,
 * and its editors are closed.
 */
export type WriteFile = (
  actor: string,
  workspaceId: string,
  path: string,
  upload: Upload,
  ifMatch: number | undefined,
) => Promise<{ file: File; created: boolean }>;

/** Writing over these parts. */
export function createFileWriter(deps: {
  database: Database;
  files: FileRepository;
  log: LogRepository;
  rooms: Rooms;
  access: WorkspaceAccess;
  clock: Clock;
  changes: FileChanges;
  blobs: FileBlobs;
  limits: FileLimits;
}): WriteFile {
  const { database, files, log, rooms, access, clock, changes, blobs, limits } = deps;

  /** The file with this path, when it is as the client last saw it. */
  async function known(sql: Sql, { workspaceId, path }: Place, ifMatch: number | undefined) {
    const found = await files.find(sql, workspaceId, path);
    const file = found?.path === path ? found : undefined;
    if (ifMatch !== undefined && !file) throw new AppError("version_mismatch");
    if (ifMatch !== undefined && file && file.version !== ifMatch) throw versionMismatch(file.version);
    return file;
  }

  /**
   * Makes the content the file's, in one transaction, but for a text that is replaced by a text: that goes through its room.
   */
  async function put(
    place: Place,
    content: ReadyContent,
    ifMatch: number | undefined,
  ): Promise<{ id: string; created: boolean; asText?: string }> {
    const { actor, workspaceId } = place;
    const { gone, ...outcome } = await database.transaction(async (tx) => {
      const { projectId } = await access.requireForWrite(tx, actor, workspaceId, "file.write");
      await files.takeTurn(tx, workspaceId);
      const seen = await known(tx, place, ifMatch);
      const size = sizeOfContent(content);
      if (!seen) {
        return { id: await changes.add(tx, place, projectId, content), created: true };
      }
      await changes.requireRoom(tx, workspaceId, { files: 0, bytes: size - seen.size });
      if (content.kind === "text" && seen.kind === "text")
        return { id: seen.id, created: false, asText: content.text };
      if (content.kind === "binary" && isSame(seen, content)) return { id: seen.id, created: false };
      // Edits under way are in the log before, or are refused; the tag is looked at once more.
      if (seen.kind === "text") {
        await log.lockHead(tx, seen.id);
        await known(tx, place, ifMatch);
      }
      const id = await changes.replace(tx, place, seen, content);
      await changes.tell(tx, "file_edited", projectId, place);
      return { id, created: false, gone: id === seen.id ? undefined : seen.id };
    });
    if (gone !== undefined) rooms.gone(gone);
    return outcome;
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

  return async (actor, workspaceId, path, upload, ifMatch) => {
    const place = { actor, workspaceId, path };
    // Before a byte is read: who may not, or comes too late, need not send it all.
    await access.require(database, actor, workspaceId, "file.write");
    const seen = await known(database, place, ifMatch);
    if (upload.length !== undefined && upload.length > (seen?.size ?? 0))
      await changes.requireRoom(database, workspaceId, {
        files: 0,
        bytes: upload.length - (seen?.size ?? 0),
      });
    const sorted = await sortContent(upload.contentType, upload.content);
    const content: ReadyContent =
      sorted.kind === "text"
        ? sorted
        : { ...sorted, blob: await blobs.put(workspaceId, sorted.content, limits.fileBytes) };
    let used = false;
    try {
      await upload.confirm();
      const { id, created, asText } = await put(place, content, ifMatch);
      if (asText !== undefined)
        await rooms.use(id, (room) => replace(room, actor, workspaceId, asText, ifMatch));
      const row = await files.findById(database, id);
      if (!row) throw new AppError("not_found");
      used = content.kind === "binary" && row.binary?.key === content.blob.key;
      return { file: presentFile(row), created };
    } finally {
      // It stays when it is used after all: the answer to a COMMIT may have been lost. What cannot be discarded is swept.
      if (content.kind === "binary" && !used) await blobs.discard([content.blob]).catch(() => undefined);
    }
  };
}
