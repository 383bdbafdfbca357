import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AppError } from "../errors.js";
import type { Outbox } from "../events/outbox.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Tx } from "../platform/database/database.js";
import type { WorkspaceAccess } from "../workspaces/access.js";
import { updateTo } from "./document-text.js";
import type { FileBlob, FileBlobs } from "./file-blobs.js";
import { type FileChanges, type FileLimits, isSame, type ReadyContent } from "./file-changes.js";
import { lookInto, mediaTypeOfName } from "./file-content.js";
import { pathKey } from "./file-path.js";
import type { FileRepository, FileRow } from "./file-repository.js";
import type { LogRepository } from "./log-repository.js";
import type { Rooms } from "./rooms.js";
import { openZip, type Zip, type ZipFile } from "./zip-reader.js";

/** What an import did, in files. */
export interface ImportResult {
  readonly created: number;
  /** Had another content; people who have a text open see the difference appear. */
  readonly replaced: number;
  /** Had this content already. */
  readonly unchanged: number;
}

/**
 * Takes the files of a zip into a workspace, all or none: what has the same path is replaced, everything else stays.
 * `confirm` is asked when the archive has arrived and been looked through, before anything changes. Constant memory; the
 * archive is kept in a file of the system's temporary folder meanwhile.
 *
 * @throws AppError `forbidden`, `not_found`; `invalid_archive` and `payload_too_large` for archives that are harmful, broken
 *   or too large; `conflict` when a path is in the way of one there is; `workspace_full`.
 */
export type ImportArchive = (
  actor: string,
  workspaceId: string,
  content: Readable,
  confirm?: () => Promise<void>,
) => Promise<ImportResult>;

/** A file of the archive after it was read once: a binary one is stored, a text is read again when its turn comes. */
interface Unpacked {
  readonly file: ZipFile;
  readonly binary: { readonly mediaType: string; readonly blob: FileBlob } | undefined;
}

/** Importing over these parts. */
export function createArchiveImport(deps: {
  database: Database;
  files: FileRepository;
  log: LogRepository;
  rooms: Rooms;
  blobs: FileBlobs;
  changes: FileChanges;
  access: WorkspaceAccess;
  outbox: Outbox;
  clock: Clock;
  limits: FileLimits;
}): ImportArchive {
  const { database, files, log, rooms, blobs, changes, access, outbox, clock, limits } = deps;

  /** Reads every file to its end, so that whatever is wrong with one is found before anything changes. */
  async function unpack(workspaceId: string, zip: Zip, stored: FileBlob[]): Promise<Unpacked[]> {
    const unpacked: Unpacked[] = [];
    for (const file of zip.files) {
      const found = await lookInto(await file.open(), mediaTypeOfName(file.path));
      if (found.kind === "text") {
        unpacked.push({ file, binary: undefined });
        continue;
      }
      const blob = await blobs.put(workspaceId, found.content, limits.fileBytes);
      stored.push(blob);
      unpacked.push({ file, binary: { mediaType: found.mediaType, blob } });
    }
    return unpacked;
  }

  async function readyContent({ file, binary }: Unpacked): Promise<ReadyContent> {
    if (binary) return { kind: "binary", ...binary };
    const found = await lookInto(await file.open(), "");
    if (found.kind !== "text") throw new Error("the archive changed while it was read");
    return found;
  }

  /** A text that is there already, made to hold another one; false when it did. */
  async function rewrite(tx: Tx, actor: string, id: string, text: string): Promise<boolean> {
    const head = await log.lockHead(tx, id);
    const stored = head === undefined ? undefined : await log.load(tx, id);
    if (head === undefined || !stored)
      throw new AppError("conflict", { detail: "A file was deleted meanwhile." });
    const update = updateTo(stored, text);
    await files.setSize(tx, id, Buffer.byteLength(text));
    if (!update) return false;
    await log.appendLocked(tx, { documentId: id, update, userId: actor }, head + 1, new Date(clock.now()));
    return true;
  }

  async function apply(actor: string, workspaceId: string, unpacked: readonly Unpacked[]) {
    return await database.transaction(async (tx) => {
      const { projectId } = await access.requireForWrite(tx, actor, workspaceId, "file.write");
      await files.takeTurn(tx, workspaceId);
      const known = await knownFiles(tx, workspaceId, unpacked);
      const news = unpacked.filter(({ file }) => !known.has(file.path));
      const bytes = unpacked.reduce(
        (sum, { file }) => sum + file.size - (known.get(file.path)?.size ?? 0),
        0,
      );
      await changes.requireRoom(tx, workspaceId, { files: news.length, bytes });
      const gone: string[] = [];
      const rewritten: string[] = [];
      let replaced = 0;
      for (const each of unpacked) {
        const place = { actor, workspaceId, path: each.file.path };
        const content = await readyContent(each);
        const there = known.get(place.path);
        if (!there) await changes.create(tx, place, content);
        else if (there.kind === "text" && content.kind === "text") {
          if (!(await rewrite(tx, actor, there.id, content.text))) continue;
          rewritten.push(there.id);
          replaced += 1;
        } else if (content.kind === "text" || !isSame(there, content)) {
          if (there.kind === "text") await log.lockHead(tx, there.id);
          await changes.replace(tx, place, there, content);
          if (there.kind === "text") gone.push(there.id);
          replaced += 1;
        }
      }
      await files.unbury(
        tx,
        workspaceId,
        news.map(({ file }) => file.path),
      );
      const created = news.length;
      if (created + replaced > 0)
        await outbox.append(tx, {
          type: "files_imported",
          payload: { workspaceId, created, replaced },
          projectId,
          userId: actor,
        });
      return {
        result: { created, replaced, unchanged: unpacked.length - created - replaced },
        gone,
        rewritten,
      };
    });
  }

  /** Files that have a path of the archive. @throws AppError `conflict` when one of its paths cannot be beside those there are. */
  async function knownFiles(
    tx: Tx,
    workspaceId: string,
    unpacked: readonly Unpacked[],
  ): Promise<ReadonlyMap<string, FileRow>> {
    const there = await files.pageOf(tx, workspaceId, limits.workspaceFiles, undefined);
    const byKey = new Map(there.map((row) => [row.key, row]));
    const folders = new Set(there.flatMap(({ key }) => foldersOf(key)));
    const inTheWay = unpacked.find(({ file }) => {
      const key = pathKey(file.path);
      const twin = byKey.get(key);
      return (
        (twin !== undefined && twin.path !== file.path) ||
        folders.has(key) ||
        foldersOf(key).some((folder) => byKey.has(folder))
      );
    });
    if (inTheWay) {
      const detail = `A file or folder is in the way of ${JSON.stringify(inTheWay.file.path)}.`;
      throw new AppError("conflict", { detail });
    }
    return new Map(there.map((row) => [row.path, row]));
  }

  /** What is open on this node shows the change now; other nodes find it in the log. */
  async function show(documentId: string): Promise<void> {
    if (rooms.sizeOf(documentId) !== undefined) await rooms.use(documentId, (room) => rooms.catchUp(room));
  }

  return async (actor, workspaceId, content, confirm = async () => undefined) => {
    await access.require(database, actor, workspaceId, "file.write");
    const folder = await mkdtemp(path.join(tmpdir(), "atelier-import-"));
    const stored: FileBlob[] = [];
    let zip: Zip | undefined;
    try {
      const archive = path.join(folder, "archive.zip");
      await pipeline(content, createWriteStream(archive, { flags: "wx", mode: 0o600 }));
      zip = await openZip(archive, {
        files: limits.workspaceFiles,
        fileBytes: limits.fileBytes,
        totalBytes: limits.workspaceBytes,
      });
      const unpacked = await unpack(workspaceId, zip, stored);
      await confirm();
      const { result, gone, rewritten } = await apply(actor, workspaceId, unpacked);
      for (const id of gone) rooms.gone(id);
      await Promise.allSettled(rewritten.map(show));
      return result;
    } finally {
      zip?.close();
      await rm(folder, { recursive: true, force: true }).catch(() => undefined);
      // Those that became files stay; what cannot be discarded now is swept later.
      await blobs.discard(stored).catch(() => undefined);
    }
  };
}

function foldersOf(key: string): string[] {
  const names = key.split("/");
  return names.slice(1).map((_, i) => names.slice(0, i + 1).join("/"));
}
