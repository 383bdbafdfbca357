import { mkdir, mkdtemp, readFile, readlink, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, describe, expect, it } from "@jest/globals";
import {
  checkPostgres,
  linkLibraries,
  locatePostgres,
} from "../../src/platform/database/embedded-binaries.js";

describe("the embedded PostgreSQL's programs", () => {
  const machine = { platform: process.platform, arch: process.arch };

  /** Pretends to be another machine; only this test file's copy of `process` changes. */
  function pretend(platform: string, arch: string): void {
    Object.defineProperty(process, "platform", { value: platform });
    Object.defineProperty(process, "arch", { value: arch });
  }
  afterEach(() => pretend(machine.platform, machine.arch));

  it("[DB64] says to set DATABASE_URL where npm has no PostgreSQL, or did not install it", async () => {
    pretend("linux", "riscv64");
    await expect(locatePostgres()).rejects.toThrow(
      /no embedded PostgreSQL for linux-riscv64\. Set DATABASE_URL/,
    );
    const [platform = "", arch = ""] = machine.platform === "linux" ? ["darwin", "x64"] : ["linux", "x64"];
    pretend(platform, arch);
    await expect(locatePostgres()).rejects.toThrow(/is not installed .*Set DATABASE_URL/);
  });

  it("[DB65] says why the programs do not run on this system", async () => {
    const binaries = await locatePostgres();
    const run = (file: string, args: readonly string[]) => [file, args, {}] as const;
    expect(() => checkPostgres(binaries, run)).not.toThrow();
    // What a system with another C library answers: its loader is not there.
    const missing = { ...binaries, postgres: path.join(os.tmpdir(), "no-such-loader") };
    expect(() => checkPostgres(missing, run)).toThrow(/does not run here \(.*ENOENT.*Set DATABASE_URL/);
    const failing = { ...binaries, postgres: process.execPath };
    const badly = () =>
      [process.execPath, ["-e", "process.stderr.write('bad libc'); process.exit(1)"], {}] as const;
    expect(() => checkPostgres(failing, badly)).toThrow(/does not run here \(bad libc\)/);
  });

  it("[DB66] links the libraries when npm ran no install scripts", async () => {
    const root = await mkdtemp(path.join(os.tmpdir(), "atelier-package-"));
    try {
      await mkdir(path.join(root, "native", "lib"), { recursive: true });
      await writeFile(path.join(root, "native", "lib", "libx.so.1.2"), "library");
      const links = [
        { source: "native/lib/libx.so.1.2", target: "native/lib/libx.so" },
        { source: "native/lib/libx.so.1.2", target: "native/lib/links/libx.so.1" },
      ];
      await writeFile(path.join(root, "native", "pg-symlinks.json"), JSON.stringify(links));
      await Promise.all([linkLibraries(root), linkLibraries(root)]);
      await linkLibraries(root);
      expect(await readlink(path.join(root, "native/lib/libx.so"))).toBe("libx.so.1.2");
      expect(await readFile(path.join(root, "native/lib/links/libx.so.1"), "utf8")).toBe("library");
    } finally {
      await rm(root, { recursive: true });
    }
  });
});
