/** Content of a file as it is sent: text goes as UTF-8. */
export type RawContent = string | Uint8Array | ArrayBuffer | Blob;

/** Content as it came. */
export interface RawReply {
  /** Media type with its parameters, such as `text/plain; charset=utf-8`. */
  readonly contentType: string;
  readonly bytes: Uint8Array;
  /** Row version of what was read, such as `"v3"`; null where there is none. */
  readonly etag: string | null;
  /** The bytes as UTF-8 text. */
  text(): string;
}
