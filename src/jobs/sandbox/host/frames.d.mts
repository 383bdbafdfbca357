/** A JSON message. */
export const FRAME_MESSAGE: 1;
/** Bytes of standard output. */
export const FRAME_STDOUT: 2;
/** Bytes of standard error. */
export const FRAME_STDERR: 3;
/** A frame as it travels. */
export function encodeFrame(kind: number, body: Uint8Array): Uint8Array;
/** A JSON message as it travels. */
export function encodeMessage(message: unknown): Uint8Array;
/** A decoder of one direction of the wire; throws for a frame over `mostBytes`. */
export function createFrameDecoder(
  mostBytes: number,
  onFrame: (kind: number, body: Uint8Array) => void,
): (chunk: Uint8Array) => void;
