import { v7 } from "uuid";
import type { Clock } from "../platform/clock.js";
import type { Database, Tx } from "../platform/database/database.js";
import type { CompactionRepository } from "./compaction-repository.js";
import type { NewVersion, VersionRepository } from "./version-repository.js";
import { thinVersions } from "./version-thinning.js";

/** Makes versions and takes away the automatic ones that are too many. */
export interface VersionKeeper {
  /** Bytes of a text that can be a version. */
  readonly maxBytes: number;
  /**
   * Makes an automatic version in the transaction that holds the document's row. False when there is none to be made:
   * the text is too long, or the newest version holds it already.
   */
  keep(
    tx: Tx,
    version: {
      readonly documentId: string;
      readonly seq: number;
      readonly text: Uint8Array | undefined;
      readonly authors: readonly string[];
    },
  ): Promise<boolean>;
  /** Makes a version somebody asked for; its id, or undefined when the document is gone. */
  take(tx: Tx, version: Omit<NewVersion, "id" | "authors" | "createdAt">): Promise<string | undefined>;
  /** Thins the versions of documents that are due. */
  thin(): Promise<void>;
}

/** Longer texts have no versions. */
export const MAX_VERSION_BYTES = 16 * 1024 * 1024;
const FIRST_THINNING_MS = 3_600_000;
const THIN_PER_SWEEP = 200;

/** The keeper over the tables of versions and documents. */
export function createVersionKeeper(deps: {
  database: Database;
  versions: VersionRepository;
  documents: Pick<CompactionRepository, "lock">;
  clock: Clock;
}): VersionKeeper {
  const { database, versions, documents, clock } = deps;

  async function thinLater(tx: Tx, documentId: string): Promise<void> {
    await versions.thinBy(tx, documentId, new Date(clock.now() + FIRST_THINNING_MS));
  }

  return {
    maxBytes: MAX_VERSION_BYTES,

    async keep(tx, { documentId, seq, text, authors }) {
      if (!text || (await versions.newest(tx, documentId, text))?.same) return false;
      await versions.insert(tx, {
        id: v7(),
        documentId,
        seq,
        kind: "automatic",
        label: undefined,
        text,
        authors,
        createdBy: undefined,
        createdAt: new Date(clock.now()),
      });
      await thinLater(tx, documentId);
      return true;
    },

    async take(tx, version) {
      const { documentId, seq } = version;
      const document = await documents.lock(tx, documentId);
      if (!document) return undefined;
      const { versionedSeq, compactedSeq, pendingAuthors } = document;
      const logged = await versions.authorsBetween(tx, documentId, versionedSeq, seq);
      const id = v7();
      await versions.insert(tx, {
        ...version,
        id,
        authors: [...new Set([...pendingAuthors, ...logged])],
        createdAt: new Date(clock.now()),
      });
      // Those of updates that came after it, and have been compacted already, are in the next version too.
      await versions.noteVersion(tx, documentId, seq, compactedSeq <= seq);
      await thinLater(tx, documentId);
      return id;
    },

    async thin() {
      const now = clock.now();
      for (const documentId of await versions.thinDue(database, new Date(now), THIN_PER_SWEEP)) {
        const { drop, nextAt } = thinVersions(await versions.thinnable(database, documentId), now);
        if (drop.length > 0) await versions.delete(database, drop);
        await versions.setThinAt(database, documentId, nextAt === undefined ? undefined : new Date(nextAt));
      }
    },
  };
}
