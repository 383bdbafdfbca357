import type { Readable } from "node:stream";
import { sql as raw } from "kysely";
import { v7 } from "uuid";
import { AppError, dependencyUnavailable } from "../errors.js";
import type { BlobRange, BlobStore } from "../platform/blobs/blob-store.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Tx } from "../platform/database/database.js";

/** The content of a binary file, in the blob store. */
export interface FileBlob {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Hex. */
  readonly sha256: string;
}

/** Blobs of files. One that no file names is deleted, but never while it may still get its name. */
export interface FileBlobs {
  /** Stores a content; until it is claimed it belongs to nobody. @throws AppError `payload_too_large` after `maxBytes`. */
  put(workspaceId: string, content: Uint8Array | Readable, maxBytes: number): Promise<FileBlob>;
  /** Keeps a blob for the file that names it from this transaction on. */
  claim(tx: Tx, blob: FileBlob): Promise<void>;
  /** Deletes blobs that were never claimed; for a write that certainly failed. */
  discard(blobs: readonly FileBlob[]): Promise<void>;
  /** The content of a blob a file names. */
  open(key: string, range?: BlobRange): Promise<Readable>;
  /** Deletes at most `limit` blobs that nobody has named for {@link UNUSED_KEEP_MS}; how many it were. */
  sweep(limit: number): Promise<number>;
}

/** How long a blob is kept without a file that names it: for whoever is reading it, and for an upload under way. */
export const UNUSED_KEEP_MS = 6 * 3_600_000;
/** An upload that took longer may have been deleted, and does not become a file any more. */
const CLAIM_WITHIN_MS = 5 * 3_600_000;

/** Blobs of files over the blob store, with a row each in the `Database`. */
export function createFileBlobs(deps: { database: Database; blobs: BlobStore; clock: Clock }): FileBlobs {
  const { database, blobs, clock } = deps;
  const at = (ms: number) => new Date(clock.now() + ms);

  async function forget(keys: readonly string[]): Promise<void> {
    await blobs.delete(keys);
    await raw`
      delete from file_blobs where key = any(${[...keys]}::text[]) and unused_since is not null`.execute(
      database.tables(),
    );
  }

  return {
    async put(workspaceId, content, maxBytes) {
      const key = `files/${workspaceId}/${v7()}`;
      await raw`insert into file_blobs (key, unused_since) values (${key}, ${at(0)})`.execute(
        database.tables(),
      );
      return { key, ...(await blobs.put(key, content, { maxBytes })) };
    },
    async claim(tx, { key }) {
      const { rows } = await raw`
        update file_blobs set unused_since = null
        where key = ${key} and unused_since > ${at(-CLAIM_WITHIN_MS)} returning key`.execute(tx.tables());
      if (rows.length === 0) throw new AppError("request_timeout");
    },
    async discard(unclaimed) {
      if (unclaimed.length === 0) return;
      // Waits for a transaction that is claiming one, and keeps a later one from it.
      const { rows } = await raw<{ key: string }>`
        update file_blobs set unused_since = 'epoch'
        where key = any(${unclaimed.map(({ key }) => key)}::text[]) and unused_since is not null
        returning key`.execute(database.tables());
      if (rows.length > 0) await forget(rows.map(({ key }) => key));
    },
    async open(key, range) {
      const found = await blobs.get(key, range);
      if (!found) throw dependencyUnavailable("blob store", new Error(`there is no blob ${key}`));
      return found.content;
    },
    async sweep(limit) {
      const { rows } = await raw<{ key: string }>`
        select key from file_blobs where unused_since < ${at(-UNUSED_KEEP_MS)}
        order by unused_since limit ${limit}`.execute(database.tables());
      if (rows.length > 0) await forget(rows.map(({ key }) => key));
      return rows.length;
    },
  };
}
