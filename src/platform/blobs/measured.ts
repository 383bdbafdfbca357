import { createHash } from "node:crypto";
import { Readable, Transform } from "node:stream";
import { AppError } from "../../errors.js";
import type { WrittenBlob } from "./blob-store.js";

/** A content on its way to a store: counted, hashed, and cut off with `payload_too_large` after `maxBytes`. */
export function measured(
  content: Uint8Array | Readable,
  maxBytes: number = Number.POSITIVE_INFINITY,
): { readonly source: Readable; readonly through: Transform; written(): WrittenBlob } {
  const hash = createHash("sha256");
  let size = 0;
  const through = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size > maxBytes) {
        done(new AppError("payload_too_large", { detail: `More than ${maxBytes} bytes.` }));
        return;
      }
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const source = content instanceof Readable ? content : Readable.from([content]);
  return { source, through, written: () => ({ size, sha256: hash.digest("hex") }) };
}
