// What a program prints, in one bounded piece of shared memory: the writer (the program's thread) may be killed at any
// moment, the reader (the host's main thread) still finds every whole character written before, in order.
//
// `Int32 segments | Int32[capacity + 1] segment table | bytes`. A segment is a stretch of bytes of one descriptor, held as
// `end << 1 | (descriptor - 1)`; writes to the same descriptor lengthen the last one.

const MOST_SCRATCH = 64 * 1024;

/**
 * The shared memory of a log that takes `capacity` bytes of output.
 * @param {number} capacity
 */
export function allocateOutputLog(capacity) {
  return new SharedArrayBuffer(4 + 4 * (capacity + 1) + capacity);
}

/** @param {SharedArrayBuffer} shared */
function open(shared) {
  const capacity = (shared.byteLength - 8) / 5;
  return {
    capacity,
    count: new Int32Array(shared, 0, 1),
    table: new Int32Array(shared, 4, capacity + 1),
    bytes: new Uint8Array(shared, 4 + 4 * (capacity + 1), capacity),
  };
}

/**
 * @param {SharedArrayBuffer} shared
 * @returns {(descriptor: 1 | 2, text: string) => boolean} false when the text did not fit whole; lone surrogates become U+FFFD
 */
export function createOutputWriter(shared) {
  const { capacity, count, table, bytes } = open(shared);
  const encoder = new TextEncoder();
  const scratch = new Uint8Array(Math.min(capacity, MOST_SCRATCH));
  let end = 0;
  let segments = 0;
  let lastDescriptor = 0;

  return (descriptor, text) => {
    for (let rest = text; rest !== ""; ) {
      const room = Math.min(scratch.length, capacity - end);
      const { read, written } = encoder.encodeInto(rest, scratch.subarray(0, room));
      if (read === 0) return false;
      bytes.set(scratch.subarray(0, written), end);
      end += written;
      if (descriptor !== lastDescriptor) segments++;
      lastDescriptor = descriptor;
      Atomics.store(table, segments - 1, (end << 1) | (descriptor - 1));
      Atomics.store(count, 0, segments);
      rest = rest.slice(read);
    }
    return true;
  };
}

/**
 * @param {SharedArrayBuffer} shared
 * @param {(descriptor: 1 | 2, bytes: Uint8Array) => void} onBytes called with copies
 * @returns {() => void} reads what is new
 */
export function createOutputReader(shared, onBytes) {
  const { count, table, bytes } = open(shared);
  let segment = 0;
  let at = 0;

  return () => {
    const segments = Atomics.load(count, 0);
    while (segment < segments) {
      const entry = Atomics.load(table, segment);
      const end = entry >>> 1;
      if (end > at) onBytes((entry & 1) === 0 ? 1 : 2, bytes.slice(at, end));
      at = end;
      // The last segment may still grow.
      if (segment === segments - 1) return;
      segment++;
    }
  };
}
