import { describe, expect, it } from "@jest/globals";
import { AppError } from "../errors.js";
import { createHashQueue } from "./hash-queue.js";
import { createPasswords, passwordFault } from "./passwords.js";

const passwords = createPasswords({ rounds: 4 });

describe("passwordFault", () => {
  it.each(["1234567", "a".repeat(7), "😀😀😀😀", "é".normalize("NFD").repeat(7)])(
    "[AUTH3] %j is too short",
    (password) => {
      expect(passwordFault(password)).toMatch(/at least 8/);
    },
  );

  it.each([
    "password",
    "PassWord",
    "12345678",
    "qwertyuiop",
    "iloveyou",
    "password1",
    "trustno1",
    "ｐassword".normalize("NFKC"),
  ])("[AUTH3] %j is too common", (password) => {
    expect(passwordFault(password)).toMatch(/common/);
  });

  it.each([
    "SecurePassword123!",
    "        ".padEnd(9, "x"),
    "пароль-и-ещё",
    "😀".repeat(8),
    "a".repeat(64),
    "x".repeat(1_024),
  ])("[AUTH3] %j may be chosen", (password) => {
    expect(passwordFault(password)).toBeUndefined();
  });
});

describe("hash and verify", () => {
  it("[AUTH3] a password matches itself and nothing else", async () => {
    const hash = await passwords.hash("Pass word ");
    expect(await passwords.verify("Pass word ", hash)).toBe(true);
    for (const other of ["Pass word", "pass word ", " Pass word ", "Pass word  ", ""])
      expect(await passwords.verify(other, hash)).toBe(false);
  });

  it.each([
    ["a".repeat(72), "one-byte"],
    ["é".repeat(36), "two-byte"],
    ["😀".repeat(18), "four-byte"],
  ])("[AUTH3] what follows %j (72 bytes, %s characters) counts", async (start) => {
    const hash = await passwords.hash(`${start}REAL`);
    expect(await passwords.verify(`${start}REAL`, hash)).toBe(true);
    expect(await passwords.verify(`${start}OTHER`, hash)).toBe(false);
    expect(await passwords.verify(start, hash)).toBe(false);
  });

  it("[AUTH3] what follows a NUL counts", async () => {
    const hash = await passwords.hash("a\0b-and-more");
    expect(await passwords.verify("a\0c-and-more", hash)).toBe(false);
  });

  it("[AUTH3] both ways to compose a letter are one password", async () => {
    const hash = await passwords.hash("cafe\u0301 au lait");
    expect(await passwords.verify("caf\u00e9 au lait", hash)).toBe(true);
  });

  it("[AUTH6] without an account nothing matches", async () => {
    expect(await passwords.verify("anything at all", undefined)).toBe(false);
  });

  it("[AUTH3] the stored form is bcrypt with the configured rounds", async () => {
    const hash = await passwords.hash("correct horse battery");
    expect(hash).toMatch(/^\$2b\$04\$/);
    expect(passwords.isOutdated(hash)).toBe(false);
    expect(createPasswords({ rounds: 5 }).isOutdated(hash)).toBe(true);
  });
});

describe("createHashQueue", () => {
  it("[AUTH9] runs as many as there are slots, keeps a short queue and refuses the rest at once", async () => {
    const queue = createHashQueue({ slots: 2, waiting: 3 });
    let running = 0;
    let most = 0;
    const releases: (() => void)[] = [];
    const work = async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise<void>((resolve) => releases.push(resolve));
      running -= 1;
    };
    const settled = Promise.allSettled(Array.from({ length: 9 }, () => queue.run(work)));
    for (let done = 0; done < 5; ) {
      await new Promise((resolve) => setImmediate(resolve));
      const release = releases.shift();
      if (!release) continue;
      release();
      done += 1;
    }
    const results = await settled;
    expect(most).toBe(2);
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(5);
    const refused = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
    expect(refused).toHaveLength(4);
    for (const error of refused) {
      expect(error).toBeInstanceOf(AppError);
      expect(error).toMatchObject({ code: "overloaded", headers: { "Retry-After": "2" } });
    }
  });

  it("[AUTH9] gives the slot back when the work fails", async () => {
    const queue = createHashQueue({ slots: 1, waiting: 0 });
    for (let i = 0; i < 3; i++)
      await expect(queue.run(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await queue.run(async () => "yes")).toBe("yes");
  });
});
