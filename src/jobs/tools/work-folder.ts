import { constants } from "node:fs";
import { chmod, chown, mkdtemp, open, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AppError } from "../../errors.js";
import { measured } from "../../platform/blobs/measured.js";

/** What a tool is given to read. */
export interface ToolInput {
  /** A plain file name. */
  readonly name: string;
  readonly content: string | Uint8Array | Readable;
}

/** A file a tool has written. */
export interface ToolOutput {
  /** Bytes. */
  readonly size: number;
  /** To be read to its end or destroyed. */
  readonly content: Readable;
}

/** A folder for one run of a tool. */
export interface WorkFolder {
  readonly path: string;
  /** Throws `payload_too_large` when the inputs together have more than `maxBytes`. */
  fill(inputs: readonly ToolInput[], maxBytes: number): Promise<void>;
  /** A regular file right inside; undefined for everything else, above all for links. */
  read(name: string): Promise<ToolOutput | undefined>;
  /** Bytes of all that is in it. */
  size(): Promise<number>;
  remove(): Promise<void>;
}

/** Makes a folder that belongs to `user`, or to the user of this process. */
export async function makeWorkFolder(user: number | undefined): Promise<WorkFolder> {
  const folder = await mkdtemp(path.join(tmpdir(), "atelier-tool-"));
  if (user !== undefined) await chown(folder, user, user);
  return {
    path: folder,
    async fill(inputs, maxBytes) {
      let left = maxBytes;
      for (const { name, content } of inputs) {
        const file = path.join(folder, path.basename(name));
        const bytes = typeof content === "string" ? Buffer.from(content) : content;
        const { source, through, written } = measured(bytes, left);
        const handle = await open(file, "wx", 0o600);
        try {
          await pipeline(source, through, handle.createWriteStream());
        } catch (error) {
          if (!(error instanceof AppError && error.code === "payload_too_large")) throw error;
          throw new AppError("payload_too_large", {
            detail: `The data has more than ${maxBytes} bytes.`,
            cause: error,
          });
        }
        left -= written().size;
        await chmod(file, 0o400);
        if (user !== undefined) await chown(file, user, user);
      }
    },
    async read(name) {
      const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
      const handle = await open(path.join(folder, name), flags).catch(() => undefined);
      if (!handle) return undefined;
      const found = await handle.stat();
      if (found.isFile() && found.nlink === 1)
        return { size: found.size, content: handle.createReadStream() };
      await handle.close();
      return undefined;
    },
    size: () => sizeOf(folder),
    remove: () => rm(folder, { recursive: true, force: true, maxRetries: 3 }),
  };
}

async function sizeOf(folder: string): Promise<number> {
  let total = 0;
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) total += await sizeOf(file);
    else if (entry.isFile()) total += (await stat(file).catch(() => undefined))?.size ?? 0;
  }
  return total;
}
