import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { isConsoleBuilt } from "./console.mjs";

/** The project's folder. */
export const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Installs the packages of the lock file when they are not there, or not those of this lock file. */
export function install() {
  const stamp = path.join(ROOT, "node_modules", ".atelier-lock");
  const lock = readFileSync(path.join(ROOT, "package-lock.json"), "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  if (!existsSync(stamp) && isInstalled()) {
    writeFileSync(stamp, lock);
    return;
  }
  console.log("Installing packages (once) …");
  run(process.platform === "win32" ? "npm.cmd" : "npm", [
    "ci",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
  ]);
  writeFileSync(stamp, lock);
}

/** Compiles the service and the console, each when a source is newer than its last build. */
export function build({ force = false } = {}) {
  buildService(force);
  buildConsole(force);
}

function buildService(force) {
  const dist = path.join(ROOT, "dist");
  const stamp = path.join(dist, ".built");
  const sources = [
    path.join(ROOT, "src"),
    path.join(ROOT, "tsconfig.json"),
    path.join(ROOT, "tsconfig.build.json"),
  ];
  if (!force && existsSync(stamp) && newest(sources) <= statSync(stamp).mtimeMs) return;
  console.log("Building the service …");
  rmSync(dist, { recursive: true, force: true });
  run(process.execPath, [
    path.join(ROOT, "node_modules/typescript/bin/tsc"),
    "-p",
    path.join(ROOT, "tsconfig.build.json"),
  ]);
  copyAssets(path.join(ROOT, "src"), dist);
  writeFileSync(stamp, "");
}

/** Compiles the client (sdk/) when a source is newer than its last build; only its users need it, the service does not. */
export function buildSdk({ force = false } = {}) {
  const folder = path.join(ROOT, "sdk");
  const stamp = path.join(folder, "dist", ".built");
  const sources = [path.join(folder, "src"), path.join(folder, "tsconfig.json")];
  if (!force && existsSync(stamp) && newest(sources) <= statSync(stamp).mtimeMs) return;
  rmSync(path.join(folder, "dist"), { recursive: true, force: true });
  run(process.execPath, [path.join(ROOT, "node_modules/typescript/bin/tsc"), "-p", folder]);
  writeFileSync(stamp, "");
}

function buildConsole(force) {
  if (!force && isConsoleBuilt(newest)) return;
  console.log("Building the console …");
  run(process.execPath, [path.join(ROOT, "scripts", "console.mjs")]);
}

/** What the program reads at run time besides compiled code: SQL and the files of the sandbox's own process. */
function copyAssets(from, to) {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const source = path.join(from, entry.name);
    const target = path.join(to, entry.name);
    if (entry.isDirectory()) copyAssets(source, target);
    else if (!entry.name.endsWith(".ts")) {
      mkdirSync(to, { recursive: true });
      cpSync(source, target);
    }
  }
}

/** True when an earlier `npm install` or `npm ci` left exactly the packages the lock file names. */
function isInstalled() {
  const hidden = path.join(ROOT, "node_modules", ".package-lock.json");
  if (!existsSync(hidden)) return false;
  return statSync(hidden).mtimeMs >= statSync(path.join(ROOT, "package-lock.json")).mtimeMs;
}

function newest(paths) {
  let time = 0;
  for (const each of paths) {
    const stat = statSync(each);
    time = Math.max(time, stat.mtimeMs);
    if (stat.isDirectory())
      time = Math.max(time, newest(readdirSync(each).map((name) => path.join(each, name))));
  }
  return time;
}

function run(command, args) {
  const result = spawnSync(command, args, {
    cwd: ROOT,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  if (result.status !== 0) process.exit(result.status ?? 1);
}
