// The files of a Lua program: in memory, bounded. System calls answer with the numbers of WASI.

/** @typedef {{bytes: Uint8Array, size: number}} File */
/**
 * @typedef {object} Stream
 * @property {(into: Uint8Array) => number} [read]
 * @property {(bytes: Uint8Array) => void} [write]
 * @property {File} [file]
 * @property {number} position
 * @property {boolean} append
 */

const EBADF = 8;
const EACCES = 2;
const EEXIST = 20;
export const EINVAL = 28;
const EISDIR = 31;
const EMFILE = 33;
const ENOENT = 44;
const ENOSPC = 51;
const ESPIPE = 70;

const O_ACCESS = 3;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
const MOST_FILES = 4096;
const MOST_STREAMS = 256;
const HOME = "/work";

/** A failed system call. */
export class SystemError extends Error {
  /** @param {number} errno */
  constructor(errno) {
    super("A system call failed");
    this.errno = errno;
  }
}

/**
 * @param {{stdin: (into: Uint8Array) => number, print: (descriptor: 1 | 2, bytes: Uint8Array) => void}} console
 */
export function createDisk(console) {
  /** @type {Map<string, File>} */
  const files = new Map();
  const folders = new Set(["/", "/tmp", HOME]);
  /** @type {(Stream | undefined)[]} */
  const streams = [
    { read: console.stdin, position: 0, append: false },
    { write: (bytes) => console.print(1, bytes), position: 0, append: false },
    { write: (bytes) => console.print(2, bytes), position: 0, append: false },
  ];
  let most = Number.POSITIVE_INFINITY;
  let mostFiles = Number.POSITIVE_INFINITY;
  let wasFull = false;

  /** @returns {never} */
  function refuse() {
    wasFull = true;
    throw new SystemError(ENOSPC);
  }

  function heldBytes() {
    const held = new Set([...files.values(), ...streams.flatMap((stream) => stream?.file ?? [])]);
    return [...held].reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** @param {File} file @param {number} size */
  function grow(file, size) {
    if (size > file.bytes.length) {
      const room = most - heldBytes() + file.bytes.length;
      if (size > room) refuse();
      const larger = new Uint8Array(Math.min(room, Math.max(size, 2 * file.bytes.length, 1024)));
      larger.set(file.bytes.subarray(0, file.size));
      file.bytes = larger;
    }
    file.size = Math.max(file.size, size);
  }

  /** @param {string} path */
  function resolve(path) {
    const parts = [];
    for (const part of `${path.startsWith("/") ? "" : `${HOME}/`}${path}`.split("/")) {
      if (part === "..") parts.pop();
      else if (part !== "" && part !== ".") parts.push(part);
    }
    return `/${parts.join("/")}`;
  }

  /** @param {string} path */
  function fileAt(path) {
    const at = resolve(path);
    if (folders.has(at)) throw new SystemError(EISDIR);
    const file = files.get(at);
    if (file === undefined) throw new SystemError(ENOENT);
    return { at, file };
  }

  /** @param {string} path */
  function create(path) {
    const at = resolve(path);
    if (folders.has(at)) throw new SystemError(EISDIR);
    if (!folders.has(at.slice(0, at.lastIndexOf("/")) || "/")) throw new SystemError(ENOENT);
    if (files.size >= mostFiles) refuse();
    const file = { bytes: new Uint8Array(0), size: 0 };
    files.set(at, file);
    return file;
  }

  /** @param {number} descriptor */
  function streamOf(descriptor) {
    const stream = streams[descriptor];
    if (stream === undefined) throw new SystemError(EBADF);
    return stream;
  }

  return {
    /** Files of the program, before anything counts. @param {string} path @param {Uint8Array} bytes */
    add(path, bytes) {
      const at = resolve(path);
      for (let end = at.indexOf("/", 1); end !== -1; end = at.indexOf("/", end + 1))
        folders.add(at.slice(0, end));
      files.set(at, { bytes, size: bytes.length });
    },
    /** From now on files hold at most this much more. @param {number} bytes */
    limit(bytes) {
      most = heldBytes() + bytes;
      mostFiles = files.size + MOST_FILES;
    },
    /** Whether a program asked for more. */
    full: () => wasFull,
    /** @param {string} path @param {number} flags */
    open(path, flags) {
      const writing = (flags & O_ACCESS) !== 0;
      const known = files.get(resolve(path));
      if (known !== undefined && flags & O_CREAT && flags & O_EXCL) throw new SystemError(EEXIST);
      if (folders.has(resolve(path)) && writing) throw new SystemError(EISDIR);
      const file = known ?? (flags & O_CREAT ? create(path) : fileAt(path).file);
      if (writing && flags & O_TRUNC) {
        file.bytes = new Uint8Array(0);
        file.size = 0;
      }
      const descriptor = [...streams, undefined].indexOf(undefined);
      if (descriptor >= MOST_STREAMS) throw new SystemError(EMFILE);
      streams[descriptor] = { file, position: 0, append: (flags & O_APPEND) !== 0 };
      return descriptor;
    },
    /** @param {number} descriptor */
    close(descriptor) {
      streamOf(descriptor);
      streams[descriptor] = undefined;
    },
    /** @param {number} descriptor @param {Uint8Array} into */
    read(descriptor, into) {
      const stream = streamOf(descriptor);
      if (stream.read) return stream.read(into);
      const { file } = stream;
      if (file === undefined) throw new SystemError(EACCES);
      const piece = file.bytes.subarray(stream.position, Math.min(file.size, stream.position + into.length));
      into.set(piece);
      stream.position += piece.length;
      return piece.length;
    },
    /** @param {number} descriptor @param {Uint8Array} bytes */
    write(descriptor, bytes) {
      const stream = streamOf(descriptor);
      if (stream.write) {
        stream.write(bytes);
        return bytes.length;
      }
      const { file } = stream;
      if (file === undefined) throw new SystemError(EACCES);
      if (stream.append) stream.position = file.size;
      grow(file, stream.position + bytes.length);
      file.bytes.set(bytes, stream.position);
      stream.position += bytes.length;
      return bytes.length;
    },
    /** @param {number} descriptor @param {number} offset @param {number} whence */
    seek(descriptor, offset, whence) {
      const stream = streamOf(descriptor);
      if (stream.file === undefined) throw new SystemError(ESPIPE);
      const base = [0, stream.position, stream.file.size][whence] ?? Number.NaN;
      if (!(base + offset >= 0)) throw new SystemError(EINVAL);
      stream.position = base + offset;
      return stream.position;
    },
    /** @param {string} path */
    remove(path) {
      files.delete(fileAt(path).at);
    },
    /** @param {string} from @param {string} to */
    rename(from, to) {
      const { at, file } = fileAt(from);
      const target = resolve(to);
      if (folders.has(target)) throw new SystemError(EISDIR);
      if (!folders.has(target.slice(0, target.lastIndexOf("/")) || "/")) throw new SystemError(ENOENT);
      files.delete(at);
      files.set(target, file);
    },
  };
}
