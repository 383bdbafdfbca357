// JavaScript by quickjs-ng in WebAssembly: a fresh instance per program, whose memory the module itself caps.
import { readFile } from "node:fs/promises";
import { capMemory } from "../wasm-memory.mjs";
import { createInstance, quickjsLibrary } from "./quickjs-instance.mjs";

/** @typedef {import("../engine.d.mts").EngineModule} EngineModule */
/**
 * @typedef {object} Assets
 * @property {string} language
 * @property {WebAssembly.Module} module
 * @property {readonly {name: string, wasm: WebAssembly.Module}[]} extensions
 * @property {ReadonlyMap<string, string>} prelude module name → source
 */

const MEBIBYTE = 1024 * 1024;
// The engine's own tables and its native stack; the program's limit is set on its heap.
const ENGINE_BYTES = 4 * MEBIBYTE;
// TextEncoder and TextDecoder. Of the package's others some do not load in every V8, and its structuredClone recurses
// without a check, past the end of the stack.
const EXTENSIONS = ["encoding"];
const PRELUDE = ["prelude.mjs", "console.mjs", "inspect.mjs", "structured-clone.mjs", "timers.mjs"];

/** @type {Map<number, WebAssembly.Module> | undefined} */
let compiled;

/** @type {EngineModule["load"]} */
export async function load(language, packages) {
  if (language === "typescript" && packages["sucrase"] === undefined)
    throw new Error("sucrase is not installed");
  const binary = await readFile(packages["quickjs-wasi/quickjs.wasm"] ?? "");
  const modules = (compiled ??= new Map());
  // One compiled module per power of two: V8 optimises a module that stays, and there are few of them.
  const moduleFor = (/** @type {number} */ memoryBytes) => {
    const size = 2 ** Math.ceil(Math.log2(Math.max(memoryBytes, MEBIBYTE)));
    const module = modules.get(size) ?? new WebAssembly.Module(capMemory(binary, size + ENGINE_BYTES));
    modules.set(size, module);
    return module;
  };
  const prelude = new Map();
  for (const name of PRELUDE) {
    prelude.set(`sandbox:${name}`, await readFile(new URL(`../guest/${name}`, import.meta.url), "utf8"));
  }
  const extensions = await Promise.all(
    EXTENSIONS.map(async (name) => {
      const code = await readFile(packages[`quickjs-wasi/${name}.so`] ?? "");
      return { name, wasm: new WebAssembly.Module(code) };
    }),
  );
  const { QuickJS } = await quickjsLibrary(packages);
  const { versions } = await QuickJS.create({ wasm: moduleFor(64 * MEBIBYTE) });
  return {
    id: "quickjs-ng",
    version: String(versions["quickjs"]),
    assets: (memoryBytes) => ({ language, module: moduleFor(memoryBytes), extensions, prelude }),
  };
}

/** @type {EngineModule["prepare"]} */
export function prepare(assets, memoryBytes, packages) {
  return createInstance(/** @type {Assets} */ (assets), memoryBytes, packages);
}
