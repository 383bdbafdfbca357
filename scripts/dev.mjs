// npm run dev: the service with a rebuild and restart on every change below src.
import { spawn } from "node:child_process";
import { watch } from "node:fs";
import path from "node:path";
import { build, install, ROOT } from "./prepare.mjs";

install();
let child;
let timer;

function restart() {
  build();
  child = spawn(process.execPath, [path.join(ROOT, "scripts", "start.mjs")], { cwd: ROOT, stdio: "inherit" });
}

function changed() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (!child || child.exitCode !== null) restart();
    else {
      child.once("exit", restart);
      child.kill("SIGTERM");
    }
  }, 200);
}

restart();
watch(path.join(ROOT, "src"), { recursive: true }, changed);
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    if (!child || child.exitCode !== null) process.exit(0);
    child.once("exit", () => process.exit(0));
    child.kill(signal);
  });
}
