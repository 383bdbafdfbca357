// No source file is longer than 400 lines: a file that grows past it has a second reason to change.
import { readFileSync } from "node:fs";
import path from "node:path";
import { ROOT } from "./prepare.mjs";
import { sources } from "./sources.mjs";

const MOST = 400;
/** Data, not code. */
const DATA = new Set(["src/auth/common-passwords.ts", "sdk/src/generated/api.ts"]);
let bad = 0;
for (const file of sources(
  ["src", "test", "bench", "scripts", "sdk/src", "console/src"],
  [".ts", ".tsx", ".mjs"],
)) {
  const name = path.relative(ROOT, file);
  const lines = readFileSync(file, "utf8").split("\n").length - 1;
  if (lines <= MOST || DATA.has(name)) continue;
  console.log(`${name} has ${lines} lines; ${MOST} are the most`);
  bad += 1;
}
process.exit(bad === 0 ? 0 : 1);
