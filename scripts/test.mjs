// npm test: installs what is missing, then runs Jest with the arguments given.
import { spawnSync } from "node:child_process";
import path from "node:path";
import { build, buildSdk, install, ROOT } from "./prepare.mjs";

install();
build();
buildSdk();
const jest = path.join(ROOT, "node_modules", "jest", "bin", "jest.js");
const result = spawnSync(
  process.execPath,
  ["--experimental-vm-modules", "--disable-warning=ExperimentalWarning", jest, ...process.argv.slice(2)],
  { cwd: ROOT, stdio: "inherit", env: { ...process.env, NODE_ENV: "test" } },
);
process.exit(result.status ?? 1);
