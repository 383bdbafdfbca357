import { AppError } from "../errors.js";
import type { Outbox } from "../events/outbox.js";
import type { Page } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Sql, Tx } from "../platform/database/database.js";
import type { WorkspaceAccess } from "../workspaces/access.js";
import type { DocumentThread } from "./document-thread.js";
import type { FileRepository } from "./file-repository.js";
import type { LogRepository } from "./log-repository.js";
import type { Rooms } from "./rooms.js";
import type { File } from "./schema.js";
import { presentFile } from "./service.js";
import type { VersionKeeper } from "./version-keeper.js";
import type { VersionPosition, VersionRepository, VersionRow } from "./version-repository.js";
import type { FileVersion, FileVersionDiff } from "./version-schema.js";

/** Use cases of versions. `actor` is the id of the account that asks. */
export interface VersionService {
  /** Newest first. */
  list(
    actor: string,
    workspaceId: string,
    path: string,
    page: Page<VersionPosition>,
  ): Promise<{ versions: FileVersion[]; nextCursor: string | null }>;
  /** Makes a version of what is in the log at this moment; it is kept until its file goes. */
  save(
    tx: Tx,
    actor: string,
    workspaceId: string,
    path: string,
    label: string | undefined,
  ): Promise<FileVersion>;
  read(
    actor: string,
    workspaceId: string,
    versionId: string,
  ): Promise<{ version: FileVersion; content: string }>;
  /** From `against` to the version: what would change if it were restored, or what changed with it. */
  diff(
    actor: string,
    workspaceId: string,
    versionId: string,
    against: "current" | "previous" | (string & {}),
  ): Promise<FileVersionDiff>;
  /** Makes the text what it was, by an update like any other; what others type meanwhile is kept. */
  restore(
    actor: string,
    workspaceId: string,
    versionId: string,
  ): Promise<{ file: File; before: FileVersion | null }>;
}

/** Versions of one file that people asked for. */
const MAX_SAVED = 1_000;
const MAX_DIFF_LINES = 5_000;

/** The version use cases over these parts. */
export function createVersionService(deps: {
  database: Database;
  files: FileRepository;
  log: LogRepository;
  versions: VersionRepository;
  keeper: VersionKeeper;
  rooms: Rooms;
  thread: DocumentThread;
  access: WorkspaceAccess;
  outbox: Outbox;
  clock: Clock;
}): VersionService {
  const { database, files, log, versions, keeper, rooms, thread, access, outbox, clock } = deps;

  async function textFile(sql: Sql, workspaceId: string, path: string): Promise<string> {
    const file = await files.find(sql, workspaceId, path);
    if (file?.path !== path) throw new AppError("not_found");
    if (file.kind !== "text")
      throw new AppError("unprocessable", { detail: "Only text files have versions." });
    return file.id;
  }

  async function found(sql: Sql, workspaceId: string, versionId: string): Promise<VersionRow> {
    const version = await versions.find(sql, workspaceId, versionId);
    if (!version) throw new AppError("not_found");
    return version;
  }

  async function contentOf(versionId: string): Promise<string> {
    const content = await versions.contentOf(database, versionId);
    if (!content) throw new AppError("not_found");
    return content.toString("utf8");
  }

  /** The text to compare a version with, and its name. */
  async function baseOf(
    version: VersionRow,
    workspaceId: string,
    against: string,
  ): Promise<{ from: string; text: string }> {
    if (against === "current") return { from: "current", text: await currentText(version.documentId) };
    if (against === "previous") {
      const previous = await versions.previous(database, version);
      if (previous === undefined) return { from: "empty", text: "" };
      return { from: previous, text: await contentOf(previous) };
    }
    const other = await found(database, workspaceId, against);
    if (other.documentId !== version.documentId) throw new AppError("not_found");
    return { from: other.id, text: await contentOf(other.id) };
  }

  function currentText(documentId: string): Promise<string> {
    return rooms.use(documentId, async (room) => {
      await rooms.catchUp(room);
      return room.text;
    });
  }

  /** Keeps what is about to be replaced, unless the newest version is it and stays. */
  async function keepBefore(
    tx: Tx,
    actor: string,
    documentId: string,
    seq: number,
    before: string,
  ): Promise<string | undefined> {
    const text = new TextEncoder().encode(before);
    if (text.byteLength > keeper.maxBytes) return undefined;
    return keeper.take(tx, {
      documentId,
      seq,
      kind: "before_restore",
      label: undefined,
      text,
      createdBy: actor,
    });
  }

  return {
    async list(actor, workspaceId, path, page) {
      await access.require(database, actor, workspaceId, "file.read");
      const documentId = await textFile(database, workspaceId, path);
      const rows = await versions.pageOf(database, documentId, page.limit + 1, page.after);
      const shown = rows.slice(0, page.limit);
      const last = rows.length > page.limit ? shown.at(-1) : undefined;
      return {
        versions: shown.map(presentVersion),
        nextCursor: page.next(last && { seq: last.seq, id: last.id }),
      };
    },

    async save(tx, actor, workspaceId, path, label) {
      await access.require(tx, actor, workspaceId, "file.write");
      const documentId = await textFile(tx, workspaceId, path);
      const stored = await log.load(tx, documentId);
      if (!stored) throw new AppError("not_found");
      const { snapshot, updates } = stored;
      const parts = [...(snapshot ? [snapshot.state] : []), ...updates.map(({ update }) => update)];
      const { text } = await thread.merge(parts, keeper.maxBytes);
      if (!text)
        throw new AppError("unprocessable", { detail: "The text is too long to be kept as a version." });
      // Asked again, and held on to: the merge may have taken a while, in which nobody had to wait for it.
      const { projectId } = await access.requireForWrite(tx, actor, workspaceId, "file.write");
      if ((await versions.countSaved(tx, documentId)) >= MAX_SAVED)
        throw new AppError("quota_exceeded", { detail: `A file has at most ${MAX_SAVED} saved versions.` });
      const seq = updates.at(-1)?.seq ?? snapshot?.uptoSeq ?? 0;
      const id = await keeper.take(tx, { documentId, seq, kind: "saved", label, text, createdBy: actor });
      if (id === undefined) throw new AppError("not_found");
      const version = await found(tx, workspaceId, id);
      await outbox.append(tx, {
        type: "version_created",
        payload: { workspaceId, path: version.path, versionId: id, label: label ?? null },
        projectId,
        userId: actor,
      });
      return presentVersion(version);
    },

    async read(actor, workspaceId, versionId) {
      await access.require(database, actor, workspaceId, "file.read");
      const version = await found(database, workspaceId, versionId);
      return { version: presentVersion(version), content: await contentOf(versionId) };
    },

    async diff(actor, workspaceId, versionId, against) {
      await access.require(database, actor, workspaceId, "file.read");
      const version = await found(database, workspaceId, versionId);
      const [{ from, text }, content] = await Promise.all([
        baseOf(version, workspaceId, against),
        contentOf(versionId),
      ]);
      const { hunks, ...rest } = await thread.diff(text, content, MAX_DIFF_LINES);
      return {
        from,
        to: versionId,
        hunks: hunks.map(({ lines }) => ({ lines: [...lines] })),
        ...rest,
      };
    },

    async restore(actor, workspaceId, versionId) {
      await access.require(database, actor, workspaceId, "file.write");
      const { documentId } = await found(database, workspaceId, versionId);
      const content = await contentOf(versionId);
      const beforeId = await rooms.use(documentId, async (room) => {
        await rooms.catchUp(room);
        let made: { readonly before: string; readonly update: Uint8Array | undefined } | undefined;
        try {
          const done = await database.transaction(async (tx) => {
            const { projectId } = await access.requireForWrite(tx, actor, workspaceId, "file.write");
            const head = await log.lockHead(tx, documentId);
            const file = await files.findById(tx, documentId);
            if (head === undefined || !file) throw new AppError("not_found");
            // Another node may have written since: what it wrote is replaced too, not doubled.
            if (room.applied < head) await rooms.catchUp(room);
            // A transaction that is tried again must not look for a difference that it made itself.
            made ??= { before: room.text, update: room.change(content) };
            if (!made.update) return undefined;
            const kept = await keepBefore(tx, actor, documentId, head, made.before);
            await log.appendLocked(
              tx,
              { documentId, update: made.update, userId: actor },
              head + 1,
              new Date(clock.now()),
            );
            await files.setSize(tx, documentId, Buffer.byteLength(content));
            await outbox.append(tx, {
              type: "file_restored",
              payload: { workspaceId, path: file.path, versionId },
              projectId,
              userId: actor,
            });
            return { seq: head + 1, kept };
          });
          if (made?.update && done) room.announce(done.seq, made.update, actor);
          return done?.kept;
        } catch (error) {
          // The room has what the log may not have.
          if (made?.update) rooms.discard(documentId);
          throw error;
        }
      });
      const file = await files.findById(database, documentId);
      if (!file) throw new AppError("not_found");
      const before =
        beforeId === undefined ? undefined : await versions.find(database, workspaceId, beforeId);
      return { file: presentFile(file), before: before ? presentVersion(before) : null };
    },
  };
}

function presentVersion(row: VersionRow): FileVersion {
  return {
    id: row.id,
    path: row.path,
    kind: row.kind,
    label: row.label ?? null,
    size: row.size,
    authors: [...row.authors],
    createdBy: row.createdBy ?? null,
    createdAt: row.createdAt.toISOString(),
  };
}
