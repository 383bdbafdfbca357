import { existsSync } from "node:fs";
import { chmod, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough, Writable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { createNullLogger } from "./logger.js";
import { createWinstonLogger, type WinstonLogger, type WinstonOptions } from "./winston.js";

describe("the log", () => {
  let folder: string;
  let output: PassThrough;
  let errorOutput: PassThrough;
  const loggers: WinstonLogger[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "atelier-log-"));
    output = new PassThrough();
    errorOutput = new PassThrough();
  });
  afterEach(async () => {
    await Promise.all(loggers.splice(0).map((logger) => logger.close()));
    await rm(folder, { recursive: true, force: true });
  });

  function open(options: Partial<WinstonOptions> = {}): WinstonLogger {
    const logger = createWinstonLogger({
      level: "info",
      directory: folder,
      output,
      errorOutput,
      clock: { now: () => 0 },
      ...options,
    });
    loggers.push(logger);
    return logger;
  }

  const texts = (stream: PassThrough): string => (stream.read() as Buffer | null)?.toString("utf8") ?? "";
  const lines = (text: string): unknown[] =>
    text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as unknown);
  const fileText = (name: string): Promise<string> => readFile(path.join(folder, name), "utf8");

  it("[LG6] is a JSON line per call on the console and in combined.log, errors in error.log too", async () => {
    const logger = open({ fields: { node: "n1" } });
    logger.info("started", { port: 3000 });
    logger
      .child({ requestId: "r1" })
      .child({ route: "/x" })
      .error("failed", { error: new Error("no") });
    logger.debug("too quiet");
    await logger.flush();
    const expected = [
      { time: "1970-01-01T00:00:00.000Z", level: "info", message: "started", node: "n1", port: 3000 },
      expect.objectContaining({
        level: "error",
        message: "failed",
        node: "n1",
        requestId: "r1",
        route: "/x",
        error: expect.objectContaining({ message: "no", stack: expect.any(String) }),
      }),
    ];
    expect(lines(texts(output))).toEqual(expected);
    expect(lines(await fileText("combined.log"))).toEqual(expected);
    expect(lines(await fileText("error.log"))).toEqual([expected[1]]);
  });

  it("[LG7] redacts messages, fields and bound fields, and no field replaces the line's own members", async () => {
    const logger = open({ fields: { url: "redis://:canary@host" } });
    logger.child({ token: "canary" }).warn("token=canary", { level: "canary-free", time: 1, message: "m" });
    await logger.flush();
    const text = texts(output);
    expect(text).not.toMatch(/:canary@|"canary"|=canary/);
    expect(lines(text)).toEqual([
      expect.objectContaining({ level: "warn", level_: "canary-free", time_: 1, message_: "m" }),
    ]);
    expect(await fileText("combined.log")).toBe(text);
  });

  it("[LG8] keeps one line one line, and nothing in it acts on a terminal", async () => {
    const logger = open();
    const hostile = 'a\nb\r\u001b[31m\u009b2J\u0085\u2028\u202e\u0000\u007f\ud800{"level":"error"}';
    logger.info(hostile, { [hostile]: hostile });
    await logger.flush();
    const text = texts(output);
    expect(text.split("\n")).toHaveLength(2);
    expect(text.slice(0, -1)).toMatch(/^[\u0020-\u007e]+$/);
    expect(lines(text)).toEqual([expect.objectContaining({ message: hostile, [hostile]: hostile })]);
  });

  it("[LG9] puts a full file aside and keeps five of them", async () => {
    const logger = open({ maxFileBytes: 1_000 });
    for (let i = 0; i < 80; i += 1) {
      logger.info(`line ${i}`, { filler: "x".repeat(200) });
      await logger.flush();
    }
    const kept = (await readdir(folder)).filter((name) => name.startsWith("combined")).sort();
    expect(kept).toEqual([
      "combined.1.log",
      "combined.2.log",
      "combined.3.log",
      "combined.4.log",
      "combined.5.log",
      "combined.log",
    ]);
    let newest = 80;
    for (const name of ["combined.log", ...kept.slice(0, -1)]) {
      const messages = lines(await fileText(name)).map((line) => (line as { message: string }).message);
      expect(messages).toEqual(messages.map((_message, i) => `line ${newest - messages.length + i}`));
      newest -= messages.length;
    }
    expect(newest).toBeGreaterThan(0);
  });

  it("[LG9] goes on in a new file when another process put the file aside", async () => {
    const logger = open();
    logger.info("one");
    await logger.flush();
    await rename(path.join(folder, "combined.log"), path.join(folder, "elsewhere.log"));
    logger.info("two");
    await logger.flush();
    expect(lines(await fileText("elsewhere.log"))).toEqual([expect.objectContaining({ message: "one" })]);
    expect(lines(await fileText("combined.log"))).toEqual([expect.objectContaining({ message: "two" })]);
  });

  it("[LG10] says once that its folder cannot be written, and goes on on the console", async () => {
    await writeFile(path.join(folder, "file"), "");
    const logger = open({ directory: path.join(folder, "file") });
    for (let i = 0; i < 3; i += 1) {
      logger.info("still here");
      await logger.flush();
    }
    expect(lines(texts(output))).toHaveLength(3);
    expect(texts(errorOutput).match(/combined\.log cannot be written/g)).toHaveLength(1);
  });

  (existsSync("/dev/full") ? it : it.skip)("[LG10] survives a full disk", async () => {
    await symlink("/dev/full", path.join(folder, "combined.log"));
    const logger = open();
    for (let i = 0; i < 3; i += 1) {
      logger.error("still here");
      await logger.flush();
    }
    expect(lines(texts(output))).toHaveLength(3);
    expect(lines(await fileText("error.log"))).toHaveLength(3);
    expect(texts(errorOutput)).toMatch(/^[^\n]*combined\.log cannot be written: ENOSPC[^\n]*\n$/);
  });

  it("[LG11] outlives a console that went away", async () => {
    const broken = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
      },
    });
    const logger = open({ output: broken });
    logger.info("one");
    await logger.flush();
    logger.info("two");
    await logger.flush();
    expect(lines(await fileText("combined.log"))).toHaveLength(2);
  });

  it("[LG12] a logger that says nothing says nothing", () => {
    const silent = createNullLogger();
    expect(silent.child({ a: 1 })).toBe(silent);
    silent.debug("x");
    silent.info("x", { y: 1 });
    silent.warn("x");
    silent.error("x", { error: new Error("x") });
  });

  it("[LG13] keeps its files from other users of the machine", async () => {
    await chmod(folder, 0o755);
    const logger = open({ directory: path.join(folder, "logs") });
    logger.error("x");
    await logger.close();
    expect((await stat(path.join(folder, "logs"))).mode & 0o007).toBe(0);
    expect((await stat(path.join(folder, "logs", "error.log"))).mode & 0o007).toBe(0);
  });
});
