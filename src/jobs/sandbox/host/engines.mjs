/** @typedef {import("./engine.d.mts").EngineModule} EngineModule */

/**
 * Language → its engine. A new engine is one file in engines/ and one line here.
 * @type {Readonly<Record<string, () => Promise<EngineModule>>>}
 */
export const ENGINE_MODULES = Object.freeze({
  javascript: () => import("./engines/quickjs.mjs"),
  typescript: () => import("./engines/quickjs.mjs"),
  python: () => import("./engines/python.mjs"),
  lua: () => import("./engines/lua.mjs"),
  sql: () => import("./engines/sql.mjs"),
});
