import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

/**
 * The files of a package that this project knows byte by byte. They are no public interface of their packages: another
 * build may need another fence, and is not run.
 * @param {import("../engine.d.mts").Packages} packages
 * @param {string} name of the package
 * @param {Readonly<Record<string, string>>} hashes path in the package → SHA-256 in hex
 * @returns {Promise<Map<string, Buffer>>} by path; throws when one is missing or different
 */
export async function readKnownFiles(packages, name, hashes) {
  const found = new Map();
  for (const [file, hash] of Object.entries(hashes)) {
    const path = packages[`${name}/${file}`];
    if (path === undefined) throw new Error(`the package ${name} is not installed`);
    const bytes = await readFile(path);
    if (createHash("sha256").update(bytes).digest("hex") !== hash)
      throw new Error(`the package ${name} is another build than the one that is known`);
    found.set(file, bytes);
  }
  return found;
}

/**
 * Compiled modules, one per power of two of memory: V8 optimises a module that stays, and there are few of them.
 * @param {(bytes: number) => WebAssembly.Module} compile
 */
export function createModules(compile) {
  /** @type {Map<number, WebAssembly.Module>} */
  const modules = new Map();
  return (/** @type {number} */ memoryBytes) => {
    const size = 2 ** Math.ceil(Math.log2(memoryBytes));
    const module = modules.get(size) ?? compile(size);
    modules.set(size, module);
    return module;
  };
}
