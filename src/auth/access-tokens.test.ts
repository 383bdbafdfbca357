import { createHmac, generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import { decodeJwt, decodeProtectedHeader, type JWTHeaderParameters, type JWTPayload, SignJWT } from "jose";
import { v4, v7 } from "uuid";
import { createAccessTokens } from "./access-tokens.js";

const SECRET = "a-secret-of-at-least-thirty-two-bytes-0001";
const OTHER_SECRET = "a-secret-of-at-least-thirty-two-bytes-0002";
const TTL_MS = 900_000;

let now = Date.parse("2026-06-01T12:00:00Z");
const clock = { now: () => now };
const tokens = createAccessTokens({ secrets: [SECRET], ttlMs: TTL_MS, clock });
const subject = { userId: v7(), sessionId: v7(), generation: 3 };

const { token: valid } = await tokens.issue(subject, TTL_MS);
const header = decodeProtectedHeader(valid) as JWTHeaderParameters;
const claims = decodeJwt(valid);

/** A token with a right signature over whatever is given. */
function forge(
  change: { header?: Record<string, unknown>; claims?: JWTPayload },
  secret = SECRET,
): Promise<string> {
  return new SignJWT({ ...claims, ...change.claims })
    .setProtectedHeader({ ...header, ...change.header })
    .sign(new TextEncoder().encode(secret));
}

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

async function verdict(token: string): Promise<string> {
  try {
    await tokens.verify(token);
    return "accepted";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe("issue", () => {
  it("[AUTH10] names algorithm, type and key, and says who, for how long, and nothing of roles", () => {
    expect(header).toEqual({ alg: "HS256", typ: "at+jwt", kid: expect.stringMatching(/^[\w-]{12}$/) });
    expect(Object.keys(claims).sort()).toEqual(
      ["aud", "exp", "gen", "iat", "iss", "jti", "nbf", "sid", "sub"].sort(),
    );
    expect(claims.exp! - claims.iat!).toBe(900);
  });

  it("[AUTH22] no access token outlives its session", async () => {
    const { token, expiresIn } = await tokens.issue(subject, 60_000);
    expect(expiresIn).toBe(60);
    expect(decodeJwt(token).exp! - now / 1000).toBe(60);
  });
});

describe("verify", () => {
  it("[AUTH10] gives back what was said", async () => {
    expect(await tokens.verify(valid)).toEqual({ ...subject, issuedAt: now, expiresAt: now + TTL_MS });
  });

  it("[AUTH10] says so when a token is too old", async () => {
    now += TTL_MS + 11_000;
    const late = await verdict(valid);
    now -= TTL_MS + 11_000;
    expect(late).toBe("token_expired");
  });

  it("[AUTH10] a token that was read before is looked at anew in time", async () => {
    const { token } = await tokens.issue(subject, TTL_MS);
    const [prefix, signature] = [token.slice(0, -43), token.slice(-43)];
    const changed = `${prefix}${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`;
    const verdicts = [await verdict(token), await verdict(token), await verdict(changed)];
    now += TTL_MS + 11_000;
    verdicts.push(await verdict(token), await verdict(token));
    now -= 2 * TTL_MS;
    verdicts.push(await verdict(token));
    now += TTL_MS - 11_000;
    verdicts.push(await verdict(token));
    expect(verdicts).toEqual([
      "accepted",
      "accepted",
      "invalid_token",
      "token_expired",
      "token_expired",
      "invalid_token",
      "accepted",
    ]);
  });

  it("[AUTH10] forgives clocks that differ by a few seconds, and no more than 30", async () => {
    now += TTL_MS + 5_000;
    const near = await verdict(valid);
    now += 26_000;
    const far = await verdict(valid);
    now -= TTL_MS + 31_000;
    expect([near, far]).toEqual(["accepted", "token_expired"]);
  });

  const seconds = now / 1000;
  it.each<[string, Record<string, unknown>]>([
    ["nbf in a minute", { nbf: seconds + 60 }],
    ["iat in an hour", { iat: seconds + 3_600 }],
    ["another issuer", { iss: "evil" }],
    ["another audience", { aud: "evil" }],
    ["several audiences", { aud: ["atelier-api", "evil"] }],
    ["no exp", { exp: undefined }],
    ["no nbf", { nbf: undefined }],
    ["no iat", { iat: undefined }],
    ["no sub", { sub: undefined }],
    ["no sid", { sid: undefined }],
    ["no jti", { jti: undefined }],
    ["no gen", { gen: undefined }],
    ["no iss", { iss: undefined }],
    ["no aud", { aud: undefined }],
    ["sub as number", { sub: 7 }],
    ["sub as array", { sub: [subject.userId] }],
    ["sub that is no id", { sub: "admin" }],
    ["sid as object", { sid: { $ne: null } }],
    ["gen as string", { gen: "3" }],
    ["gen below 1", { gen: 0 }],
    ["gen as fraction", { gen: 1.5 }],
    ["exp as string", { exp: String(seconds + 60) }],
    ["jti as number", { jti: 1 }],
  ])("[AUTH10] %s is refused", async (_name, change) => {
    expect(await verdict(await forge({ claims: change }))).toBe("invalid_token");
  });

  it("[AUTH11] further claims change nothing", async () => {
    const token = await forge({ claims: { role: "owner", admin: false, scope: "*" } });
    expect(await tokens.verify(token)).toEqual(await tokens.verify(valid));
  });

  it.each([undefined, "JWT", "jwt", "rt+jwt", 7, null])("[AUTH13] typ %j is refused", async (typ) => {
    expect(await verdict(await forge({ header: { typ } }))).toBe("invalid_token");
  });

  it.each(["none", "None", "nOnE", "", "HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256", 256, null])(
    "[AUTH10] alg %j is refused",
    async (alg) => {
      const head = part({ ...header, alg });
      const body = part(claims);
      const mac = createHmac("sha256", SECRET).update(`${head}.${body}`).digest("base64url");
      for (const signature of ["", mac, mac.slice(0, 10)])
        expect(await verdict(`${head}.${body}.${signature}`)).toBe("invalid_token");
    },
  );

  it("[AUTH10] the right claims signed with another key, or a public key as secret, are refused", async () => {
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const pem = publicKey.export({ type: "spki", format: "pem" }) as string;
    for (const secret of [OTHER_SECRET, pem, `\n${pem}`, ` ${pem}`, "", " "]) {
      const body = `${part(header)}.${part(claims)}`;
      const mac = createHmac("sha256", secret).update(body).digest("base64url");
      expect(await verdict(`${body}.${mac}`)).toBe("invalid_token");
    }
  });

  it.each([
    undefined,
    null,
    7,
    "",
    "../../dev/null",
    "' OR 1=1--",
    "http://127.0.0.1:1/key",
    "k".repeat(10_000),
    ["x"],
    "__proto__",
    "constructor",
  ])("[AUTH10] kid %j is refused", async (kid) => {
    expect(await verdict(await forge({ header: { kid } }))).toBe("invalid_token");
  });

  it.each(["jku", "x5u", "jwk", "x5c"])(
    "[AUTH10] a key brought along in %s is not looked at",
    async (name) => {
      const evil = {
        jku: "http://127.0.0.1:1/keys",
        x5u: "http://127.0.0.1:1/cert",
        jwk: { kty: "oct", k: Buffer.from(OTHER_SECRET).toString("base64url") },
        x5c: ["MII="],
      }[name];
      expect(await verdict(await forge({ header: { [name]: evil } }, OTHER_SECRET))).toBe("invalid_token");
    },
  );

  it("[AUTH10] a critical extension is refused", async () => {
    const head = part({ ...header, crit: ["exp"], exp: 1 });
    const body = part(claims);
    const mac = createHmac("sha256", SECRET).update(`${head}.${body}`).digest("base64url");
    expect(await verdict(`${head}.${body}.${mac}`)).toBe("invalid_token");
  });

  it("[AUTH10] a change of any part breaks the signature", async () => {
    const parts = valid.split(".");
    const other = part({ ...claims, sub: v4() });
    expect(await verdict([parts[0], other, parts[2]].join("."))).toBe("invalid_token");
    for (const text of ["", ".", "..", "...", parts.slice(0, 2).join("."), `${valid}.`, `${valid}=`, "é.é.é"])
      expect(await verdict(text)).toBe("invalid_token");
    expect(await verdict("a".repeat(60_000))).toBe("invalid_token");
  });
});

describe("secrets", () => {
  it("[AUTH12] a token of the former secret is good while that is kept, new ones name the new secret", async () => {
    const rotated = createAccessTokens({ secrets: [OTHER_SECRET, SECRET], ttlMs: TTL_MS, clock });
    expect(await rotated.verify(valid)).toMatchObject(subject);
    const { token } = await rotated.issue(subject, TTL_MS);
    expect(decodeProtectedHeader(token).kid).not.toBe(header.kid);
    expect(await verdict(token)).toBe("invalid_token");
    const done = createAccessTokens({ secrets: [OTHER_SECRET], ttlMs: TTL_MS, clock });
    await expect(done.verify(valid)).rejects.toMatchObject({ code: "invalid_token" });
  });
});
