import type { Outbox } from "../events/outbox.js";
import type { Database } from "../platform/database/database.js";
import type { Logger } from "../platform/observability/logger.js";
import type { FileRepository } from "./file-repository.js";

/** Tells others who edited what. */
export interface EditRecord {
  /** Somebody's edit was kept. */
  edited(documentId: string, userId: string): void;
  /** Writes what is still due. */
  close(): Promise<void>;
}

/** An event per person and file comes at most this often. */
const EVERY_MS = 2_000;

/** Gathers edits of one person in one file for two seconds into one `file_edited`, and keeps the file's size with it. */
export function createEditRecord(deps: {
  database: Database;
  outbox: Outbox;
  files: FileRepository;
  sizeOf: (documentId: string) => number | undefined;
  logger: Logger;
}): EditRecord {
  const { database, outbox, files, sizeOf, logger } = deps;
  const due = new Map<string, NodeJS.Timeout>();
  const writing = new Set<Promise<void>>();

  function write(documentId: string, userId: string): void {
    const work = database
      .transaction(async (tx) => {
        const file = await files.findById(tx, documentId);
        if (!file) return;
        const size = sizeOf(documentId);
        if (size !== undefined) await files.setSize(tx, documentId, size);
        const { projectId, workspaceId, path } = file;
        await outbox.append(tx, { type: "file_edited", payload: { workspaceId, path }, projectId, userId });
      })
      .catch((error: unknown) => logger.warn("an edit could not be told", { documentId, error }))
      .finally(() => writing.delete(work));
    writing.add(work);
  }

  return {
    edited(documentId, userId) {
      const key = `${documentId} ${userId}`;
      if (due.has(key)) return;
      due.set(
        key,
        setTimeout(() => {
          due.delete(key);
          write(documentId, userId);
        }, EVERY_MS),
      );
    },
    async close() {
      for (const [key, timer] of due) {
        clearTimeout(timer);
        const [documentId = "", userId = ""] = key.split(" ");
        write(documentId, userId);
      }
      due.clear();
      await Promise.allSettled(writing);
    },
  };
}
