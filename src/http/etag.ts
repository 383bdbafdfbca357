import { AppError } from "../errors.js";

/** The strong entity tag of a row version. */
export function etagOf(version: number): string {
  return `"v${version}"`;
}

/**
 * The row version in an `If-Match` header; undefined when the header is absent or `*`.
 *
 * @throws AppError `version_mismatch` for a tag we never gave out (it cannot match), RFC 9110 section 13.1.1.
 */
export function versionOfIfMatch(header: string | undefined): number | undefined {
  if (header === undefined || header.trim() === "*") return undefined;
  const version = /^"v(\d{1,15})"$/.exec(header.trim())?.[1];
  if (version === undefined)
    throw new AppError("version_mismatch", { detail: "If-Match holds no tag of this resource." });
  return Number(version);
}

/** True when an `If-None-Match` header names the current tag (weak comparison, RFC 9110 section 13.1.2). */
export function isNotModified(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(",").some((tag) => tag.trim() === "*" || tag.trim().replace(/^W\//, "") === etag);
}

/** The answer to a lost update: 412 with the tag of the row as it is now. */
export function versionMismatch(currentVersion: number): AppError {
  return new AppError("version_mismatch", { headers: { ETag: etagOf(currentVersion) } });
}
