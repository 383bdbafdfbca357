import { Readable } from "node:stream";
import { AppError } from "../errors.js";
import { MAX_TEXT_BYTES } from "./schema.js";

/** What a file is made from. */
export type NewContent =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "binary"; readonly mediaType: string; readonly content: Readable };

/** Text as it is served: never as a type a browser would run. */
export const TEXT_TYPE = "text/plain; charset=utf-8";
const BINARY_TYPE = "application/octet-stream";
const TEXT =
  /^(text\/[\w.+-]+|application\/([\w.+-]+\+)?(json|xml|yaml)|application\/(x-)?(javascript|ecmascript|typescript|toml|sql|sh|httpd-php|python|ndjson|graphql))$/;
const MEDIA_TYPE = /^[\w!#$&^.+-]{1,60}\/[\w!#$&^.+-]{1,60}$/;
/** What clients call a content they know nothing of; and what browsers and registries take TypeScript for. */
const UNKNOWN = new Set(["", "application/x-www-form-urlencoded", "video/mp2t", "video/vnd.dlna.mpeg-tts"]);

/**
 * Sorts a content by its media type, or by looking at it when the type says nothing: UTF-8 without NUL of at most
 * {@link MAX_TEXT_BYTES} is text. @throws AppError `unsupported_media_type`, `payload_too_large`, `unprocessable`.
 */
export async function sortContent(contentType: string, content: Readable): Promise<NewContent> {
  const type = (contentType.split(";")[0] ?? "").trim().toLowerCase();
  if (UNKNOWN.has(type)) return await lookInto(content, BINARY_TYPE);
  if (TEXT.test(type)) {
    const charset = /;\s*charset="?([\w-]+)"?/i.exec(contentType)?.[1]?.toLowerCase();
    if (charset !== undefined && charset !== "utf-8" && charset !== "us-ascii")
      throw new AppError("unsupported_media_type", { detail: "Text is taken in UTF-8 only." });
    const { head, rest } = await readHead(content);
    if (rest) throw tooLong();
    const text = decodeText(head);
    if (text === undefined) throw new AppError("unprocessable", { detail: "The body is not text in UTF-8." });
    return { kind: "text", text };
  }
  if (!MEDIA_TYPE.test(type))
    throw new AppError("unsupported_media_type", { detail: "The Content-Type is not a media type." });
  return { kind: "binary", mediaType: type, content };
}

/** As {@link sortContent}, for a content without a type; a binary one gets `mediaType`. */
export async function lookInto(content: Readable, mediaType: string): Promise<NewContent> {
  const { head, rest } = await readHead(content);
  const text = rest ? undefined : decodeText(head);
  if (text !== undefined) return { kind: "text", text };
  return { kind: "binary", mediaType, content: rest ?? Readable.from([head], { objectMode: false }) };
}

/** The text of bytes in UTF-8 without NUL; undefined for anything else. */
function decodeText(bytes: Buffer): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The whole content when it may be a text; otherwise `rest` gives all of it again. */
async function readHead(content: Readable): Promise<{ head: Buffer; rest?: Readable }> {
  const chunks: Buffer[] = [];
  let size = 0;
  const iterator = content[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  for (;;) {
    const { done, value } = await iterator.next();
    if (done) return { head: Buffer.concat(chunks) };
    chunks.push(value);
    size += value.length;
    if (size > MAX_TEXT_BYTES) break;
  }
  async function* again() {
    try {
      yield* chunks.splice(0);
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  }
  return { head: Buffer.alloc(0), rest: Readable.from(again(), { objectMode: false }) };
}

function tooLong(): AppError {
  const message = `A text has at most ${MAX_TEXT_BYTES} bytes.`;
  return new AppError("payload_too_large", {
    errors: [{ pointer: "", code: "payload_too_large", message }],
    extensions: { limit: MAX_TEXT_BYTES },
  });
}

const EXTENSIONS: Readonly<Record<string, string>> = {
  avif: "image/avif",
  bmp: "image/bmp",
  gif: "image/gif",
  gz: "application/gzip",
  ico: "image/vnd.microsoft.icon",
  jpeg: "image/jpeg",
  jpg: "image/jpeg",
  mp3: "audio/mpeg",
  mp4: "video/mp4",
  ogg: "audio/ogg",
  otf: "font/otf",
  pdf: "application/pdf",
  png: "image/png",
  tar: "application/x-tar",
  tif: "image/tiff",
  tiff: "image/tiff",
  ttf: "font/ttf",
  wasm: "application/wasm",
  wav: "audio/wav",
  webm: "video/webm",
  webp: "image/webp",
  woff: "font/woff",
  woff2: "font/woff2",
  zip: "application/zip",
};

/** The media type a binary file of this name most likely has. */
export function mediaTypeOfName(path: string): string {
  const extension = /\.(\w+)$/.exec(path)?.[1]?.toLowerCase() ?? "";
  return Object.hasOwn(EXTENSIONS, extension) ? (EXTENSIONS[extension] ?? BINARY_TYPE) : BINARY_TYPE;
}
