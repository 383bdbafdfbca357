import type { IncomingMessage, ServerResponse } from "node:http";
import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate } from "node:zlib";
import { AppError } from "../errors.js";

/** Bytes of a request body, before and after decompression, unless its route says otherwise. */
export const BODY_LIMIT = 1024 * 1024;

/** How long a client that was refused may go on sending, so that it gets to read why. */
const LINGER_MS = 2_000;

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
 * @throws AppError `payload_too_large`, `unsupported_media_type`, `bad_request`.
 */
export async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  limit = BODY_LIMIT,
): Promise<Buffer | undefined> {
  const { headers } = request;
  if (headers["content-length"] === undefined && headers["transfer-encoding"] === undefined) return undefined;
  const encoding = (headers["content-encoding"] ?? "identity").toLowerCase();
  if (encoding !== "identity" && !Object.hasOwn(DECODERS, encoding)) {
    throw new AppError("unsupported_media_type", { detail: "This Content-Encoding is not supported." });
  }
  const bytes = await readBytes(request, response, limit);
  if (bytes.length === 0) return undefined;
  if (encoding === "identity") return bytes;
  try {
    return await DECODERS[encoding as keyof typeof DECODERS](bytes, { maxOutputLength: limit });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(limit);
    throw new AppError("bad_request", { detail: "The body does not fit its Content-Encoding.", cause });
  }
}

function readBytes(request: IncomingMessage, response: ServerResponse, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const refuse = () => {
      request.off("data", take);
      // Node reads on and throws the rest away; the client may be slow to notice the answer, but not for ever.
      response.once("finish", () => {
        const timer = setTimeout(() => {
          if (!request.complete) request.socket.destroy();
        }, LINGER_MS);
        timer.unref();
      });
      reject(tooLarge(limit));
    };
    const take = (chunk: Buffer) => {
      length += chunk.length;
      if (length > limit) refuse();
      else chunks.push(chunk);
    };
    if (Number(request.headers["content-length"] ?? 0) > limit) {
      refuse();
      return;
    }
    request.on("data", take);
    request.once("end", () => resolve(Buffer.concat(chunks)));
    request.once("error", (cause) =>
      reject(new AppError("bad_request", { detail: "The request was aborted.", cause })),
    );
  });
}

function tooLarge(limit: number): AppError {
  const message = `A body has at most ${limit} bytes.`;
  return new AppError("payload_too_large", {
    errors: [{ pointer: "", code: "payload_too_large", message }],
    extensions: { limit },
  });
}
