import { describe, expect, it } from "@jest/globals";
import { etagOf, isNotModified, versionMismatch, versionOfIfMatch } from "./etag.js";

describe("entity tags", () => {
  it("[HTTP9] a version becomes a strong tag and comes back from If-Match", () => {
    expect(etagOf(7)).toBe('"v7"');
    expect(versionOfIfMatch('"v7"')).toBe(7);
    expect(versionOfIfMatch(' "v7" ')).toBe(7);
    expect(versionOfIfMatch(undefined)).toBeUndefined();
    expect(versionOfIfMatch("*")).toBeUndefined();
  });

  it("[HTTP10] what cannot be one of our tags matches no version, and none too large for its column", () => {
    const never = [
      'W/"v7"',
      '"7"',
      "v7",
      '"v7", "v8"',
      '"v0"',
      '"v07"',
      '"v9999999999"',
      '"v-1"',
      '"v7.5"',
      "",
      "null",
    ];
    for (const header of never) {
      const version = versionOfIfMatch(header);
      expect([header, version !== undefined && version < 1 && version >= -(2 ** 31)]).toEqual([header, true]);
    }
  });

  it("[HTTP11] If-None-Match compares weakly, with lists and *", () => {
    for (const header of ['"v7"', 'W/"v7"', '"v6", "v7"', "*", ' W/"x" ,"v7"'])
      expect([header, isNotModified(header, '"v7"')]).toEqual([header, true]);
    for (const header of [undefined, '"v8"', "v7", '"v70"', ""])
      expect([header, isNotModified(header, '"v7"')]).toEqual([header, false]);
  });

  it("[HTTP12] a lost update carries the tag of the row as it is now", () => {
    expect(versionMismatch(9)).toMatchObject({ status: 412, headers: { ETag: '"v9"' } });
  });
});
