import { describe, expect, it } from "@jest/globals";
import { v7 } from "uuid";
import type { AuthzEntry } from "../events/authz-log.js";
import { createRevocations } from "./revocations.js";

const KEEP_MS = 960_000;

function setUp() {
  let now = 0;
  const revocations = createRevocations({ keepMs: KEEP_MS, elapsed: () => now });
  return { revocations, pass: (ms: number) => (now += ms) };
}

function entry(kind: AuthzEntry["kind"], subject: string, createdAt = 1_000): AuthzEntry {
  return { seq: 1, kind, subject, projectId: null, reason: "test", createdAt };
}

const claims = { userId: v7(), sessionId: v7(), generation: 1, issuedAt: 1_000, expiresAt: 901_000 };

describe("revocations", () => {
  it("[AUTH33] covers tokens of an ended session and of no other", () => {
    const { revocations } = setUp();
    revocations.apply([entry("session", claims.sessionId)]);
    expect(revocations.covers(claims)).toBe(true);
    expect(revocations.covers({ ...claims, sessionId: v7() })).toBe(false);
  });

  it("[AUTH34] covers tokens an account had when it was disabled, not those it got later", () => {
    const { revocations } = setUp();
    revocations.apply([entry("user", claims.userId, 5_000)]);
    expect(revocations.covers(claims)).toBe(true);
    expect(revocations.covers({ ...claims, issuedAt: 6_000 })).toBe(false);
    expect(revocations.covers({ ...claims, userId: v7() })).toBe(false);
  });

  it("[AUTH33] a change of membership ends no session", () => {
    const { revocations } = setUp();
    revocations.apply([entry("membership", claims.userId), entry("project", claims.sessionId)]);
    expect(revocations.covers(claims)).toBe(false);
  });

  it("[AUTH33] remembers for as long as a token can live, and no longer", () => {
    const { revocations, pass } = setUp();
    revocations.apply([entry("session", claims.sessionId)]);
    pass(KEEP_MS - 1);
    revocations.apply([entry("session", v7())]);
    expect(revocations.covers(claims)).toBe(true);
    pass(1);
    revocations.apply([]);
    expect(revocations.covers(claims)).toBe(false);
  });
});
