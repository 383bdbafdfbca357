// Builds the console with Vite and packs its files, so that the service sends them compressed without compressing anything.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import zlib from "node:zlib";

const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const CONSOLE = path.join(ROOT, "console");
const DIST = path.join(CONSOLE, "dist");
const STAMP = path.join(DIST, ".built");

const brotli = promisify(zlib.brotliCompress);
const gzip = promisify(zlib.gzip);

/** Smaller files gain nothing by being packed. */
const LEAST_BYTES = 1_024;

/** What the console is made of, to be compared with its last build. */
export const CONSOLE_SOURCES = [
  path.join(CONSOLE, "src"),
  path.join(CONSOLE, "public"),
  path.join(CONSOLE, "index.html"),
  path.join(CONSOLE, "package.json"),
  path.join(CONSOLE, "vite.config.mjs"),
  path.join(ROOT, "sdk", "src"),
];

/** True when nothing has changed since the console was built. */
export function isConsoleBuilt(newest) {
  return existsSync(STAMP) && newest(CONSOLE_SOURCES.filter(existsSync)) <= statSync(STAMP).mtimeMs;
}

async function pack(folder) {
  const work = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) work.push(pack(file));
    else if (/\.(js|css|svg)$/.test(entry.name) && statSync(file).size >= LEAST_BYTES) {
      const content = readFileSync(file);
      work.push(
        brotli(content, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 9 } }).then((packed) =>
          writeFileSync(`${file}.br`, packed),
        ),
        gzip(content, { level: 9 }).then((packed) => writeFileSync(`${file}.gz`, packed)),
      );
    }
  }
  await Promise.all(work);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const manifest = createRequire(path.join(CONSOLE, "package.json")).resolve("vite/package.json");
  const vite = path.join(path.dirname(manifest), "bin", "vite.js");
  const args = [vite, "build", "--logLevel", "warn", "--config", path.join(CONSOLE, "vite.config.mjs")];
  const { status } = spawnSync(process.execPath, args, { cwd: CONSOLE, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
  await pack(DIST);
  writeFileSync(STAMP, "");
}
