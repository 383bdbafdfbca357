import { randomBytes } from "node:crypto";
import { createReadStream, createWriteStream, type Dirent } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { dependencyUnavailable } from "../../errors.js";
import { keySegments } from "./blob-key.js";
import type { BlobInfo, BlobStore } from "./blob-store.js";
import { measured } from "./measured.js";

/** Half-written files; a name no key can have. */
const PENDING = "#pending";

/**
 * Blobs as files below `folder`, which is made when it is missing. A blob is written beside, synced, and moved to its
 * place, so no reader sees half of one; what a crash left half-written is cleared away at the next start.
 */
export function createDiskBlobStore({ folder }: { readonly folder: string }): BlobStore {
  const fileOf = (key: string) => path.join(folder, ...keySegments(key));
  const pending = path.join(folder, PENDING);
  const ready = mkdir(pending, { recursive: true }).then(() => clearOld(pending));
  ready.catch(() => undefined);

  return {
    async put(key, content, { maxBytes } = {}) {
      const file = fileOf(key);
      const beside = path.join(pending, randomBytes(12).toString("hex"));
      const { source, through, written, isOwnFault, into } = measured(content, maxBytes);
      try {
        await onDisk(ready);
        await pipeline(source, through, into(createWriteStream(beside, { flags: "wx", flush: true })));
        await mkdir(path.dirname(file), { recursive: true });
        await rename(beside, file);
        await syncFolder(path.dirname(file));
        return written();
      } catch (error) {
        source.destroy();
        await rm(beside, { force: true }).catch(() => undefined);
        throw isOwnFault(error) ? error : storeError(error);
      }
    },
    async get(key, range) {
      const file = fileOf(key);
      try {
        const handle = await open(file, "r");
        const { size } = await handle.stat();
        return { size, content: createReadStream("", { fd: handle, ...range }) };
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw storeError(error);
      }
    },
    async delete(keys) {
      await onDisk(Promise.all(keys.map((key) => rm(fileOf(key), { force: true }))));
    },
    list(prefix) {
      return filesBelow(folder, "", prefix);
    },
    async ping() {
      await onDisk(stat(folder));
    },
    async close() {},
  };
}

async function* filesBelow(folder: string, parent: string, prefix: string): AsyncIterable<BlobInfo> {
  for (const entry of await entriesOf(path.join(folder, parent))) {
    if (entry.name === PENDING) continue;
    const key = parent + entry.name;
    if (entry.isDirectory()) {
      const below = `${key}/`;
      if (below.startsWith(prefix) || prefix.startsWith(below)) yield* filesBelow(folder, below, prefix);
    } else if (key.startsWith(prefix)) {
      const found = await stat(path.join(folder, key)).catch(() => undefined);
      if (found) yield { key, size: found.size, modifiedAt: found.mtimeMs };
    }
  }
}

/** Entries in the order their keys have: a folder sorts as its name with the `/` that follows. */
async function entriesOf(folder: string): Promise<Dirent[]> {
  const sortKey = (entry: Dirent) => (entry.isDirectory() ? `${entry.name}/` : entry.name);
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.sort((one, other) => (sortKey(one) < sortKey(other) ? -1 : 1));
  } catch (error) {
    if (isMissing(error)) return [];
    throw storeError(error);
  }
}

/** Files nobody can be writing any more. */
async function clearOld(pending: string): Promise<void> {
  const dayAgo = Date.now() - 86_400_000;
  for (const name of await readdir(pending)) {
    const file = path.join(pending, name);
    const found = await stat(file).catch(() => undefined);
    if (found && found.mtimeMs < dayAgo) await rm(file, { force: true });
  }
}

/** Makes the move durable; a platform that cannot sync folders does not need it. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

async function onDisk(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    throw storeError(error);
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
}

/** A fault of the disk is the store being away; what the source of a content threw stays what it is. */
function storeError(error: unknown): unknown {
  const { syscall, code } = error as NodeJS.ErrnoException;
  return syscall && code ? dependencyUnavailable("blob store", error) : error;
}
