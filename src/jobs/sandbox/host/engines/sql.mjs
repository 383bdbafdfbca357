// SQL by SQLite in WebAssembly (sql.js): a database in memory per program, which prints what its statements find.
import { capMemory } from "../wasm-memory.mjs";
import { createModules, readKnownFiles } from "./known-files.mjs";
import { createInstance } from "./sql-instance.mjs";

/** @typedef {import("../engine.d.mts").EngineModule} EngineModule */
/** @typedef {{module: WebAssembly.Module}} Assets */

const SCRIPT = "dist/sql-wasm.js";
const WASM = "dist/sql-wasm.wasm";
const VERSION = "3.54.1";
const SHA256 = Object.freeze({
  [SCRIPT]: "9b96118841c6edfdf53c6f388c1419d1f473cf469df6a6fc2864b386d60bdb5e",
  [WASM]: "43bbcdd44287e5a2db3b6b5af34b1a3485a7a441285d247976c1ebe3c61f8dbf",
});

/** @type {EngineModule["load"]} */
export async function load(_language, packages) {
  const files = await readKnownFiles(packages, "sql.js", SHA256);
  const binary = files.get(WASM) ?? Buffer.of();
  const moduleFor = createModules((size) => new WebAssembly.Module(capMemory(binary, size)));
  return {
    id: "sqlite-wasm",
    version: VERSION,
    assets: (memoryBytes) => ({ module: moduleFor(memoryBytes) }),
  };
}

/** @type {EngineModule["prepare"]} */
export async function prepare(assets, _memoryBytes, packages) {
  return createInstance(/** @type {Assets} */ (assets), packages[`sql.js/${SCRIPT}`] ?? "");
}
