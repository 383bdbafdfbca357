/**
 * Lets plain `node` run the TypeScript of this tree, for tests that need a process of their own (to kill it, for example):
 * `node --import ./test/kit/typescript-loader.mjs file.ts`. SWC strips the types, as it does for Jest.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { register } from "node:module";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";
import { transform } from "@swc/core";

// The hooks run in a thread of their own, which loads this file once more.
if (isMainThread) register(import.meta.url);

export function resolve(specifier, context, nextResolve) {
  if (/^\.{1,2}\/.*\.js$/.test(specifier) && context.parentURL?.endsWith(".ts")) {
    const typescript = new URL(specifier.replace(/\.js$/, ".ts"), context.parentURL);
    if (existsSync(typescript)) return { url: typescript.href, format: "module", shortCircuit: true };
  }
  if (specifier.endsWith(".ts") && specifier.startsWith("file:")) {
    return { url: specifier, format: "module", shortCircuit: true };
  }
  return nextResolve(specifier, context);
}

export async function load(url, context, nextLoad) {
  if (!url.startsWith("file:") || !url.endsWith(".ts")) return nextLoad(url, context);
  const filename = fileURLToPath(url);
  const { code } = await transform(await readFile(filename, "utf8"), {
    filename,
    swcrc: false,
    jsc: { target: "es2022", parser: { syntax: "typescript" } },
    module: { type: "es6" },
    sourceMaps: "inline",
  });
  return { format: "module", source: code, shortCircuit: true };
}
