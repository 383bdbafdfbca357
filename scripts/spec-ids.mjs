// Every rule of SPEC.md is named by a test, and every id a test names is a rule.
import { readFileSync } from "node:fs";
import path from "node:path";
import { ROOT } from "./prepare.mjs";
import { sources } from "./sources.mjs";

const rules = new Set();
let bad = 0;
for (const [, id] of readFileSync(path.join(ROOT, "SPEC.md"), "utf8").matchAll(/^- \*\*([A-Z]+\d+)\*\*/gm)) {
  if (rules.has(id)) {
    console.log(`${id} stands twice in SPEC.md`);
    bad += 1;
  }
  rules.add(id);
}
const named = new Set();
for (const file of sources(["src", "test"], [".test.ts"])) {
  const text = readFileSync(file, "utf8");
  for (const [, ids] of text.matchAll(/["'`]\[([A-Z]+\d+(?:[, ]+[A-Z]+\d+)*)\]/g)) {
    for (const id of ids.split(/[, ]+/)) {
      named.add(id);
      if (rules.has(id)) continue;
      console.log(`${path.relative(ROOT, file)} names ${id}, which SPEC.md does not have`);
      bad += 1;
    }
  }
}
for (const id of rules) {
  if (named.has(id)) continue;
  console.log(`${id} has no test`);
  bad += 1;
}
process.exit(bad === 0 ? 0 : 1);
