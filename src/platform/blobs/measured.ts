import { createHash } from "node:crypto";
import { Readable, Transform, type Writable } from "node:stream";
import { AppError } from "../../errors.js";
import type { WrittenBlob } from "./blob-store.js";

/** A content on its way to a store: counted, hashed, and cut off with `payload_too_large` after `maxBytes`. */
export function measured(
  content: Uint8Array | Readable,
  maxBytes: number = Number.POSITIVE_INFINITY,
): {
  readonly source: Readable;
  readonly through: Transform;
  written(): WrittenBlob;
  /** True when the content failed, not the store: it failed before `sink`, which is the store's, did. */
  readonly isOwnFault: (error: unknown) => boolean;
  /** Names the stream that writes to the store, before anything flows. */
  readonly into: <S extends Writable>(sink: S) => S;
} {
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
  const source =
    content instanceof Readable
      ? content
      : Readable.from(content.length > 0 ? [content] : [], { objectMode: false });
  // A failure of one end spreads to the other; the first is the one that counts.
  let first: { readonly error: Error | undefined } | undefined;
  const note = (error: Error) => {
    first ??= { error };
  };
  source.once("error", note);
  through.once("error", note);
  return {
    source,
    through,
    written: () => ({ size, sha256: hash.digest("hex") }),
    isOwnFault: (error) => first !== undefined && first.error === error,
    into(sink) {
      sink.once("error", () => {
        first ??= { error: undefined };
      });
      return sink;
    },
  };
}
