import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { canonicalEmail } from "./emails.js";

describe("canonicalEmail", () => {
  it.each([
    ["ada@example.com", "ada@example.com"],
    ["ADA@Example.COM", "ada@example.com"],
    ["ada@example.com.", "ada@example.com"],
    ["  ada@example.com ", "ada@example.com"],
    ["ada＠example.com", "ada@example.com"],
    ["ａｄａ@ｅｘａｍｐｌｅ．ｃｏｍ", "ada@example.com"],
    ["ada@example。com", "ada@example.com"],
    ["ada@ex\u200bample.com", "ada@example.com"],
    ["ada+list@example.com", "ada+list@example.com"],
    ["o'hara@example.com", "o'hara@example.com"],
    ["ada@bücher.example", "ada@xn--bcher-kva.example"],
    ["ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"],
    ["ﬁ@example.com", "fi@example.com"],
  ])("[AUTH1] %j is %j", (input, expected) => {
    expect(canonicalEmail(input)).toBe(expected);
  });

  it("[AUTH1] a homoglyph of a domain is another domain", () => {
    // Cyrillic а
    expect(canonicalEmail("ada@ex\u0430mple.com")).toMatch(/^ada@xn--/);
  });

  it.each([
    "",
    "ada",
    "@example.com",
    "ada@",
    "ada@localhost",
    "ada@example",
    "ada@127.0.0.1",
    "ada@0x7f.1",
    "ada@[127.0.0.1]",
    "ada@example.com,eve@evil.example",
    "ada@example.com;eve@evil.example",
    "ada@example.com eve@evil.example",
    '"eve@evil.example y"@example.com',
    "ada@example.com(c)evil.example",
    "ada(c)@example.com",
    "Ada <ada@example.com>",
    "<ada@example.com>",
    "group: ada@example.com, eve@evil.example;",
    "ada@example.com\r\nBcc: eve@evil.example",
    "ada@example.com\n",
    "\tada@example.com",
    "ada@example.com\u0000",
    "ada\u200b@example.com",
    "ada\u202e@example.com",
    "\u0430da@example.com",
    "ada@ada@example.com",
    "ada＠ada@example.com",
    "ada@exa_mple.com",
    "ada@-example.com",
    "ada@example..com",
    "ada@ex%61mple.com",
    "ada@example.com/path",
    "ada@example.com:25",
    "ada@xn--a.com",
    ".ada@example.com",
    "ada.@example.com",
    "a..da@example.com",
    "eve%evil.example@example.com",
    "evil.example!eve@example.com",
    "ada|id@example.com",
    "ada：x@example.com",
    `${"a".repeat(65)}@example.com`,
    `ada@${"a".repeat(64)}.com`,
    `ada@${"abcdefgh.".repeat(30)}com`,
    "a".repeat(100_000),
  ])("[AUTH2] %j is refused", (input) => {
    expect(canonicalEmail(input)).toBeUndefined();
  });

  it("[AUTH1] the canonical form is its own canonical form, in visible ASCII with one @", () => {
    const odd = fc.string({ unit: "binary", maxLength: 12 });
    const text = fc.oneof(
      fc.emailAddress(),
      fc.tuple(odd, odd).map(([local, domain]) => `${local}@${domain}.example.com`),
    );
    fc.assert(
      fc.property(text, (input) => {
        const once = canonicalEmail(input);
        if (once === undefined) return;
        expect(canonicalEmail(once)).toBe(once);
        expect(once).toMatch(/^[\x21-\x3f\x41-\x7e]+@[a-z0-9.-]+$/);
      }),
      { numRuns: 2_000 },
    );
  });
});
