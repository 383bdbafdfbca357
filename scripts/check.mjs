// npm run check: everything a machine can say about the house, each check by name; exit code 1 when one fails.
import { spawnSync } from "node:child_process";
import { build, buildSdk, install, ROOT } from "./prepare.mjs";

install();
build();
buildSdk();
const checks = [
  ["types", ["node_modules/typescript/bin/tsc", "-p", "."]],
  ["types of the sandbox's own process", ["node_modules/typescript/bin/tsc", "-p", "src/jobs/sandbox/host"]],
  ["types of tools", ["node_modules/typescript/bin/tsc", "-p", "src/jobs/tools/host"]],
  ["types of the documents' own thread", ["node_modules/typescript/bin/tsc", "-p", "src/documents"]],
  ["types of the console", ["node_modules/typescript/bin/tsc", "-p", "console"]],
  [
    "lint",
    [
      "node_modules/oxlint/bin/oxlint",
      "--type-aware",
      "src",
      "test",
      "bench",
      "scripts",
      "sdk/src",
      "console/src",
      "console/public",
    ],
  ],
  ["format", ["node_modules/@biomejs/biome/bin/biome", "check", "--linter-enabled=false", "."]],
  [
    "import order",
    [
      "node_modules/dependency-cruiser/bin/dependency-cruise.mjs",
      "src",
      "sdk/src",
      "--config",
      ".dependency-cruiser.cjs",
    ],
  ],
  ["doors of the console", ["scripts/console-doors.mjs"]],
  ["unused exports", ["scripts/unused-exports.mjs"]],
  ["file length", ["scripts/file-length.mjs"]],
  ["version floor", ["scripts/version-floor.mjs"]],
  ["size of the client", ["scripts/sdk-size.mjs"]],
  ["size of the console", ["scripts/console-size.mjs"]],
  ["SPEC ids", ["scripts/spec-ids.mjs"]],
  ["generated docs", ["scripts/docs.mjs", "--check"]],
];

let failed = 0;
for (const [name, args] of checks) {
  const result = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" });
  const ok = result.status === 0;
  if (!ok) failed += 1;
  console.log(`${ok ? "ok  " : "FAIL"} ${name}`);
  if (!ok) console.log(`${result.stdout}${result.stderr}`.trim().replace(/^/gm, "     "));
}
console.log(failed === 0 ? "All checks passed." : `${failed} of ${checks.length} checks failed.`);
process.exit(failed === 0 ? 0 : 1);
