import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { AppError } from "../errors.js";
import { MAX_JSON_DEPTH, parseJson, parseJsonText } from "./json-body.js";

function refusalOf(input: string | Uint8Array): { code: string; pointers: string[] } {
  try {
    if (typeof input === "string") parseJsonText(input);
    else parseJson(input);
  } catch (error) {
    if (error instanceof AppError)
      return { code: error.code, pointers: (error.errors ?? []).map(({ pointer }) => pointer) };
    throw error;
  }
  throw new Error("it was not refused");
}

const nested = (depth: number, open = "[", close = "]") => open.repeat(depth) + close.repeat(depth);

describe("parseJson", () => {
  it("[HTTP1] reads what JSON.parse reads, whatever its texts hold", () => {
    const text = fc.string({ unit: "grapheme" }).map((value) => value.replaceAll("\u0000", ""));
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 6 },
        text,
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie("tree")),
        fc.dictionary(
          text.filter((name) => name !== "__proto__"),
          tie("tree"),
        ),
      ),
    }));
    fc.assert(
      fc.property(tree, fc.boolean(), (value, pretty) => {
        const json = JSON.stringify(value, null, pretty ? 2 : 0);
        expect(parseJson(Buffer.from(json))).toEqual(JSON.parse(json));
      }),
    );
  });

  it.each([
    ["nothing", ""],
    ["white space", " \n"],
    ["an open object", '{"a":1'],
    ["a comment", "{} // no"],
    ["single quotes", "{'a':1}"],
    ["a trailing comma", "[1,]"],
    ["a bare word", "undefined"],
    ["NaN", "NaN"],
    ["a leading zero", "01"],
    ["a raw line break in a string", '"a\nb"'],
    ["two values", "{}{}"],
    ["more closed than opened", "]]]]{"],
  ])("[HTTP2] %s is invalid_json about the whole document", (_what, text) => {
    expect(refusalOf(text)).toEqual({ code: "invalid_json", pointers: [""] });
  });

  it("[HTTP2] bytes that are no UTF-8 are invalid_json, a byte order mark is passed over", () => {
    expect(refusalOf(Uint8Array.of(0x22, 0xff, 0x22))).toEqual({ code: "invalid_json", pointers: [""] });
    expect(refusalOf(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)).code).toBe("invalid_json");
    expect(refusalOf(Buffer.from('{"a":1}', "utf16le")).code).toBe("invalid_json");
    expect(parseJson(Buffer.from("\ufeff{}"))).toEqual({});
  });

  it("[HTTP3] nesting beyond the limit is too_deep, before it is parsed, even when the rest is no JSON", () => {
    const inside = '{"a":'.repeat(MAX_JSON_DEPTH) + "1" + "}".repeat(MAX_JSON_DEPTH);
    expect(parseJsonText(nested(MAX_JSON_DEPTH))).toBeDefined();
    expect(parseJsonText(inside)).toBeDefined();
    for (const text of [
      nested(MAX_JSON_DEPTH + 1),
      `[${inside}]`,
      nested(5_000),
      nested(50_000),
      "[".repeat(5_000),
      '{"a":'.repeat(5_000),
      `"\\"" ${"[".repeat(33)}`,
    ])
      expect(refusalOf(text)).toEqual({ code: "too_deep", pointers: [""] });
    expect(parseJsonText(JSON.stringify({ text: "[".repeat(5_000), "{{{{": '\\"[[' }))).toBeDefined();
    expect(parseJsonText(`[${"[],".repeat(5_000)}[]]`)).toHaveLength(5_001);
  });

  it("[HTTP4] a repeated member name is refused, at any depth and however it is written", () => {
    for (const text of ['{"a":1,"a":2}', '{"b":[{"a":1,"c":{"a":1},"a":2}]}', '{"a" : 1 , "a" : 2}'])
      expect(refusalOf(text)).toEqual({ code: "invalid_json", pointers: [""] });
    expect(refusalOf('{"role":1,"r\\u006fle":2}').code).toBe("invalid_json");
    expect(parseJsonText('{"a":{"a":1},"b":[{"a":1},{"a":2}],"c":"a\\":"}')).toBeDefined();
  });

  it("[HTTP5] NUL, lone surrogates, __proto__ and numbers beyond a double are refused with pointers", () => {
    expect(refusalOf('{"a":{"b~/c":["x","\\u0000"]}}').pointers).toEqual(["/a/b~0~1c/1"]);
    expect(refusalOf('{"a":"\\ud800"}').pointers).toEqual(["/a"]);
    expect(refusalOf('{"a":"\\udc00\\ud800"}').pointers).toEqual(["/a"]);
    expect(refusalOf('{"\\ud800":1}').pointers).toEqual(["/\ufffd"]);
    expect(refusalOf('{"a":{"__proto__":{"x":1}}}').pointers).toEqual(["/a/__proto__"]);
    expect(refusalOf('{"\\u005f_proto__":1}').pointers).toEqual(["/__proto__"]);
    expect(refusalOf('{"a":1e999,"b":[-1e999]}').pointers).toEqual(["/a", "/b/0"]);
    expect(refusalOf(`[${'"\\u0000",'.repeat(500)}1]`).pointers).toHaveLength(20);
    expect(refusalOf(`{"${"n".repeat(5_000)}":"\\u0000"}`).pointers[0]?.length).toBeLessThan(200);
    expect(parseJsonText('"\\ud83e\\udd80"')).toBe("🦀");
  });
});
