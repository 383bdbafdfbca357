import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { z } from "zod";
import { createCursors, pageQuery } from "./pagination.js";

const cursors = createCursors(Buffer.alloc(32, 1));
const position = z.strictObject({ id: z.string(), at: z.number() });
const last = { id: "a", at: 7 };

describe("cursors", () => {
  it("[HTTP6] gives back the position under the same scope and key", () => {
    fc.assert(
      fc.property(fc.string(), fc.record({ id: fc.string(), at: fc.integer() }), (scope, value) => {
        const cursor = cursors.encode(scope, value);
        expect(cursor).toMatch(/^[\w-]+\.[\w-]{16}$/);
        expect(cursors.decode(scope, cursor, position)).toEqual(value);
      }),
    );
  });

  it("[HTTP7] a cursor that was forged, changed, made for another scope, key or list is invalid_cursor with a pointer", () => {
    const cursor = cursors.encode("route user filter", last);
    const [payload = "", mac = ""] = cursor.split(".");
    const forged = Buffer.from(JSON.stringify({ id: "z", at: 0 })).toString("base64url");
    const bad = [
      "",
      ".",
      "..",
      payload,
      `${payload}.`,
      `.${mac}`,
      `${forged}.${mac}`,
      `${payload}.${mac.slice(0, -2)}`,
      `${payload}.${mac}.`,
      `${payload}.${mac.replace(/^./, (c) => (c === "A" ? "B" : "A"))}`,
      createCursors(Buffer.alloc(32, 2)).encode("route user filter", last),
      cursors.encode("route user other", last),
      cursors.encode("route user filter", { id: 1 }),
      "{}",
      "\u0000",
    ];
    for (const each of bad) {
      expect(() => cursors.decode("route user filter", each, position)).toThrow(
        expect.objectContaining({
          code: "invalid_cursor",
          errors: [expect.objectContaining({ pointer: "?cursor" })],
        }),
      );
    }
  });
});

describe("pageQuery", () => {
  it("[HTTP8] takes a limit of 1 to 100 in digits and nothing else", () => {
    for (const limit of ["1", "50", "100", "007"])
      expect(pageQuery.parse({ limit }).limit).toBe(Number(limit));
    expect(pageQuery.parse({})).toEqual({});
    for (const limit of [
      "0",
      "101",
      "-1",
      "1e2",
      "1.5",
      " 1",
      "",
      "1;",
      "1000",
      "NaN",
      ["1", "2"],
      { $gt: 0 },
    ])
      expect([limit, pageQuery.safeParse({ limit }).success]).toEqual([limit, false]);
    expect(pageQuery.safeParse({ cursor: "" }).success).toBe(false);
    expect(pageQuery.safeParse({ cursor: "a".repeat(1_001) }).success).toBe(false);
  });
});
