import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rename, rm, utimes, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { type FolderLock, FolderLockedError, lockFolder } from "../../src/platform/database/folder-lock.js";

const LOADER = new URL("../kit/typescript-loader.mjs", import.meta.url).href;
const HOLDER = fileURLToPath(new URL("../kit/folder-lock-holder.ts", import.meta.url));

describe("lockFolder", () => {
  let folder: string;
  const held: FolderLock[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), "atelier-lock-"));
  });
  afterEach(async () => {
    for (const lock of held.splice(0)) await lock.release();
    await rm(folder, { recursive: true });
  });

  async function lock(): Promise<FolderLock> {
    const mine = await lockFolder(folder);
    held.push(mine);
    return mine;
  }

  /** A process that holds the lock. */
  async function startHolder() {
    const child = fork(HOLDER, [folder], { execArgv: ["--import", LOADER] });
    await once(child, "message");
    return child;
  }

  it("[DB60] admits one holder, names it, and admits the next after the release", async () => {
    const first = await lock();
    await expect(lock()).rejects.toThrow(new FolderLockedError(process.pid));
    await first.release();
    await first.release();
    expect(await readdir(folder)).toEqual([]);
    await lock();
  });

  it("[DB61] knows the holder in another process, also one that is stopped and cannot answer", async () => {
    const holder = await startHolder();
    try {
      await expect(lock()).rejects.toMatchObject({ pid: holder.pid });
      holder.kill("SIGSTOP");
      await expect(lock()).rejects.toMatchObject({ name: "FolderLockedError", pid: undefined });
    } finally {
      holder.kill("SIGKILL");
    }
  });

  it("[DB62] takes over from a killed holder", async () => {
    const holder = await startHolder();
    holder.kill("SIGKILL");
    await once(holder, "exit");
    expect(await readdir(folder)).toEqual(["lock"]);
    await lock();
  });

  it("[DB67] lets exactly one of many that come at once take over", async () => {
    const file = path.join(folder, "lock");
    for (let round = 0; round < 25; round++) {
      // What a killed holder leaves: a socket file without a listener.
      const dead = await lockFolder(folder);
      await rename(file, `${file}.kept`);
      await dead.release();
      await rename(`${file}.kept`, file);
      const results = await Promise.allSettled(
        Array.from({ length: 12 }, async (_, i) => {
          for (let turns = 0; turns < i * 2; turns++) await new Promise((resolve) => setImmediate(resolve));
          return lock();
        }),
      );
      expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      for (const result of results) {
        if (result.status === "rejected") expect(result.reason).toBeInstanceOf(FolderLockedError);
      }
      for (const won of held.splice(0)) await won.release();
      expect(await readdir(folder)).toEqual([]);
    }
  });

  it("[DB63] takes over although another one was killed while it did", async () => {
    const holder = await startHolder();
    holder.kill("SIGKILL");
    await once(holder, "exit");
    const guard = path.join(folder, "lock.takeover");
    await writeFile(guard, "");
    const longAgo = new Date(Date.now() - 60_000);
    await utimes(guard, longAgo, longAgo);
    await lock();
    expect(await readdir(folder)).toEqual(["lock"]);
  });
});
