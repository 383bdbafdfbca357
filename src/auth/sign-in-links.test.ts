import { describe, expect, it } from "@jest/globals";
import { AppError } from "../errors.js";
import { createSignInLinks, SIGN_IN_LINK_FORM } from "./sign-in-links.js";

const HERE = "127.0.0.1";
const enter = async (account: string) => account;
const HOUR_MS = 3_600_000;

function links(allowed = true) {
  let now = 1_000;
  const made = createSignInLinks({ clock: { now: () => now }, allowed });
  return { ...made, pass: (ms: number) => (now += ms) };
}

const refused = expect.objectContaining({ code: "link_expired" });

describe("sign-in links", () => {
  it("[AUTH90] a link gives its account once, to two requests at the same moment too", async () => {
    const { issue, redeem } = links();
    const token = issue(async () => "ada");
    expect(token).toMatch(SIGN_IN_LINK_FORM);
    const both = await Promise.allSettled([redeem(token, HERE, enter), redeem(token, HERE, enter)]);
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    await expect(redeem(token, HERE, enter)).rejects.toEqual(refused);
  });

  it("[AUTH91] it ends after an hour, works from this machine alone, and there are none in production", async () => {
    const { issue, redeem, pass } = links();
    const token = issue(async () => "ada");
    for (const ip of ["10.0.0.1", "203.0.113.7", "::ffff:10.0.0.1", "128.0.0.1", "", "127.0.0.1.example"])
      await expect(redeem(token, ip, enter)).rejects.toEqual(refused);
    expect(await redeem(token, "::ffff:127.0.0.1", enter)).toBe("ada");
    const late = issue(async () => "ada");
    pass(HOUR_MS);
    await expect(redeem(late, HERE, enter)).rejects.toEqual(refused);
    expect(() => links(false).issue(async () => "ada")).toThrow("development only");
    await expect(links(false).redeem(token, HERE, enter)).rejects.toEqual(refused);
  });

  it("[AUTH92] a link whose account could not be read, or be signed in, is not used up", async () => {
    const { issue, redeem } = links();
    let away = true;
    const token = issue(async () => {
      if (away) throw new AppError("dependency_unavailable");
      return "ada";
    });
    await expect(redeem(token, "::1", enter)).rejects.toEqual(
      expect.objectContaining({ code: "dependency_unavailable" }),
    );
    away = false;
    const cut = new AppError("dependency_unavailable");
    await expect(redeem(token, "::1", () => Promise.reject(cut))).rejects.toBe(cut);
    expect(await redeem(token, "::1", enter)).toBe("ada");
  });
});
