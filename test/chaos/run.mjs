// npm run chaos: experiments with real stores, real clients and faults; see docs/reliability.md. Exit code 1 when a promise did not hold.
import { spawn } from "node:child_process";
import path from "node:path";
import { build, install, ROOT } from "../../scripts/prepare.mjs";

if (process.platform !== "linux") {
  console.error("The experiments find processes in /proc: they run on Linux only.");
  process.exit(1);
}
install();
build();
const loader = path.join(ROOT, "test", "kit", "typescript-loader.mjs");
const main = path.join(ROOT, "test", "chaos", "main.ts");
const child = spawn(process.execPath, ["--import", loader, main, ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: "inherit",
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
