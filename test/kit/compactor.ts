import { sql } from "kysely";
import { v7 } from "uuid";
import * as Y from "yjs";
import {
  type Compaction,
  type CompactionOutcome,
  type CompactionTimes,
  createCompaction,
} from "../../src/documents/compaction.js";
import { createCompactionRepository } from "../../src/documents/compaction-repository.js";
import { createDocumentThread, type DocumentThread } from "../../src/documents/document-thread.js";
import { createLogRepository } from "../../src/documents/log-repository.js";
import { createVersionKeeper } from "../../src/documents/version-keeper.js";
import { createVersionRepository } from "../../src/documents/version-repository.js";
import { type Clock, systemClock } from "../../src/platform/clock.js";
import type { Database } from "../../src/platform/database/database.js";
import { createNullLogger } from "../../src/platform/observability/logger.js";

/** The compaction of a node of its own. */
export interface Compactor {
  readonly compaction: Compaction;
  readonly outcomes: (CompactionOutcome | "failed")[];
  readonly thread: DocumentThread;
  close(): Promise<void>;
}

/** A compactor with nothing in common with others but the database; documents rest at once unless `times` says otherwise. */
export function startCompactor(
  database: Database,
  options: {
    readonly times?: Partial<CompactionTimes>;
    readonly clock?: Clock;
    /** Runs between the reading and the writing. */
    readonly beforeWriting?: () => Promise<void>;
  } = {},
): Compactor {
  const { clock = systemClock, beforeWriting } = options;
  const thread = createDocumentThread();
  const repository = createCompactionRepository();
  const outcomes: (CompactionOutcome | "failed")[] = [];
  const compaction = createCompaction({
    database,
    repository,
    versions: createVersionKeeper({
      database,
      versions: createVersionRepository(),
      documents: repository,
      clock,
    }),
    thread: {
      async merge(updates, maxTextBytes) {
        const merged = await thread.merge(updates, maxTextBytes);
        await beforeWriting?.();
        return merged;
      },
    },
    nodeId: v7(),
    clock,
    logger: createNullLogger(),
    observe: (outcome) => outcomes.push(outcome),
    times: { rest: 0, pause: 0, failurePause: 0, ...options.times },
  });
  return {
    compaction,
    outcomes,
    thread,
    async close() {
      await compaction.close();
      await thread.close();
    },
  };
}

/** Puts `count` edits of a client into the log, each at the end of the text; answers the text as it is then. */
export async function writeEdits(
  database: Database,
  documentId: string,
  userId: string,
  count: number,
  edit: (i: number) => string = (i) => `${i} `,
): Promise<string> {
  const doc = await readDocument(database, documentId);
  const updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => updates.push(update));
  const content = doc.getText("content");
  for (let i = 0; i < count; i++) content.insert(content.length, edit(i));
  const log = createLogRepository();
  while (updates.length > 0) {
    let bytes = 0;
    const fits = updates.findIndex((update, i) => {
      bytes += update.byteLength;
      return i >= 500 || (i > 0 && bytes > 1_000_000);
    });
    const batch = updates.splice(0, fits < 0 ? updates.length : fits);
    await log.appendAll(
      database,
      batch.map((update) => ({ documentId, update, userId })),
      new Date(),
    );
  }
  return content.toJSON();
}

/** The document as its log has it. */
export async function readDocument(database: Database, documentId: string): Promise<Y.Doc> {
  const stored = await createLogRepository().load(database, documentId);
  const doc = new Y.Doc();
  doc.getText("content");
  if (stored?.snapshot) Y.applyUpdate(doc, stored.snapshot.state);
  for (const { update } of stored?.updates ?? []) Y.applyUpdate(doc, update);
  return doc;
}

/** How many rows a document has. */
export async function rowsOf(
  database: Database,
  documentId: string,
): Promise<{ readonly updates: number; readonly snapshots: number; readonly versions: number }> {
  const { rows } = await sql<{ updates: number; snapshots: number; versions: number }>`
    select (select count(*)::int from document_updates where document_id = ${documentId}) as updates,
      (select count(*)::int from document_snapshots where document_id = ${documentId}) as snapshots,
      (select count(*)::int from document_versions where document_id = ${documentId}) as versions`.execute(
    database.tables(),
  );
  return rows[0] ?? { updates: -1, snapshots: -1, versions: -1 };
}
