import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import path from "node:path";
import { ROOT, temporaryFolder } from "../kit/atelier.mjs";
import { freePort, startServer } from "../kit/process.mjs";
import { Skipped } from "../kit/rounds.mjs";

const LATER_STARTS = 5;

export const row = {
  id: "S1",
  title: "npm start to ready",
  goal: "first ≤ 15 s, later ≤ 3 s",
  method:
    "A copy of the project with its packages installed, nothing built and no data: the first start compiles, makes the database and its schema. Embedded stores, any core.",

  async run(rounds) {
    const stamp = path.join(ROOT, "node_modules", ".atelier-lock");
    const lock = path.join(ROOT, "package-lock.json");
    const folder = temporaryFolder();
    mkdirSync(folder, { recursive: true });
    for (const part of [
      "package.json",
      "package-lock.json",
      "tsconfig.json",
      "tsconfig.build.json",
      "scripts",
      "src",
    ])
      cpSync(path.join(ROOT, part), path.join(folder, part), { recursive: true, preserveTimestamps: true });
    // The copy shares the packages; it must find nothing to install.
    if (readFileSync(stamp, "utf8") !== readFileSync(lock, "utf8"))
      throw new Skipped("the packages are not those of the lock file");
    symlinkSync(path.join(ROOT, "node_modules"), path.join(folder, "node_modules"));
    const first = await start(folder);
    const later = await rounds.interleave(["start"], () => start(folder), LATER_STARTS);
    return [
      { what: "first", unit: "s", ours: [first], met: (median) => median.ours <= 15 },
      { what: "later", unit: "s", ours: later.get("start"), met: (median) => median.ours <= 3 },
    ];
  },
};

async function start(folder) {
  const env = {
    HOST: "127.0.0.1",
    PORT: String(await freePort()),
    WS_PORT: String(await freePort()),
    DATA_DIR: path.join(folder, "data"),
    LOG_DIR: path.join(folder, "logs"),
  };
  const started = performance.now();
  const server = await startServer({
    command: "npm",
    args: ["start"],
    cwd: folder,
    env,
    ready: /Sockets\s+ws:/,
    core: null,
  });
  const seconds = (performance.now() - started) / 1_000;
  await server.stop();
  return seconds;
}
