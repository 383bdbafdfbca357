import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate } from "node:zlib";
import { AppError } from "../errors.js";

/** Bytes of a request body that is read as a whole, before and after decompression. */
const BODY_LIMIT = 1024 * 1024;

/** A body of this size that is not here after this long is not waited for. */
const ARRIVAL_MS = 30_000;

const DECODERS = {
  gzip: promisify(gunzip),
  "x-gzip": promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
} as const;

/**
 * Reads the whole body, decompressed; undefined when there is none. A body that is too large is refused as soon as that is
 * known, by its `Content-Length` or after the byte too many, not when its sender is done.
 *
 * @throws AppError `payload_too_large`, `unsupported_media_type`, `bad_request`, `request_timeout`.
 */
export async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const limit = BODY_LIMIT;
  const { headers } = request;
  if (headers["content-length"] === undefined && headers["transfer-encoding"] === undefined) return undefined;
  const encoding = (headers["content-encoding"] ?? "identity").toLowerCase();
  if (encoding !== "identity" && !Object.hasOwn(DECODERS, encoding)) {
    throw new AppError("unsupported_media_type", { detail: "This Content-Encoding is not supported." });
  }
  const bytes = await readBytes(request, limit);
  if (bytes.length === 0) return undefined;
  if (encoding === "identity") return bytes;
  try {
    return await DECODERS[encoding as keyof typeof DECODERS](bytes, { maxOutputLength: limit });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(limit);
    throw new AppError("bad_request", { detail: "The body does not fit its Content-Encoding.", cause });
  }
}

function readBytes(request: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const late = setTimeout(
      () => refuse(new AppError("request_timeout", { headers: { Connection: "close" } })),
      ARRIVAL_MS,
    );
    const refuse = (why: AppError) => {
      clearTimeout(late);
      request.off("data", take);
      reject(why);
    };
    const take = (chunk: Buffer) => {
      length += chunk.length;
      if (length > limit) refuse(tooLarge(limit));
      else chunks.push(chunk);
    };
    if (Number(request.headers["content-length"] ?? 0) > limit) {
      refuse(tooLarge(limit));
      return;
    }
    request.on("data", take);
    request.once("end", () => {
      clearTimeout(late);
      resolve(Buffer.concat(chunks));
    });
    request.once("error", (cause) =>
      refuse(new AppError("bad_request", { detail: "The request was aborted.", cause })),
    );
  });
}

/** The refusal of a body of more than `limit` bytes. */
export function tooLarge(limit: number): AppError {
  const message = `A body has at most ${limit} bytes.`;
  return new AppError("payload_too_large", {
    errors: [{ pointer: "", code: "payload_too_large", message }],
    extensions: { limit },
  });
}
