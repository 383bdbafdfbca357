import type { Readable } from "node:stream";

/** What is known of a stored blob. */
export interface BlobInfo {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since the Unix epoch. */
  readonly modifiedAt: number;
}

/** What was written. */
export interface WrittenBlob {
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of the content, hex. */
  readonly sha256: string;
}

/** Part of a content: from byte `start` to byte `end`, both included. */
export interface BlobRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Large immutable content: binary files, artifacts, exports. A key is made of segments of `[A-Za-z0-9._-]` joined by `/`, at
 * most 400 characters, none of them `.` or `..`; a key is written once and never changed, and no key is the folder of
 * another. Every call rejects with
 * `dependency_unavailable` when the store is away.
 */
export interface BlobStore {
  /**
   * Stores the content; once it resolves, the blob survives a crash. A source that fails, or holds more than `maxBytes`
   * (then `payload_too_large`), leaves nothing behind.
   */
  put(
    key: string,
    content: Uint8Array | Readable,
    options?: { readonly maxBytes?: number; readonly mediaType?: string },
  ): Promise<WrittenBlob>;
  /**
   * The content, or the part of it `range` names, which must lie inside; undefined when there is none. `size` is that of the
   * whole, in bytes. The caller reads the stream to its end or destroys it.
   */
  get(
    key: string,
    range?: BlobRange,
  ): Promise<{ readonly size: number; readonly content: Readable } | undefined>;
  /** Forgets these blobs; unknown keys are passed over. */
  delete(keys: readonly string[]): Promise<void>;
  /** Every blob whose key begins with `prefix`, in the order of keys; for clearing away what no row names. */
  list(prefix: string): AsyncIterable<BlobInfo>;
  /** Rejects within 1 s when the store does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
