import { AppError } from "../errors.js";

/** Part of a content: from byte `start` to byte `end`, both included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The part a `Range` header asks for (RFC 9110, section 14); undefined when there is none, it is not understood, or it asks
 * for several parts: then the whole is the right answer. @throws AppError `range_not_satisfiable` for one outside.
 */
export function rangeOf(header: string | undefined, size: number): ByteRange | undefined {
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (first !== "" && last !== "" && Number(last) < Number(first)) return undefined;
  if (start >= size || (first === "" && Number(last) === 0))
    throw new AppError("range_not_satisfiable", { headers: { "Content-Range": `bytes */${size}` } });
  return { start, end };
}
