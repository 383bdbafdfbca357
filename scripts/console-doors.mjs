// The console knows the service by the client alone, and loads the editor and the plots with the pages that need them.
import { readFileSync } from "node:fs";
import path from "node:path";
import { ROOT } from "./prepare.mjs";
import { sources } from "./sources.mjs";

const CONSOLE = path.join(ROOT, "console", "src");
const EDITOR = /^(@codemirror\/|@lezer\/|y-codemirror\.next|y-protocols|yjs|atelier-client\/document)/;
/** The folders that may, by what they import. */
const DOORS = [
  [EDITOR, /^editor\//],
  [/^uplot/, /^system\//],
];
let bad = 0;
for (const file of sources(["console/src"], [".ts", ".tsx"])) {
  const name = path.relative(CONSOLE, file);
  const text = readFileSync(file, "utf8");
  for (const [, specifier] of text.matchAll(/(?:\bfrom|\bimport\(|^import)\s*"([^"]+)"/gm)) {
    const outside =
      specifier.startsWith(".") && !path.resolve(path.dirname(file), specifier).startsWith(CONSOLE);
    const door = DOORS.find(([vendor, folders]) => vendor.test(specifier) && !folders.test(name));
    if (!outside && !door) continue;
    console.log(`console/src/${name} may not import ${specifier}`);
    bad += 1;
  }
}
process.exit(bad === 0 ? 0 : 1);
