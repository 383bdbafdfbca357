const SEGMENT = /^[A-Za-z0-9._-]+$/;

/**
 * The segments of a blob's key.
 *
 * @throws RangeError for a key that is not one; keys are made by us, so this is a mistake of the caller.
 */
export function keySegments(key: string): readonly string[] {
  const segments = key.split("/");
  const fine = segments.every((part) => SEGMENT.test(part) && part !== "." && part !== "..");
  if (!fine || key.length > 400) throw new RangeError("not the key of a blob");
  return segments;
}
