import { describe, expect, it } from "@jest/globals";
import type { AuthzEntry } from "../events/authz-log.js";
import { rememberMemberships } from "./known-memberships.js";
import type { Membership } from "./live-access.js";

const OWNER: Membership = { role: "owner", name: "Ada" };
const VIEWER: Membership = { role: "viewer", name: "Ada" };

/** A remembered look-up whose answers the test gives one by one. */
function remembered() {
  const asked: { answer: (membership: Membership | undefined) => void; fail: (error: Error) => void }[] = [];
  let change: (entries: readonly AuthzEntry[]) => void | Promise<void> = () => undefined;
  const lookUp = rememberMemberships(() => new Promise((answer, fail) => asked.push({ answer, fail })), {
    onChange: (listener) => {
      change = listener;
    },
  });
  const entry = (kind: AuthzEntry["kind"]): AuthzEntry => ({
    seq: 1,
    kind,
    subject: "ada",
    projectId: "p",
    reason: "test",
    createdAt: 0,
  });
  return { lookUp, asked, changed: (kind: AuthzEntry["kind"]) => change([entry(kind)]) };
}

describe("memberships of sockets that are being opened", () => {
  it("[RT96] one look-up serves those that come together and soon after", async () => {
    const { lookUp, asked } = remembered();
    const both = Promise.all([lookUp("p", "ada"), lookUp("p", "ada")]);
    asked[0]?.answer(OWNER);
    expect(await both).toEqual([OWNER, OWNER]);
    expect(await lookUp("p", "ada")).toEqual(OWNER);
    void lookUp("p", "bob");
    void lookUp("q", "ada");
    expect(asked).toHaveLength(3);
  });

  it.each(["membership", "user", "project"] as const)(
    "[RT96] a change of a %s forgets what was known",
    async (kind) => {
      const { lookUp, asked, changed } = remembered();
      const first = lookUp("p", "ada");
      asked[0]?.answer(OWNER);
      await first;
      await changed(kind);
      const second = lookUp("p", "ada");
      asked[1]?.answer(VIEWER);
      expect(await second).toEqual(VIEWER);
    },
  );

  it("[RT96] an answer that was under way when access changed is not kept", async () => {
    const { lookUp, asked, changed } = remembered();
    const early = lookUp("p", "ada");
    await changed("membership");
    const late = lookUp("p", "ada");
    asked[0]?.answer(OWNER);
    asked[1]?.answer(VIEWER);
    await early;
    expect(await late).toEqual(VIEWER);
    expect(await lookUp("p", "ada")).toEqual(VIEWER);
    expect(asked).toHaveLength(2);
  });

  it("[RT96] neither a refusal nor a failure is remembered", async () => {
    const { lookUp, asked } = remembered();
    const nobody = lookUp("p", "ada");
    asked[0]?.answer(undefined);
    expect(await nobody).toBeUndefined();
    const failed = lookUp("p", "ada");
    asked[1]?.fail(new Error("away"));
    await expect(failed).rejects.toThrow("away");
    const member = lookUp("p", "ada");
    asked[2]?.answer(OWNER);
    expect(await member).toEqual(OWNER);
  });
});
