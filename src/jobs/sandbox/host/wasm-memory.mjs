/**
 * The same WebAssembly binary with another maximum of its memory: a hard cap that needs no help from the engine inside.
 * @param {Uint8Array} binary
 * @param {number} maximumBytes rounded up to whole 64 KiB pages
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function capMemory(binary, maximumBytes) {
  const pages = Math.ceil(maximumBytes / 65_536);
  let at = 8;
  while (at < binary.length) {
    const id = binary[at];
    const size = readUnsigned(binary, at + 1);
    const end = size.next + size.value;
    if (id === 5) {
      const memories = readUnsigned(binary, size.next);
      const flags = readUnsigned(binary, memories.next);
      const minimum = readUnsigned(binary, flags.next);
      if (memories.value !== 1 || flags.value > 1)
        throw new Error("Only one plain 32-bit memory can be capped");
      if (minimum.value > pages) throw new RangeError("The module needs more memory than the cap");
      const body = [1, 1, ...unsigned(minimum.value), ...unsigned(pages)];
      return concat(binary.subarray(0, at), [5, ...unsigned(body.length), ...body], binary.subarray(end));
    }
    at = end;
  }
  throw new Error("The module defines no memory");
}

/** LEB128. @param {Uint8Array} bytes @param {number} at */
function readUnsigned(bytes, at) {
  let value = 0;
  for (let shift = 0, next = at; ; shift += 7) {
    const byte = bytes[next++] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { value, next };
  }
}

/** @param {number} value */
function unsigned(value) {
  const out = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...out, rest];
    out.push((rest % 128) | 0x80);
  }
}

/** @param {ArrayLike<number>[]} parts */
function concat(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
