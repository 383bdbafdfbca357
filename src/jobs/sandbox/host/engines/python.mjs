// Python by CPython in WebAssembly: the build that ships inside the package just-bash, found by the pool and checked here.
import { readFile } from "node:fs/promises";
import { capMemory } from "../wasm-memory.mjs";
import { createModules, readKnownFiles } from "./known-files.mjs";
import { createInstance } from "./python-instance.mjs";

/** @typedef {import("../engine.d.mts").EngineModule} EngineModule */
/**
 * @typedef {object} Assets
 * @property {WebAssembly.Module} module
 * @property {Uint8Array} library the standard library, in shared memory
 * @property {ReadonlyMap<string, string>} guest our own Python: file name → source
 */

const FOLDER = "vendor/cpython-emscripten";
const SCRIPT = `${FOLDER}/python.cjs`;
const WASM = `${FOLDER}/python.wasm`;
const LIBRARY = `${FOLDER}/python313.zip`;
const VERSION = "3.13.2";
const SHA256 = Object.freeze({
  [SCRIPT]: "b45f414d674fafeeefbd72b544bf7e5079f230f424371e462bd748eb5f82ec42",
  [WASM]: "b2b1a3f18a6fe035d609e3aa47e9508b55729e5f3ebbd2a40d467c0cd3200eee",
  [LIBRARY]: "00b6fb26ce2157860ce0eaae6849ea2b673f32ca06456503176e8d1fe8be4915",
});
const GUEST = ["boot.py", "event_loop.py"];

/** @type {EngineModule["load"]} */
export async function load(_language, packages) {
  const files = await readKnownFiles(packages, "just-bash", SHA256);
  const zip = files.get(LIBRARY) ?? Buffer.of();
  const library = new Uint8Array(new SharedArrayBuffer(zip.length));
  library.set(zip);
  const guest = new Map();
  for (const name of GUEST)
    guest.set(name, await readFile(new URL(`../guest/python/${name}`, import.meta.url), "utf8"));
  const moduleFor = createModules(
    (size) => new WebAssembly.Module(capMemory(files.get(WASM) ?? Buffer.of(), size)),
  );
  return {
    id: "cpython-wasm",
    version: VERSION,
    stays: true,
    assets: (memoryBytes) => ({ module: moduleFor(memoryBytes), library, guest }),
  };
}

/** @type {EngineModule["prepare"]} */
export async function prepare(assets, memoryBytes, packages) {
  return createInstance(/** @type {Assets} */ (assets), memoryBytes, packages[`just-bash/${SCRIPT}`] ?? "");
}
