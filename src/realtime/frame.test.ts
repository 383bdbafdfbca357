import { describe, expect, it } from "@jest/globals";
import { decodeTextFrames } from "../../test/kit/fake-transport.js";
import { textFrame } from "./frame.js";

describe("textFrame", () => {
  it.each([0, 1, 125, 126, 127, 65_535, 65_536, 200_000])(
    "[RT1] frames %i bytes as RFC 6455 has it",
    (length) => {
      const text = JSON.stringify({ t: "ü".repeat(Math.floor(length / 2)) });
      const [message] = decodeTextFrames(textFrame(text));
      expect(message).toEqual(JSON.parse(text));
    },
  );
});
