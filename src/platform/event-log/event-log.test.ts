import { describe, expect, it } from "@jest/globals";
import { decodeEntry, encodeEntry } from "./event-log.js";

describe("the wire form of an entry", () => {
  it.each([
    "",
    "epoch",
    "e 1",
    "e 1 1",
    "e x 1 a",
    "e -1 1 a",
    "e 1 5 abc",
    " 1 1 a",
    "e  1 a",
    "e 1  a",
    "e 1 1.5 abc",
  ])("[EL17] %j is not an entry", (text) => {
    expect(decodeEntry(Buffer.from(text))).toBeUndefined();
  });

  it("[EL17] decoding gives back what was encoded", () => {
    const entry = { epoch: "e", seq: 12, id: "漢 🎁 id", data: ' {"a":"\0"}\n' };
    expect(decodeEntry(Buffer.from(encodeEntry(entry)))).toEqual(entry);
  });
});
