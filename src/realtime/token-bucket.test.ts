import { describe, expect, it } from "@jest/globals";
import { TokenBucket } from "./token-bucket.js";

describe("TokenBucket", () => {
  it("[RT30] lets a burst through, then its rate, and never saves up more than the burst", () => {
    const bucket = new TokenBucket(10, 20, 0);
    const taken = (now: number, tries: number) =>
      Array.from({ length: tries }, () => bucket.take(1, now)).filter(Boolean).length;
    expect(taken(0, 30)).toBe(20);
    expect(taken(1_000, 30)).toBe(10);
    expect(taken(100_000, 30)).toBe(20);
  });

  it("[RT30] takes nothing when there is too little, and a rate of 0 never runs out", () => {
    const bucket = new TokenBucket(1, 5, 0);
    expect(bucket.take(6, 0)).toBe(false);
    expect(bucket.take(5, 0)).toBe(true);
    expect(new TokenBucket(0, 0, 0).take(1e9, 0)).toBe(true);
  });
});
