import { v7 } from "uuid";
import { AppError } from "../errors.js";
import type { NewEvent } from "../events/catalog.js";
import type { Outbox } from "../events/outbox.js";
import type { Clock } from "../platform/clock.js";
import type { Sql, Tx } from "../platform/database/database.js";
import { firstUpdate } from "./document-text.js";
import type { FileBlob, FileBlobs } from "./file-blobs.js";
import type { FileRepository, FileRow } from "./file-repository.js";
import type { LogRepository } from "./log-repository.js";

/** What a workspace may hold. */
export interface FileLimits {
  /** Bytes of one binary file. */
  readonly fileBytes: number;
  /** Bytes of all files of a workspace, as far as they are written and not typed. */
  readonly workspaceBytes: number;
  readonly workspaceFiles: number;
  /** Bytes of an archive that is taken in. */
  readonly archiveBytes: number;
}

/** A content that is about to become a file's. */
export type ReadyContent =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "binary"; readonly mediaType: string; readonly blob: FileBlob };

/** Who writes where. */
export interface Place {
  readonly actor: string;
  readonly workspaceId: string;
  readonly path: string;
}

/** The steps a change of files is made of, each inside a transaction that holds the workspace's turn. */
export interface FileChanges {
  /** A new file, and the event; its id. @throws AppError `conflict`, `workspace_full`. */
  add(tx: Tx, place: Place, projectId: string, content: ReadyContent): Promise<string>;
  /** A new file where nothing is in the way; its id. */
  create(tx: Tx, place: Place, content: ReadyContent): Promise<string>;
  /** Replaces a binary file by either kind, or a text by a binary; its id, which is another when the kind is. */
  replace(tx: Tx, place: Place, file: FileRow, content: ReadyContent): Promise<string>;
  /** @throws AppError `workspace_full` when so many files and bytes more are too many. */
  requireRoom(
    sql: Sql,
    workspaceId: string,
    more: { readonly files: number; readonly bytes: number },
  ): Promise<void>;
  tell(
    tx: Tx,
    type: "file_created" | "file_edited" | "file_deleted",
    projectId: string,
    place: Place,
  ): Promise<void>;
}

/** Bytes of a content. */
export function sizeOfContent(content: ReadyContent): number {
  return content.kind === "text" ? Buffer.byteLength(content.text) : content.blob.size;
}

/** True when the file has this very content already. */
export function isSame(file: FileRow, content: ReadyContent & { readonly kind: "binary" }): boolean {
  return file.binary?.sha256 === content.blob.sha256 && file.binary.mediaType === content.mediaType;
}

/** The steps over these parts. */
export function createFileChanges(deps: {
  files: FileRepository;
  log: LogRepository;
  blobs: FileBlobs;
  outbox: Outbox;
  clock: Clock;
  limits: FileLimits;
}): FileChanges {
  const { files, log, blobs, outbox, clock, limits } = deps;

  async function startDocument(tx: Tx, id: string, userId: string, text: string, at: Date): Promise<void> {
    await log.insertDocument(tx, id, userId, at);
    const update = firstUpdate(text);
    if (update) await log.appendLocked(tx, { documentId: id, update, userId }, 1, at);
  }

  async function claimed(tx: Tx, content: ReadyContent): Promise<FileRow["binary"]> {
    if (content.kind === "text") return undefined;
    await blobs.claim(tx, content.blob);
    return { key: content.blob.key, mediaType: content.mediaType, sha256: content.blob.sha256 };
  }

  const changes: FileChanges = {
    async add(tx, place, projectId, content) {
      const { workspaceId, path } = place;
      if (await files.isTaken(tx, workspaceId, path))
        throw new AppError("conflict", { detail: "A file or folder is in the way." });
      await changes.requireRoom(tx, workspaceId, { files: 1, bytes: sizeOfContent(content) });
      const id = await changes.create(tx, place, content);
      await files.unbury(tx, workspaceId, [path]);
      await changes.tell(tx, "file_created", projectId, place);
      return id;
    },
    async create(tx, { actor, workspaceId, path }, content) {
      const id = v7();
      const at = new Date(clock.now());
      const size = sizeOfContent(content);
      const binary = await claimed(tx, content);
      await files.insert(tx, { id, workspaceId, path, size, binary, userId: actor }, at);
      if (content.kind === "text") await startDocument(tx, id, actor, content.text, at);
      return id;
    },
    async replace(tx, { actor }, { id, kind }, content) {
      const at = new Date(clock.now());
      const size = sizeOfContent(content);
      const binary = await claimed(tx, content);
      if (kind === "binary" && binary) {
        await files.setBinary(tx, { id, size, binary, userId: actor }, at);
        return id;
      }
      const newId = v7();
      await files.changeKind(tx, { id, newId, size, binary, userId: actor }, at);
      if (content.kind === "text") await startDocument(tx, newId, actor, content.text, at);
      return newId;
    },
    async requireRoom(sql, workspaceId, more) {
      const used = await files.usage(sql, workspaceId);
      const full = (what: string) =>
        new AppError("workspace_full", { detail: `A workspace holds at most ${what}.` });
      if (more.files > 0 && used.files + more.files > limits.workspaceFiles)
        throw full(`${limits.workspaceFiles} files`);
      if (more.bytes > 0 && used.bytes + more.bytes > limits.workspaceBytes)
        throw full(`${limits.workspaceBytes} bytes`);
    },
    async tell(tx, type, projectId, { actor, workspaceId, path }) {
      const event = { type, payload: { workspaceId, path }, projectId, userId: actor } satisfies NewEvent;
      await outbox.append(tx, event);
    },
  };
  return changes;
}
