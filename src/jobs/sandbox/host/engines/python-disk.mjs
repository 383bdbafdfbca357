// Emscripten keeps files in this thread's own memory, without any bound. This adds one, and the devices of a program.

/** @typedef {{mode: number, parent: Node, usedBytes?: number, contents?: unknown, stream_ops: StreamOperations, node_ops: NodeOperations}} Node */
/** @typedef {{node: Node, position: number, seekable: boolean}} Stream */
/**
 * @typedef {object} StreamOperations
 * @property {(stream: Stream) => void} [open]
 * @property {(stream: Stream, buffer: Uint8Array, offset: number, length: number, position: number) => number} [read]
 * @property {(stream: Stream, buffer: Uint8Array, offset: number, length: number, position: number) => number} [write]
 * @property {unknown} [llseek]
 */
/**
 * @typedef {object} NodeOperations
 * @property {(node: Node, change: {size?: number}) => void} setattr
 * @property {unknown} [getattr]
 */
/**
 * The little of Emscripten's file system that is used here.
 * @typedef {object} FileSystem
 * @property {Node} root
 * @property {(Stream | null)[]} streams
 * @property {new (errno: number) => Error} ErrnoError
 * @property {{MEMFS: {ops_table: {file: {node: NodeOperations, stream: StreamOperations}}}}} filesystems
 * @property {(mode: number) => boolean} isFile
 * @property {(mode: number) => boolean} isDir
 * @property {(parent: Node, name: string, mode: number, device: number) => Node} createNode
 * @property {(node: Node) => void} destroyNode
 * @property {(major: number, minor: number) => number} makedev
 * @property {(device: number, operations: StreamOperations) => void} registerDevice
 * @property {(path: string, mode: number, device: number) => void} mkdev
 * @property {(path: string) => void} mkdirTree
 * @property {(path: string) => void} unlink
 * @property {(path: string) => void} chdir
 * @property {(path: string, data: Uint8Array | string, options?: {canOwn?: boolean}) => void} writeFile
 * @property {(path: string) => {node: Node}} lookupPath
 */

const MOST_NODES = 4096;
// Numbers of WASI.
const ENOSPC = 51;
const EROFS = 69;

/**
 * From now on files hold at most this many bytes more than they do, in a bounded number of files.
 * @param {FileSystem} files
 * @param {number} bytes
 */
export function limitDisk(files, bytes) {
  const { node, stream } = files.filesystems.MEMFS.ops_table.file;
  const { createNode, destroyNode } = files;
  const write = stream.write ?? (() => 0);
  const change = node.setattr;
  let nodes = 0;
  let used = heldBytes(files);
  const most = used + bytes;

  /** @param {number} growth */
  function take(growth) {
    if (growth <= 0) return;
    // Nothing is subtracted where files shrink or go: a file may be open still. Counting again finds what is free.
    if (used + growth > most) used = heldBytes(files);
    if (used + growth > most) throw new files.ErrnoError(ENOSPC);
    used += growth;
  }

  stream.write = (open, buffer, offset, length, position) => {
    take(position + length - (open.node.usedBytes ?? 0));
    return write(open, buffer, offset, length, position);
  };
  node.setattr = (file, attributes) => {
    if (attributes.size !== undefined) take(attributes.size - (file.usedBytes ?? 0));
    change(file, attributes);
  };
  files.createNode = (...place) => {
    if (nodes >= MOST_NODES) throw new files.ErrnoError(ENOSPC);
    nodes++;
    return createNode(...place);
  };
  files.destroyNode = (gone) => {
    nodes--;
    destroyNode(gone);
  };
}

/** Bytes of all files that can be reached or are open. @param {FileSystem} files */
function heldBytes(files) {
  const seen = new Set();
  let bytes = 0;
  const waiting = [files.root, ...files.streams.flatMap((stream) => stream?.node ?? [])];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    if (files.isFile(node.mode)) bytes += node.usedBytes ?? 0;
    else if (files.isDir(node.mode)) waiting.push(...Object.values(node.contents ?? {}));
  }
  return bytes;
}

/**
 * A file whose bytes are shared with other threads: no program may change them.
 * @param {FileSystem} files
 * @param {string} path
 * @param {Uint8Array} bytes
 */
export function addSharedFile(files, path, bytes) {
  files.writeFile(path, bytes, { canOwn: true });
  const { node } = files.lookupPath(path);
  const refuse = () => {
    throw new files.ErrnoError(EROFS);
  };
  const { read, llseek } = node.stream_ops;
  node.stream_ops = { ...(read === undefined ? {} : { read }), llseek, write: refuse };
  node.node_ops = { ...node.node_ops, setattr: refuse };
}

let devices = 0;

/**
 * @param {FileSystem} files
 * @param {string} path replaces a device that is there
 * @param {{read?: (into: Uint8Array) => number, write?: (bytes: Uint8Array) => void}} operations
 */
export function addDevice(files, path, { read, write }) {
  const device = files.makedev(64, devices++);
  files.registerDevice(device, {
    open: (stream) => void (stream.seekable = false),
    ...(read && {
      read: (_stream, buffer, offset, length) => read(buffer.subarray(offset, offset + length)),
    }),
    ...(write && {
      write(_stream, buffer, offset, length) {
        write(buffer.subarray(offset, offset + length));
        return length;
      },
    }),
  });
  files.mkdev(path, 0o666, device);
}
