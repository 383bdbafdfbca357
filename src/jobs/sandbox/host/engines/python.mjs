// Python by CPython in WebAssembly: the build that ships inside the package just-bash, found by the pool and checked here.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { capMemory } from "../wasm-memory.mjs";
import { createInstance } from "./python-instance.mjs";

/** @typedef {import("../engine.d.mts").EngineModule} EngineModule */
/**
 * @typedef {object} Assets
 * @property {WebAssembly.Module} module
 * @property {Uint8Array} library the standard library, in shared memory
 * @property {ReadonlyMap<string, string>} guest our own Python: file name → source
 */

const FOLDER = "just-bash/vendor/cpython-emscripten";
const VERSION = "3.13.2";
// They are no public interface of the package: another build may need other stubs, and is not run.
const SHA256 = Object.freeze({
  "python.cjs": "b45f414d674fafeeefbd72b544bf7e5079f230f424371e462bd748eb5f82ec42",
  "python.wasm": "b2b1a3f18a6fe035d609e3aa47e9508b55729e5f3ebbd2a40d467c0cd3200eee",
  "python313.zip": "00b6fb26ce2157860ce0eaae6849ea2b673f32ca06456503176e8d1fe8be4915",
});
const GUEST = ["boot.py", "event_loop.py"];

/** @type {EngineModule["load"]} */
export async function load(_language, packages) {
  const files = new Map();
  for (const [name, hash] of Object.entries(SHA256)) {
    const path = packages[`${FOLDER}/${name}`];
    if (path === undefined) throw new Error("the package just-bash is not installed");
    const bytes = await readFile(path);
    if (createHash("sha256").update(bytes).digest("hex") !== hash)
      throw new Error("the package just-bash has another build of CPython than the one that is known");
    files.set(name, bytes);
  }
  const zip = files.get("python313.zip");
  const library = new Uint8Array(new SharedArrayBuffer(zip.length));
  library.set(zip);
  const guest = new Map();
  for (const name of GUEST)
    guest.set(name, await readFile(new URL(`../guest/python/${name}`, import.meta.url), "utf8"));
  /** @type {Map<number, WebAssembly.Module>} */
  const modules = new Map();
  return {
    id: "cpython-wasm",
    version: VERSION,
    stays: true,
    assets(memoryBytes) {
      // One compiled module per power of two, as for the other engines.
      const size = 2 ** Math.ceil(Math.log2(memoryBytes));
      const module = modules.get(size) ?? new WebAssembly.Module(capMemory(files.get("python.wasm"), size));
      modules.set(size, module);
      return { module, library, guest };
    },
  };
}

/** @type {EngineModule["prepare"]} */
export async function prepare(assets, memoryBytes, packages) {
  return createInstance(/** @type {Assets} */ (assets), memoryBytes, packages[`${FOLDER}/python.cjs`] ?? "");
}
