// The client stays small: what a page that uses all of an entry point loads, minified and gzipped, without Yjs.
import path from "node:path";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";
import { buildSdk, ROOT } from "./prepare.mjs";

/** Bytes, gzipped, of everything together. */
const MOST = 25_000;

buildSdk();
const size = async (...names) => {
  const bundle = await rolldown({
    input: Object.fromEntries(names.map((name) => [name, path.join(ROOT, "sdk/dist", `${name}.js`)])),
    external: /^(yjs|y-protocols|lib0)(\/|$)/,
    platform: "browser",
    treeshake: true,
  });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  await bundle.close();
  return output.reduce((sum, { code = "" }) => sum + gzipSync(code).length, 0);
};
const entries = ["client", "document"];
for (const name of entries) console.log(`${name}: ${await size(name)} bytes`);
const all = await size(...entries);
console.log(`together: ${all} bytes of at most ${MOST}`);
process.exit(all <= MOST ? 0 : 1);
