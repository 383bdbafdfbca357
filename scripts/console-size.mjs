// What a browser loads before it can show the console's first page, gzipped: the entry and everything it imports at once.
import { readFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { build, ROOT } from "./prepare.mjs";

/** Bytes of JavaScript. */
const MOST = 350_000;

build();
const dist = path.join(ROOT, "console", "dist");
const manifest = JSON.parse(readFileSync(path.join(dist, ".vite", "manifest.json"), "utf8"));
const seen = new Set();
function visit(key) {
  if (seen.has(key)) return;
  seen.add(key);
  for (const next of manifest[key].imports ?? []) visit(next);
}
visit("index.html");
let all = 0;
for (const key of seen) all += gzipSync(readFileSync(path.join(dist, manifest[key].file))).length;
const names = [...seen].map((key) => `${key} ${manifest[key].name ?? ""}`).join(", ");
const editor = [...seen].some((key) =>
  /codemirror|y-codemirror|yjs|uplot/i.test(`${key} ${manifest[key].src ?? ""}`),
);
console.log(`${all} bytes of at most ${MOST}: ${names}`);
if (editor) console.log("the editor or the plots are loaded with the first page");
process.exit(all <= MOST && !editor ? 0 : 1);
