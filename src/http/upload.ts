import type { IncomingMessage } from "node:http";
import { Readable, type Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { AppError } from "../errors.js";
import { tooLarge } from "./body.js";

/** A client that sends nothing for this long is given up. */
const SILENCE_MS = 30_000;

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/**
 * The body of a request as a stream, decompressed, no faster than it is read. It fails with `payload_too_large` after `limit`
 * bytes, `bad_request` when the client goes away or the compression is broken, `request_timeout` when it falls silent.
 *
 * @throws AppError `payload_too_large` when its `Content-Length` says so, `unsupported_media_type` for an unknown encoding.
 */
export function openUpload(
  request: IncomingMessage,
  limit: number,
): { length: number | undefined; content: Readable } {
  const encoding = (request.headers["content-encoding"] ?? "identity").toLowerCase();
  if (encoding !== "identity" && !Object.hasOwn(DECODERS, encoding))
    throw new AppError("unsupported_media_type", { detail: "This Content-Encoding is not supported." });
  const announced = request.headers["content-length"];
  if (Number(announced ?? 0) > limit) throw tooLarge(limit);
  const received = receive(request, limit);
  const decoder = DECODERS[encoding];
  if (!decoder) return { length: announced === undefined ? undefined : Number(announced), content: received };
  const decoded = Readable.from(decode(received, decoder(), limit), { objectMode: false });
  decoded.once("close", () => received.destroy());
  return { length: undefined, content: decoded };
}

/** Destroying what this gives leaves the connection alone, so that an answer can still go out. */
function receive(request: IncomingMessage, limit: number): Readable {
  let size = 0;
  let silence: NodeJS.Timeout | undefined;
  const quiet = () => clearTimeout(silence);
  const take = (chunk: Buffer) => {
    quiet();
    size += chunk.length;
    if (size > limit) body.destroy(tooLarge(limit));
    else if (!body.push(chunk)) request.pause();
    else wait();
  };
  const end = () => {
    quiet();
    body.push(null);
  };
  const aborted = (cause?: Error) =>
    body.destroy(new AppError("bad_request", { detail: "The request was aborted.", cause }));
  const closed = () => {
    if (!request.complete) aborted();
  };
  const wait = () => {
    quiet();
    silence = setTimeout(
      () => body.destroy(new AppError("request_timeout", { headers: { Connection: "close" } })),
      SILENCE_MS,
    );
  };
  const body = new Readable({
    read() {
      if (!request.readableEnded) wait();
      request.resume();
    },
    destroy(error, done) {
      quiet();
      request.off("data", take).off("end", end).off("close", closed);
      // What still comes is read and thrown away.
      request.resume();
      done(error);
    },
  });
  // Its failure is that of whoever reads it; without a reader it must not end the process.
  body.on("error", () => undefined);
  request.pause();
  request.on("data", take).once("end", end).once("close", closed).once("error", aborted);
  return body;
}

async function* decode(received: Readable, decoder: Transform, limit: number): AsyncGenerator<Buffer> {
  let size = 0;
  received.once("error", (error) => decoder.destroy(error));
  try {
    for await (const chunk of received.pipe(decoder) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit) throw tooLarge(limit);
      yield chunk;
    }
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError("bad_request", { detail: "The body does not fit its Content-Encoding.", cause });
  } finally {
    received.destroy();
    decoder.destroy();
  }
}
