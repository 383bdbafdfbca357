// The wire between a pool and its engine hosts: `u32 LE length of the body | u8 kind | body`.
// Not Node's own IPC channel: there a hostile peer can crash the other side with a line that is not JSON.

/** A JSON message. */
export const FRAME_MESSAGE = 1;
/** Bytes of standard output. */
export const FRAME_STDOUT = 2;
/** Bytes of standard error. */
export const FRAME_STDERR = 3;

const HEADER_BYTES = 5;

/**
 * @param {number} kind
 * @param {Uint8Array} body
 * @returns {Uint8Array}
 */
export function encodeFrame(kind, body) {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  frame.writeUInt32LE(body.length, 0);
  frame.writeUInt8(kind, 4);
  frame.set(body, HEADER_BYTES);
  return frame;
}

/**
 * @param {unknown} message
 * @returns {Uint8Array}
 */
export function encodeMessage(message) {
  return encodeFrame(FRAME_MESSAGE, Buffer.from(JSON.stringify(message), "utf8"));
}

/**
 * A decoder of one direction of the wire. It never holds more than one frame of `mostBytes`, and throws for a longer one.
 * @param {number} mostBytes
 * @param {(kind: number, body: Uint8Array) => void} onFrame
 * @returns {(chunk: Uint8Array) => void}
 */
export function createFrameDecoder(mostBytes, onFrame) {
  /** @type {Buffer[]} */
  let held = [];
  let heldBytes = 0;
  let needed = HEADER_BYTES;

  return (chunk) => {
    held.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    heldBytes += chunk.byteLength;
    if (heldBytes < needed) return;
    let buffer = held.length === 1 && held[0] !== undefined ? held[0] : Buffer.concat(held);
    while (buffer.length >= HEADER_BYTES) {
      const length = buffer.readUInt32LE(0);
      if (length > mostBytes)
        throw new RangeError(`A frame of ${length} bytes is over the limit of ${mostBytes}`);
      const end = HEADER_BYTES + length;
      needed = end;
      if (buffer.length < end) break;
      onFrame(buffer.readUInt8(4), buffer.subarray(HEADER_BYTES, end));
      buffer = buffer.subarray(end);
      needed = HEADER_BYTES;
    }
    held = buffer.length === 0 ? [] : [buffer];
    heldBytes = buffer.length;
  };
}
