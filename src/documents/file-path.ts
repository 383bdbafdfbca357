import { textFault } from "../http/json-body.js";

/** Longest path, in characters. */
export const MAX_PATH = 200;

/** Control characters, and what some file system cannot have in a name. */
const REFUSED = /[\p{Cc}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069\\:*?"<>|]/u;

/** Why `path` cannot be the path of a file, or undefined: relative, with `/`, no `.` or `..`, no name ending in a dot or space. */
export function pathFault(path: string): string | undefined {
  if (path.length === 0) return "must not be empty";
  if (Array.from(path).length > MAX_PATH) return `must have at most ${MAX_PATH} characters`;
  if (textFault(path) !== undefined || REFUSED.test(path))
    return "must not hold control or reserved characters";
  if (path.normalize("NFC") !== path) return "must be in Unicode normalization form C";
  for (const name of path.split("/")) {
    if (name === "") return "must be relative, with one slash between names";
    if (name === "." || name === "..") return "must not hold . or ..";
    if (/[. ]$/.test(name) || name.startsWith(" "))
      return "must not hold a name that begins or ends with a space, or ends with a dot";
  }
  return undefined;
}

/** Two paths with the same key would be one file on a file system that ignores case. */
export function pathKey(path: string): string {
  return path.normalize("NFKC").toLowerCase().toUpperCase().toLowerCase();
}
