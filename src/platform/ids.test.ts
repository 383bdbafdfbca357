import { expect, it } from "@jest/globals";
import { validate, version } from "uuid";
import { createIds } from "./ids.js";

it("[RT95] ids are UUIDs v7 of now, and no two are alike over many pools", () => {
  const newId = createIds();
  const before = Date.now();
  const ids = Array.from({ length: 5_000 }, newId);
  const after = Date.now();
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) {
    expect(validate(id) && version(id)).toBe(7);
    const madeAt = Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);
    expect(madeAt).toBeGreaterThanOrEqual(before);
    expect(madeAt).toBeLessThanOrEqual(after);
  }
});
