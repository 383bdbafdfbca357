import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { type Change, diffText } from "./text-diff.js";

function apply(text: string, changes: readonly Change[]): string {
  let result = text;
  for (const { index, remove, insert } of changes)
    result = result.slice(0, index) + insert + result.slice(index + remove);
  return result;
}

describe("diffText", () => {
  it("[DOC50] its changes, applied in order, make one text into the other", () => {
    const text = fc
      .array(fc.constantFrom("a", "b", "ab", "\n", "\n\n", "😀", "😁", "é", "x\n"), { maxLength: 40 })
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, text, (before, after) => {
        expect(apply(before, diffText(before, after))).toBe(after);
      }),
      { numRuns: 1_000 },
    );
  });

  it("[DOC50] a change here and one there leave what is between them alone", () => {
    const before = "one\ntwo\nthree\nfour\nfive\n";
    const changes = diffText(before, "one!\ntwo\nthree\nfour\n5\n");
    expect(changes).toEqual([
      { index: 19, remove: 4, insert: "5" },
      { index: 3, remove: 0, insert: "!" },
    ]);
  });

  it("[DOC50] no half of a surrogate pair is ever replaced", () => {
    expect(diffText("😀", "😁")).toEqual([{ index: 0, remove: 2, insert: "😁" }]);
    expect(diffText("x\u{1F600}", "x\u{1FA00}")).toEqual([{ index: 1, remove: 2, insert: "\u{1FA00}" }]);
  });

  it("[DOC50] two long texts with nothing in common are one replacement", () => {
    const lines = (prefix: string) => Array.from({ length: 3_000 }, (_, i) => `${prefix}${i}`).join("\n");
    expect(diffText(lines("a"), lines("b"))).toHaveLength(1);
  });
});
