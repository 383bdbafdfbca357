// npm run bench: all rows, or those named (`npm run bench -- F1 F2`), or `profile`. One table, and docs/performance.md.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build, install } from "../scripts/prepare.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const REPEATS = 5;
/** No round of a row begins that would not end by then; what does not end by itself is ended a little later. */
const ROW_MS = 52_000;
const ROW_END_MS = 75_000;

/** Installs the peers, once for each lock file. */
function installPeers() {
  const stamp = path.join(HERE, "node_modules", ".bench-lock");
  const lock = readFileSync(path.join(HERE, "package-lock.json"), "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  console.log("Installing the peers (once) …");
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: HERE,
    stdio: "inherit",
  });
  if (status !== 0) process.exit(status ?? 1);
  writeFileSync(stamp, lock);
}

if (process.platform !== "linux") {
  console.error("The benchmarks read /proc and pin processes to cores: they run on Linux only.");
  process.exit(1);
}
if (!process.env.BENCH_DIST) {
  install();
  build();
}
installPeers();

// Only now, because these need what has just been installed or built.
const { closePostgres } = await import("./kit/atelier.mjs");
const { LOAD_CORE, pinSelf } = await import("./kit/process.mjs");
const { printTable, tableLines, tableNote, writePage } = await import("./kit/report.mjs");
const { Rounds, Skipped } = await import("./kit/rounds.mjs");
const rows = await Promise.all(
  ["f1", "f2", "f4", "f8", "f9", "f10", "slow", "h1", "h2", "s1", "c1"].map(
    async (name) => (await import(`./rows/${name}.mjs`)).row,
  ),
);

async function measure(row) {
  console.log(`${row.id}  ${row.title} …`);
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`did not end within ${ROW_END_MS / 1_000} s`)), ROW_END_MS);
  });
  const started = performance.now();
  try {
    const lines = tableLines(row, await Promise.race([row.run(new Rounds(REPEATS, ROW_MS)), late]));
    console.log(`    ${lines.map((cells) => cells.slice(2, 5).filter(Boolean).join("  ")).join("\n    ")}`);
    return lines;
  } catch (error) {
    if (!(error instanceof Skipped)) failed = true;
    console.log(`    ${error instanceof Skipped ? error.message : error.stack}`);
    return tableNote(
      row,
      error instanceof Skipped ? `skipped: ${error.message}` : `failed: ${error.message.split("\n")[0]}`,
    );
  } finally {
    clearTimeout(timer);
    console.log(`    (${((performance.now() - started) / 1_000).toFixed(0)} s)`);
  }
}

const words = process.argv.slice(2);
const options = new Set(words.filter((word) => word.startsWith("--")));
const wanted = words.filter((word) => !word.startsWith("--")).map((word) => word.toUpperCase());
const unknown = wanted.filter((word) => word !== "PROFILE" && !rows.some(({ id }) => id === word));
if (unknown.length > 0) {
  console.error(
    `There is no row ${unknown.join(", ")}; there are ${rows.map(({ id }) => id).join(", ")} and profile.`,
  );
  process.exit(2);
}
const all = wanted.length === 0;
let failed = false;
await pinSelf(LOAD_CORE);
const lines = [];
for (const row of rows) if (all || wanted.includes(row.id)) lines.push(...(await measure(row)));
let profile;
if (all || wanted.includes("PROFILE")) {
  console.log("profile of F1 …");
  profile = await (await import("./profile.mjs")).profile();
  if (!all) console.log(profile);
}
await closePostgres();
if (lines.length > 0) printTable(lines);
if (all || options.has("--write")) {
  const command = ["npm run bench", ...(words.length > 0 ? ["--", ...words] : [])].join(" ");
  console.log(`wrote ${writePage({ rows, lines, profile, command })}`);
}
process.exit(failed ? 1 : 0);
