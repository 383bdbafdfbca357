import { type FileHandle, mkdir, open, rename, stat } from "node:fs/promises";
import path from "node:path";

/** What {@link createRotatingFile} needs. */
export interface RotatingFileOptions {
  readonly file: string;
  /** A file of this size is put aside as `name.1.log` before the next write. */
  readonly maxBytes: number;
  /** Files kept besides the current one. */
  readonly maxFiles: number;
  /** How long a file that could not be written is left alone. Default 5 s. */
  readonly retryMs?: number;
  /** Told when lines begin to be lost and when they are written again; at most once each in a row. */
  readonly onTrouble: (sentence: string) => void;
}

/** An append-only file that never makes its writer wait and never fails it. */
export interface RotatingFile {
  write(line: string): void;
  /** Resolves when everything written so far is in the file, or is given up. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Text that waits for a slow disk; more is dropped. */
const MAX_WAITING_CHARS = 4 * 1024 * 1024;

/** A log file with rotation; several processes may write the same one. */
export function createRotatingFile(options: RotatingFileOptions): RotatingFile {
  let waiting: string[] = [];
  let waitingChars = 0;
  let lost = 0;
  let inTrouble = false;
  let notBefore = 0;
  let handle: FileHandle | undefined;
  let flushing: Promise<void> | undefined;

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const lines = waiting;
      waiting = [];
      waitingChars = 0;
      if (Date.now() < notBefore) {
        lost += lines.length;
        continue;
      }
      try {
        const target = await current();
        await target.appendFile(lines.join(""));
        recovered();
      } catch (error) {
        lost += lines.length;
        notBefore = Date.now() + (options.retryMs ?? 5_000);
        trouble(error);
        await release();
      }
    }
  }

  /** The file to append to: reopened when it was put aside or removed (also by another process), rotated when full. */
  async function current(): Promise<FileHandle> {
    const named = await stat(options.file).catch(() => undefined);
    if (handle) {
      const { ino } = await handle.stat();
      if (named?.ino !== ino) await release();
    }
    if (named && named.size >= options.maxBytes) {
      await release();
      await rotate();
    }
    if (!handle) {
      await mkdir(path.dirname(options.file), { recursive: true, mode: 0o750 });
      handle = await open(options.file, "a", 0o640);
    }
    return handle;
  }

  async function rotate(): Promise<void> {
    for (let i = options.maxFiles; i > 1; i -= 1) {
      await rename(aside(i - 1), aside(i)).catch(() => undefined);
    }
    await rename(options.file, aside(1)).catch(() => undefined);
  }

  function aside(number: number): string {
    const { dir, name, ext } = path.parse(options.file);
    return path.join(dir, `${name}.${number}${ext}`);
  }

  async function release(): Promise<void> {
    const open = handle;
    handle = undefined;
    await open?.close().catch(() => undefined);
  }

  function trouble(error: unknown): void {
    if (inTrouble) return;
    inTrouble = true;
    const { message } = error as Error;
    options.onTrouble(`The log file ${options.file} cannot be written: ${message}`);
  }

  function recovered(): void {
    if (lost > 0)
      options.onTrouble(`The log file ${options.file} is written again; ${lost} lines are missing.`);
    lost = 0;
    inTrouble = false;
  }

  async function flush(): Promise<void> {
    while (flushing || waiting.length > 0) {
      flushing ??= drain().finally(() => {
        flushing = undefined;
      });
      await flushing;
    }
  }

  return {
    write(line) {
      if (waitingChars + line.length > MAX_WAITING_CHARS) {
        lost += 1;
        return;
      }
      waiting.push(line);
      waitingChars += line.length;
      if (!flushing) void flush();
    },
    flush,
    async close() {
      await flush();
      await release();
    },
  };
}
