import { randomBytes } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { v7 } from "uuid";
import { createRefreshTokens, GRACE_MS, judgeRotation, type RotationState } from "./refresh-tokens.js";

const key = randomBytes(32);
const tokens = createRefreshTokens([key]);
const session = { id: v7(), salt: randomBytes(16) };

describe("refresh tokens", () => {
  it("[AUTH16] the successor of a token is always the same string", () => {
    expect(tokens.issue(session, 7)).toBe(createRefreshTokens([key]).issue(session, 7));
    expect(tokens.issue(session, 7)).toMatch(/^rt1\.[0-9a-f-]{36}\.7\.[\w-]{43}$/);
  });

  it("[AUTH20] only what was made with the key, for this session, counter and salt is genuine", () => {
    const presented = tokens.parse(tokens.issue(session, 7));
    expect(presented).toMatchObject({ sessionId: session.id, n: 7 });
    expect(tokens.isGenuine(presented!, session.salt)).toBe(true);
    expect(tokens.isGenuine({ ...presented!, n: 8 }, session.salt)).toBe(false);
    expect(tokens.isGenuine({ ...presented!, sessionId: v7() }, session.salt)).toBe(false);
    expect(tokens.isGenuine(presented!, randomBytes(16))).toBe(false);
    expect(tokens.isGenuine(presented!, undefined)).toBe(false);
    expect(createRefreshTokens([randomBytes(32)]).isGenuine(presented!, session.salt)).toBe(false);
  });

  it("[AUTH20] no character of a token can be another one", () => {
    const token = tokens.issue(session, 12);
    for (let i = 0; i < token.length; i++) {
      for (const other of ["A", "b", "0", "1", "_", "-", "."]) {
        if (token[i] === other) continue;
        const presented = tokens.parse(token.slice(0, i) + other + token.slice(i + 1));
        expect(presented !== undefined && tokens.isGenuine(presented, session.salt)).toBe(false);
      }
    }
  });

  it.each([
    "",
    "rt1",
    "rt1...",
    `rt1.${session.id}.0.${"a".repeat(43)}`,
    `rt1.${session.id}.01.${"a".repeat(43)}`,
  ])("[AUTH20] %j has not the form of a refresh token", (text) => {
    expect(tokens.parse(text)).toBeUndefined();
  });

  it("[AUTH25] tokens of a former key are genuine, new ones are made with the first key", () => {
    const next = randomBytes(32);
    const both = createRefreshTokens([next, key]);
    expect(both.isGenuine(tokens.parse(tokens.issue(session, 3))!, session.salt)).toBe(true);
    expect(both.issue(session, 4)).toBe(createRefreshTokens([next]).issue(session, 4));
  });
});

describe("judgeRotation", () => {
  const alive: RotationState = {
    active: true,
    expired: false,
    counter: 5,
    confirmed: false,
    msSinceRotation: 0,
  };

  it.each([
    ["[AUTH19] an ended session stays ended, whatever is shown", { active: false }, 4, "revoked"],
    ["[AUTH19] an ended session stays ended for its current token", { active: false }, 5, "revoked"],
    ["[AUTH22] an expired session is over", { expired: true }, 4, "expired"],
    ["[AUTH19] ended comes before expired", { active: false, expired: true }, 4, "revoked"],
    ["[AUTH17] the parent of an unused token is excused for ever", { msSinceRotation: 1e9 }, 4, "successor"],
    [
      "[AUTH16] the parent of a used token is excused for a moment",
      { confirmed: true, msSinceRotation: GRACE_MS },
      4,
      "successor",
    ],
    [
      "[AUTH19] the parent of a used token is a copy later",
      { confirmed: true, msSinceRotation: GRACE_MS + 1 },
      4,
      "reused",
    ],
    ["[AUTH18] a grandparent is never excused", {}, 3, "reused"],
    ["[AUTH23] a token ahead of the counter", {}, 6, "ahead"],
  ] as const)("%s", (_name, change, n, verdict) => {
    expect(judgeRotation({ ...alive, ...change }, n)).toBe(verdict);
  });

  it("[AUTH19] what was a reuse once is never excused again, however the session goes on", () => {
    const state = fc.record({
      active: fc.boolean(),
      expired: fc.boolean(),
      counter: fc.integer({ min: 1, max: 6 }),
      confirmed: fc.boolean(),
      msSinceRotation: fc.nat({ max: 20_000 }),
    });
    // A rotation, a confirmation, time, an end: the only things that happen to a session.
    const steps: readonly ((s: RotationState) => RotationState)[] = [
      (s) => ({ ...s, counter: s.counter + 1, confirmed: false, msSinceRotation: 0 }),
      (s) => ({ ...s, confirmed: true }),
      (s) => ({ ...s, msSinceRotation: s.msSinceRotation + 7_000 }),
      (s) => ({ ...s, expired: true }),
      (s) => ({ ...s, active: false }),
    ];
    fc.assert(
      fc.property(
        state,
        fc.integer({ min: 1, max: 6 }),
        fc.array(fc.integer({ min: 0, max: steps.length - 1 }), { maxLength: 8 }),
        (start, n, path) => {
          fc.pre(judgeRotation(start, n) === "reused");
          let now: RotationState = start;
          for (const step of path) {
            now = steps[step]!(now);
            expect(["reused", "revoked", "expired"]).toContain(judgeRotation(now, n));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
