import { pipeline, type Readable } from "node:stream";
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
  S3Client,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { dependencyUnavailable } from "../../errors.js";
import { keySegments } from "./blob-key.js";
import type { BlobInfo, BlobRange, BlobStore } from "./blob-store.js";
import { measured } from "./measured.js";

/** Where the blobs are. */
export interface S3Options {
  readonly bucket: string;
  readonly region: string;
  /** Of an S3-compatible server; AWS without it. */
  readonly endpoint?: string | undefined;
  /** Without it the usual places are asked: environment, shared files, the role of the machine. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  /** The bucket in the path rather than in the host name. */
  readonly forcePathStyle: boolean;
  /** Put before every key; empty, or ending with `/`. */
  readonly prefix: string;
}

const CONNECT_MS = 700;
/** How long an answer may take to begin. */
const ANSWER_MS = 2_000;
const PING_MS = 1_000;
/** A transfer that stands still for this long has failed. */
const SILENCE_MS = 10_000;
const DELETE_BATCH = 1_000;

/**
 * Blobs as objects of a bucket of S3 or of a server that speaks its protocol. A content is sent in parts while it comes in;
 * an upload that fails is aborted, so nobody pays for parts of it.
 */
export function createS3BlobStore(options: S3Options): BlobStore {
  const { bucket: Bucket, prefix } = options;
  const client = new S3Client({
    region: options.region,
    forcePathStyle: options.forcePathStyle,
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    ...(options.credentials ? { credentials: options.credentials } : {}),
    maxAttempts: 2,
    // Servers other than AWS do not know the newer checksums; ours is the SHA-256 of the row.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: SILENCE_MS },
  });
  const objectOf = (key: string) => prefix + keySegments(key).join("/");

  async function* below(start: string): AsyncIterable<BlobInfo> {
    for (let ContinuationToken: string | undefined; ; ) {
      const page = await answered((abortSignal) =>
        client.send(
          new ListObjectsV2Command({
            Bucket,
            Prefix: prefix + start,
            ...(ContinuationToken ? { ContinuationToken } : {}),
          }),
          { abortSignal },
        ),
      );
      for (const { Key = "", Size = 0, LastModified } of page.Contents ?? [])
        yield { key: Key.slice(prefix.length), size: Size, modifiedAt: LastModified?.getTime() ?? 0 };
      if (!page.IsTruncated || !page.NextContinuationToken) return;
      ContinuationToken = page.NextContinuationToken;
    }
  }

  return {
    async put(key, content, { maxBytes, mediaType } = {}) {
      const Key = objectOf(key);
      const { source, through, written, isOwnFault } = measured(content, maxBytes);
      pipeline(source, through, () => undefined);
      const upload = new Upload({
        client,
        params: {
          Bucket,
          Key,
          Body: through,
          ...(mediaType === undefined ? {} : { ContentType: mediaType }),
        },
        queueSize: 2,
      });
      try {
        await upload.done();
        return written();
      } catch (error) {
        const mine = isOwnFault(error);
        source.destroy();
        through.destroy();
        throw mine ? error : dependencyUnavailable("blob store", error);
      }
    },
    async get(key, range) {
      const Key = objectOf(key);
      const Range = range && `bytes=${range.start}-${range.end}`;
      try {
        const found = await answered((abortSignal) =>
          client.send(new GetObjectCommand({ Bucket, Key, ...(Range ? { Range } : {}) }), { abortSignal }),
        );
        const content = found.Body as Readable | undefined;
        return content && { size: sizeOf(found, range), content };
      } catch (error) {
        const { name } = (error as { cause?: { name?: string } }).cause ?? {};
        if (name === "NoSuchKey" || name === "NotFound") return undefined;
        throw error;
      }
    },
    async delete(keys) {
      const objects = keys.map((key) => ({ Key: objectOf(key) }));
      for (let i = 0; i < objects.length; i += DELETE_BATCH) {
        const Delete = { Objects: objects.slice(i, i + DELETE_BATCH), Quiet: true };
        const { Errors = [] } = await answered(
          (abortSignal) => client.send(new DeleteObjectsCommand({ Bucket, Delete }), { abortSignal }),
          SILENCE_MS,
        );
        const [failed] = Errors.filter(({ Code }) => Code !== "NoSuchKey");
        if (failed) throw dependencyUnavailable("blob store", new Error(`${failed.Code}: ${failed.Message}`));
      }
    },
    list: below,
    async ping() {
      await answered(
        (abortSignal) => client.send(new HeadBucketCommand({ Bucket }), { abortSignal }),
        PING_MS,
      );
    },
    async close() {
      client.destroy();
    },
  };
}

/** Waits for the beginning of an answer; what it says no to, or does not say in time, is the store being away. */
async function answered<T>(ask: (signal: AbortSignal) => Promise<T>, ms: number = ANSWER_MS): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ms);
  try {
    return await ask(late.signal);
  } catch (error) {
    throw dependencyUnavailable("blob store", error);
  } finally {
    clearTimeout(timer);
  }
}

function sizeOf(
  { ContentLength, ContentRange }: { ContentLength?: number | undefined; ContentRange?: string | undefined },
  range: BlobRange | undefined,
): number {
  return range ? Number(ContentRange?.split("/")[1] ?? 0) : (ContentLength ?? 0);
}
