import type { Readable } from "node:stream";
import { Transform } from "node:stream";
import { crc32 } from "node:zlib";
import yauzl from "yauzl";
import { AppError } from "../errors.js";
import { pathFault, pathKey } from "./file-path.js";

/** What an archive may hold. */
export interface ZipLimits {
  readonly files: number;
  /** Bytes of one file. */
  readonly fileBytes: number;
  /** Bytes of all files together. */
  readonly totalBytes: number;
}

/** A file in an archive whose place and size were found harmless. */
export interface ZipFile {
  readonly path: string;
  /** Bytes, as the archive says; reading more or fewer fails. */
  readonly size: number;
  readonly modifiedAt: Date;
  /** The content; fails with `invalid_archive` when it is not what the archive says. */
  open(): Promise<Readable>;
}

/** An opened archive. */
export interface Zip {
  readonly files: readonly ZipFile[];
  close(): void;
}

/** Folders, entries of Apple's archiver about files, and other lines of the directory besides files. */
const MORE_ENTRIES = 20_000;
/** Names and notes of all entries; the directory is held in memory. */
const DIRECTORY_BYTES = 16 * 1024 * 1024;
/** No honest archive of any size is smaller than this part of its content; a few highly repetitive files may be. */
const MAX_RATIO = 200;
const RATIO_FROM_BYTES = 64 * 1024 * 1024;
const LOCAL_HEADER_BYTES = 30;
const FILE_TYPE = 0o170000;
const REGULAR = 0o100000;
const FOLDER = 0o040000;
const SYMLINK = 0o120000;
const STORED = 0;
const DEFLATED = 8;

/** The refusal of an archive; `kind` is the code of the one fault, `entry` the name of what is at fault. */
function refusal(kind: string, message: string, entry?: string): AppError {
  const shown = entry === undefined ? message : `${message}: ${JSON.stringify(entry.slice(0, 200))}`;
  return new AppError(kind.startsWith("too_") ? "payload_too_large" : "invalid_archive", {
    detail: shown,
    errors: [{ pointer: "", code: kind, message: shown }],
  });
}

/**
 * Opens the zip in a file and looks through its directory before anything is unpacked: places, sizes, kinds of entries.
 *
 * @throws AppError `invalid_archive`, or `payload_too_large` beyond the limits, with the fault's own code in `errors`.
 */
export async function openZip(file: string, limits: ZipLimits): Promise<Zip> {
  const zip = await understood(
    yauzl.openPromise(file, { lazyEntries: true, autoClose: false, decodeStrings: false }),
    "not_a_zip",
    "The body is not a complete zip archive",
  );
  try {
    if (zip.entryCount > limits.files + MORE_ENTRIES) throw tooMany(limits);
    const entries: yauzl.Entry[] = [];
    await understood(
      (async () => {
        let bytes = 0;
        for await (const entry of zip.eachEntry()) {
          bytes += entry.fileNameRaw.length + entry.extraFieldRaw.length + entry.fileCommentRaw.length;
          if (bytes > DIRECTORY_BYTES)
            throw refusal("too_large_directory", "The directory of the archive is too large");
          entries.push(entry);
        }
      })(),
      "corrupt",
      "The directory of the archive is broken",
    );
    const files = entries.flatMap((entry) => checked(zip, entry, limits) ?? []);
    checkTogether(files, entries, zip.fileSize, limits);
    return { files, close: () => zip.close() };
  } catch (error) {
    zip.close();
    throw error;
  }
}

function tooMany(limits: ZipLimits): AppError {
  return refusal("too_many_entries", `An archive has at most ${limits.files} files`);
}

function checked(zip: yauzl.ZipFile, entry: yauzl.Entry, limits: ZipLimits): ZipFile | undefined {
  const name = nameOf(entry);
  // Unix keeps the kind of a file in the upper half; a link could lead anywhere.
  const type = (entry.externalFileAttributes >>> 16) & FILE_TYPE;
  if (type === SYMLINK) throw refusal("symlink", "The archive has a symbolic link", name);
  if (type !== 0 && type !== REGULAR && type !== FOLDER)
    throw refusal("special_file", "The archive has something that is no file", name);
  const isFolder = name.endsWith("/");
  const path = (isFolder ? name.slice(0, -1) : name).normalize("NFC");
  const fault = pathFault(path);
  if (fault !== undefined) throw refusal("unsafe_path", `A path in the archive ${fault}`, name);
  if (isFolder || path.startsWith("__MACOSX/")) return undefined;
  if (entry.isEncrypted()) throw refusal("encrypted", "The archive is encrypted", name);
  if (entry.compressionMethod !== STORED && entry.compressionMethod !== DEFLATED)
    throw refusal("unsupported_method", "The archive uses a compression that is not supported", name);
  if (entry.uncompressedSize > limits.fileBytes)
    throw refusal("too_large_file", `A file has at most ${limits.fileBytes} bytes`, name);
  return {
    path,
    size: entry.uncompressedSize,
    modifiedAt: entry.getLastModDate(),
    open: () => openEntry(zip, entry, name),
  };
}

function nameOf(entry: yauzl.Entry): string {
  return yauzl.getFileNameLowLevel(entry.generalPurposeBitFlag, entry.fileNameRaw, entry.extraFields, true);
}

function checkTogether(
  files: readonly ZipFile[],
  entries: readonly yauzl.Entry[],
  archiveBytes: number,
  limits: ZipLimits,
): void {
  if (files.length > limits.files) throw tooMany(limits);
  const total = files.reduce((sum, { size }) => sum + size, 0);
  if (total > limits.totalBytes)
    throw refusal("too_large_total", `The files of an archive have at most ${limits.totalBytes} bytes`);
  if (total > RATIO_FROM_BYTES && total > archiveBytes * MAX_RATIO)
    throw refusal("too_compressed", `An archive is not compressed more than ${MAX_RATIO} times`);
  const twin = firstTwin(files.map(({ path }) => path));
  if (twin !== undefined)
    throw refusal(
      "duplicate_path",
      "Two paths in the archive are the same but for case, or one is a folder",
      twin,
    );
  // Entries that share bytes make a small archive huge, whatever its ratio.
  let end = 0;
  for (const entry of [...entries].sort(
    (a, b) => a.relativeOffsetOfLocalHeader - b.relativeOffsetOfLocalHeader,
  )) {
    if (entry.relativeOffsetOfLocalHeader < end)
      throw refusal("overlapping", "Entries of the archive share bytes", nameOf(entry));
    end =
      entry.relativeOffsetOfLocalHeader +
      LOCAL_HEADER_BYTES +
      entry.fileNameRaw.length +
      entry.compressedSize;
  }
}

/** A path that is also the path, or a folder in the path, of another one, when case is ignored. */
function firstTwin(paths: readonly string[]): string | undefined {
  const keys = new Set<string>();
  for (const path of paths) {
    const key = pathKey(path);
    if (keys.has(key)) return path;
    keys.add(key);
  }
  return paths.find((path) => {
    const names = pathKey(path).split("/");
    return names.some((_, i) => i > 0 && keys.has(names.slice(0, i).join("/")));
  });
}

async function openEntry(zip: yauzl.ZipFile, entry: yauzl.Entry, name: string): Promise<Readable> {
  const broken = () => refusal("corrupt", "A file in the archive is broken", name);
  const source = await understood(
    zip.openReadStreamPromise(entry),
    "corrupt",
    "A file in the archive is broken",
  );
  let sum = 0;
  const check = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sum = crc32(chunk, sum);
      done(null, chunk);
    },
    flush: (done) => done(sum === entry.crc32 ? null : broken()),
  });
  // More bytes than announced, fewer, and what cannot be inflated arrive here.
  source.once("error", () => check.destroy(broken()));
  check.once("close", () => source.destroy());
  return source.pipe(check);
}

/** A failure of the parser is a fault of the archive; one of the disk stays what it is. */
async function understood<T>(work: Promise<T>, kind: string, message: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof AppError || (error as NodeJS.ErrnoException).syscall !== undefined) throw error;
    throw refusal(kind, message);
  }
}
