/** One unmasked text frame (RFC 6455, section 5.2) as it goes over the wire. */
export function textFrame(text: string): Buffer {
  return frame(0x81, Buffer.from(text, "utf8"));
}

/** One unmasked binary frame. */
export function binaryFrame(body: Buffer): Buffer {
  return frame(0x82, body);
}

/** The answer to a ping that carried `body`. */
export function pongFrame(body: Buffer): Buffer {
  return frame(0x8a, body);
}

/** An empty ping frame. */
export const PING_FRAME = frame(0x89, Buffer.alloc(0));

function frame(head: number, body: Buffer): Buffer {
  const length = body.length;
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const bytes = Buffer.allocUnsafe(header + length);
  bytes[0] = head;
  if (header === 2) bytes[1] = length;
  else if (header === 4) {
    bytes[1] = 126;
    bytes.writeUInt16BE(length, 2);
  } else {
    bytes[1] = 127;
    bytes.writeBigUInt64BE(BigInt(length), 2);
  }
  body.copy(bytes, header);
  return bytes;
}
