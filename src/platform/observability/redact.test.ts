import { describe, expect, it } from "@jest/globals";
import { redact, redactText } from "./redact.js";

const JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl";

describe("what may be logged", () => {
  it.each([
    "password",
    "newPassword",
    "passwd",
    "pwd",
    "token",
    "refreshToken",
    "access_token",
    "Authorization",
    "proxy-authorization",
    "Cookie",
    "Set-Cookie",
    "secret",
    "clientSecret",
    "JWT_SECRET",
    "X-Api-Key",
    "privateKey",
    "ticket",
    "credentials",
    "otp",
  ])("[LG1] has nothing under the name %s, at any depth", (name) => {
    const line = redact({
      [name]: "canary",
      list: [{ [name]: { nested: "canary" } }],
      map: new Map([[name, ["canary"]]]),
    });
    expect(JSON.stringify(line)).not.toContain("canary");
    expect(JSON.stringify(line)).toContain("[redacted]");
  });

  it("[LG1] keeps counts and flags about secrets, and names that only resemble them", () => {
    const value = {
      tokens: 3,
      hasCookie: true,
      passed: true,
      author: "ada",
      key: "projects/1",
      assigned: "x",
    };
    expect(redact(value)).toEqual(value);
    expect(redact({ password: 12345678, pin: 1234 })).toEqual({ password: "[redacted]", pin: "[redacted]" });
  });

  it.each([
    [`signed in with ${JWT}.`, "signed in with [redacted]"],
    ["rt1.0192.7.Zm9v-_x", "rt1.[redacted]"],
    ["a rst1.abc, b inv1.def; c vfy1.ghi", "a rst1.[redacted], b inv1.[redacted]; c vfy1.[redacted]"],
    ["GET /ws?token=canary&v=1", "GET /ws?token=[redacted]&v=1"],
    ["GET /ws?v=1&access_token=canary#x", "GET /ws?v=1&access_token=[redacted]#x"],
    ["/callback?code=canary&state=canary", "/callback?code=[redacted]&state=[redacted]"],
    ["postgres://ada:canary@db:5432/app", "postgres://ada:[redacted]@db:5432/app"],
    [
      "redis://:canary@cache and amqp://u:p@ss-canary@mq",
      "redis://:[redacted]@cache and amqp://u:[redacted]@mq",
    ],
    ["Authorization: Bearer canary.canary", "Authorization: Bearer [redacted]"],
    ["Authorization: Basic Y2FuYXJ5OmNhbmFyeQ==", "Authorization: Basic [redacted]"],
    ["cookie was session=canary; theme=dark", "cookie was session=[redacted]; theme=dark"],
    ["password=canary", "password=[redacted]"],
    ['body {"password":"can\\"ary","name":"ada"}', 'body {"password":"[redacted]","name":"ada"}'],
    ["$2b$10$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234", "[redacted]"],
    ["-----BEGIN RSA PRIVATE KEY-----\ncanary\n-----END RSA PRIVATE KEY-----", "[redacted]"],
  ])("[LG2] %j becomes %j, in messages, fields, errors and names", (text, safe) => {
    expect(redactText(text)).toBe(safe);
    expect(redact({ list: [text] })).toEqual({ list: [safe] });
    expect(Object.keys(redact({ [text]: 1 }) as object)).toEqual([safe]);
    expect(redact(new Error(text))).toMatchObject({ message: safe });
    expect(JSON.stringify(redact(new Error(text)))).not.toContain(text);
  });

  it("[LG2] leaves what is no secret", () => {
    for (const text of [
      "GET /projects?limit=5&cursor=abc",
      "https://example.com:8080/a@b",
      "Tokens are counted. The key=value form stays; a=b",
      "db1.internal.example.com is back, eyes open",
    ]) {
      expect(redactText(text)).toBe(text);
    }
  });

  it("[LG3] cuts long texts, long lists and deep or wide values", () => {
    const megabyte = "x".repeat(1024 * 1024);
    expect(redactText(megabyte).length).toBeLessThan(9_000);
    expect(redactText(megabyte)).toContain("(1048576 characters)");
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`m${i}`, megabyte]));
    expect(JSON.stringify(redact(many)).length).toBeLessThan(100_000);
    let wide: unknown = 1;
    for (let i = 0; i < 7; i += 1) wide = Array.from({ length: 100 }, () => wide);
    expect(JSON.stringify(redact(wide)).length).toBeLessThan(100_000);
    let deep: unknown = "bottom";
    for (let i = 0; i < 10_000; i += 1) deep = { deep };
    expect(JSON.stringify(redact(deep))).toContain("[deep]");
  });

  it("[LG4] tells errors with their cause, code and stack", () => {
    const cause = Object.assign(new TypeError("inner"), { code: "E_INNER" });
    const told = redact({ error: new AggregateError([new Error("one")], "outer", { cause }) });
    expect(told).toMatchObject({
      error: {
        name: "AggregateError",
        message: "outer",
        cause: { name: "TypeError", message: "inner", code: "E_INNER" },
        errors: [{ message: "one" }],
        stack: expect.stringContaining("redact.test.ts"),
      },
    });
  });

  it("[LG5] survives cycles, hostile getters and every kind of value", () => {
    const cycle: Record<string, unknown> = { name: "a" };
    cycle["self"] = cycle;
    const error = new Error("loop");
    error.cause = error;
    const hostile = {
      get member(): string {
        throw new Error("no");
      },
    };
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    expect(
      redact({
        cycle,
        error,
        hostile,
        revoked: revoked.proxy,
        date: new Date(0),
        noDate: new Date(Number.NaN),
        bytes: Buffer.from("secret"),
        big: 10n,
        symbol: Symbol("s"),
        fn: () => 1,
        nan: Number.NaN,
        set: new Set([1]),
        url: new URL("https://u:canary@example.com/"),
        nothing: null,
      }),
    ).toEqual({
      cycle: { name: "a", self: "[circular]" },
      error: expect.objectContaining({ message: "loop", cause: "[circular]" }),
      hostile: "[unreadable]",
      revoked: "[unreadable]",
      date: "1970-01-01T00:00:00.000Z",
      noDate: "invalid date",
      bytes: "[6 bytes]",
      big: "10",
      symbol: "Symbol(s)",
      fn: "[function]",
      nan: "NaN",
      set: [1],
      url: "https://u:[redacted]@example.com/",
      nothing: null,
    });
    const parsed = redact(JSON.parse('{"__proto__":{"polluted":true}}')) as { polluted?: boolean };
    expect(parsed.polluted).toBeUndefined();
  });
});
