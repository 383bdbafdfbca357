// Lua by the WebAssembly module of the package wasmoon, without that package's bridge between Lua and JavaScript.
import { readFile } from "node:fs/promises";
import { capMemory } from "../wasm-memory.mjs";
import { createModules, readKnownFiles } from "./known-files.mjs";
import { createInstance } from "./lua-instance.mjs";

/** @typedef {import("../engine.d.mts").EngineModule} EngineModule */
/** @typedef {{module: WebAssembly.Module, boot: string}} Assets */

const WASM = "dist/glue.wasm";
const SHA256 = Object.freeze({ [WASM]: "95f3f19ddb740125883bc41d5ec670cd0828e7b58c8bdad385323cbff497b55c" });

/** @type {EngineModule["load"]} */
export async function load(_language, packages) {
  const files = await readKnownFiles(packages, "wasmoon", SHA256);
  const boot = await readFile(new URL("../guest/lua/boot.lua", import.meta.url), "utf8");
  const moduleFor = createModules(
    (size) => new WebAssembly.Module(capMemory(files.get(WASM) ?? Buffer.of(), size)),
  );
  return {
    id: "lua-wasm",
    version: "5.4",
    assets: (memoryBytes) => ({ module: moduleFor(memoryBytes), boot }),
  };
}

/** @type {EngineModule["prepare"]} */
export async function prepare(assets) {
  return createInstance(/** @type {Assets} */ (assets));
}
