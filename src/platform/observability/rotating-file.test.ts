import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { createRotatingFile } from "./rotating-file.js";

describe("a log file", () => {
  let folder: string;
  let told: string[];

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "atelier-log-"));
    told = [];
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  function open(file: string, retryMs = 0) {
    return createRotatingFile({
      file,
      maxBytes: 1_000_000,
      maxFiles: 2,
      retryMs,
      onTrouble: (text) => told.push(text),
    });
  }

  it("[LG14] keeps the order of lines that are written at once", async () => {
    const file = open(path.join(folder, "a.log"));
    const expected = Array.from({ length: 500 }, (_, i) => `${i}\n`);
    for (const line of expected) file.write(line);
    await file.close();
    expect(await readFile(path.join(folder, "a.log"), "utf8")).toBe(expected.join(""));
  });

  it("[LG10] writes again when its folder can be written again, and says how many lines are missing", async () => {
    const blocked = path.join(folder, "logs");
    await writeFile(blocked, "");
    const file = open(path.join(blocked, "a.log"));
    file.write("1\n");
    await file.flush();
    file.write("2\n");
    await file.flush();
    await rm(blocked);
    file.write("3\n");
    await file.flush();
    file.write("4\n");
    await file.close();
    expect(await readFile(path.join(blocked, "a.log"), "utf8")).toBe("3\n4\n");
    expect(told).toEqual([
      expect.stringMatching(/a\.log cannot be written: /),
      expect.stringMatching(/a\.log is written again; 2 lines are missing\.$/),
    ]);
  });

  it("[LG10] leaves a file alone for a while that could not be written", async () => {
    const blocked = path.join(folder, "logs");
    await writeFile(blocked, "");
    const file = open(path.join(blocked, "a.log"), 60_000);
    file.write("1\n");
    await file.flush();
    await rm(blocked);
    file.write("2\n");
    await file.close();
    await expect(readFile(path.join(blocked, "a.log"))).rejects.toThrow("ENOENT");
  });

  it("[LG15] drops lines rather than keep more than 4 Mi characters for a slow disk", async () => {
    const file = open(path.join(folder, "a.log"));
    const line = `${"x".repeat(1024 * 1024 - 1)}\n`;
    for (let i = 0; i < 10; i += 1) file.write(line);
    await file.flush();
    file.write("last\n");
    await file.close();
    const text = await readFile(path.join(folder, "a.log"), "utf8");
    expect(text.length).toBeLessThanOrEqual(5 * 1024 * 1024 + 5);
    expect(text.endsWith("last\n")).toBe(true);
    expect(told.join()).toMatch(/[56] lines are missing/);
  });
});
