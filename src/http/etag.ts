import { AppError } from "../errors.js";

/** The strong entity tag of a row version. */
export function etagOf(version: number): string {
  return `"v${version}"`;
}

/** Stands for a tag we never gave out: no row has this version. */
const NO_VERSION = -1;

/**
 * The row version in an `If-Match` header; undefined when the header is absent or `*`. A tag we never gave out, a weak one
 * and a list of several give a version no row has, so that the answer is 412 for those who may see the resource (RFC 9110,
 * section 13.1.1).
 */
export function versionOfIfMatch(header: string | undefined): number | undefined {
  if (header === undefined || header.trim() === "*") return undefined;
  return Number(/^"v([1-9]\d{0,8})"$/.exec(header.trim())?.[1] ?? NO_VERSION);
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
