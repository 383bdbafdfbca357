import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import {
  createRedis,
  type RedisConnections,
  type RedisOptionsInput,
} from "../../src/platform/redis/redis.js";
import { lowPort } from "./low-port.js";

/** A private Redis server of one test file, on a free port of the loopback. */
export interface TestRedis {
  readonly port: number;
  readonly url: string;
  /** Ends the server; with SIGKILL it gets no chance to say goodbye. */
  stop(signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Starts it again on the same port with the same folder (empty unless `persistent`). */
  restart(): Promise<void>;
  /** Stops answering without closing a connection, until `thaw`. */
  freeze(): void;
  thaw(): void;
  /** Keeps a copy of what a `persistent` server holds now. */
  remember(): Promise<void>;
  /** Kills it and starts it again with what was remembered, as a failover to a copy that lagged behind does. */
  rollBack(): Promise<void>;
  /** Stops it and removes its folder. */
  close(): Promise<void>;
}

/** How a private server runs. */
export interface TestRedisOptions {
  /** Keeps every write over a restart (append-only file); fsync `always` unless `everysec` is asked for. */
  readonly persistent?: boolean | "everysec";
  /** One node that owns all slots: multi-key commands are refused when their keys are on different slots. */
  readonly cluster?: boolean;
  /** Follows the server on this port of the loopback. */
  readonly replicaOf?: number;
  /** Speaks TLS only, with this certificate. */
  readonly tls?: TestCertificate;
}

/** Files of a self-signed certificate for `localhost`. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

/** Why no private server can be started here, or undefined when one can. */
export function missingRedisServer(): string | undefined {
  if (process.env["TEST_STORES"] === "embedded") return "TEST_STORES=embedded asks for embedded stores only";
  return findOnPath("redis-server") ? undefined : "no redis-server on PATH";
}

/** Why no certificate can be made here, or undefined when one can. */
export function missingOpenssl(): string | undefined {
  return findOnPath("openssl") ? undefined : "no openssl on PATH";
}

/** Makes a self-signed certificate for `localhost` in `dir`; needs `openssl` on PATH (see `missingOpenssl`). */
export function makeTestCertificate(dir: string): TestCertificate {
  const files = { cert: join(dir, "cert.pem"), key: join(dir, "key.pem") };
  const args = ["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  args.push("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost");
  execFileSync("openssl", [...args, "-keyout", files.key, "-out", files.cert], { stdio: "ignore" });
  return files;
}

/** Starts a private Redis server; needs `redis-server` on PATH (see `missingRedisServer`). */
export async function startTestRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  const binary = findOnPath("redis-server");
  if (!binary) throw new Error("no redis-server on PATH");
  const dir = await mkdtemp(join(tmpdir(), "atelier-redis-"));
  const port = await lowPort();
  const args = [options.tls ? "--tls-port" : "--port", String(port), "--bind", "127.0.0.1"];
  args.push("--dir", dir, "--save", "");
  if (options.tls) {
    args.push("--port", "0", "--tls-cert-file", options.tls.cert, "--tls-key-file", options.tls.key);
    args.push("--tls-ca-cert-file", options.tls.cert, "--tls-auth-clients", "no");
  }
  args.push("--appendonly", options.persistent ? "yes" : "no");
  args.push("--appendfsync", options.persistent === "everysec" ? "everysec" : "always");
  if (options.cluster) {
    args.push("--cluster-enabled", "yes", "--cluster-port", String(await freePort()));
    args.push("--cluster-announce-ip", "127.0.0.1");
  }
  if (options.replicaOf) args.push("--replicaof", `127.0.0.1 ${options.replicaOf}`);
  return supervise(binary, args, dir, port, async () => {
    if (!options.cluster) return;
    await ask(port, "CLUSTER ADDSLOTSRANGE 0 16383");
    while (!(await ask(port, "CLUSTER INFO")).includes("cluster_state:ok")) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });
}

/** Starts a Sentinel that watches the server on `masterPort` under the name `master`. */
export async function startTestSentinel(masterPort: number): Promise<TestRedis> {
  const binary = findOnPath("redis-server");
  if (!binary) throw new Error("no redis-server on PATH");
  const dir = await mkdtemp(join(tmpdir(), "atelier-sentinel-"));
  const port = await lowPort();
  const config = join(dir, "sentinel.conf");
  const lines = ["bind 127.0.0.1", `port ${port}`, `sentinel monitor master 127.0.0.1 ${masterPort} 1`];
  await writeFile(config, lines.join("\n"));
  return supervise(binary, [config, "--sentinel"], dir, port, async () => undefined);
}

async function supervise(
  binary: string,
  args: readonly string[],
  dir: string,
  port: number,
  prepare: () => Promise<void>,
): Promise<TestRedis> {
  const copy = `${dir}-copy`;
  let child: ChildProcess | undefined;
  const killAtExit = (): void => void child?.kill("SIGKILL");
  process.on("exit", killAtExit);

  async function start(): Promise<void> {
    child = await launch(binary, args);
    await prepare();
  }
  async function stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const running = child;
    child = undefined;
    if (!running || running.exitCode !== null) return;
    const ended = new Promise((resolve) => running.once("exit", resolve));
    running.kill("SIGCONT");
    running.kill(signal);
    await ended;
  }

  await start();
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    stop,
    async restart() {
      await stop();
      await start();
    },
    freeze: () => void child?.kill("SIGSTOP"),
    thaw: () => void child?.kill("SIGCONT"),
    async remember() {
      child?.kill("SIGSTOP");
      await rm(copy, { recursive: true, force: true });
      await cp(dir, copy, { recursive: true });
      child?.kill("SIGCONT");
    },
    async rollBack() {
      await stop("SIGKILL");
      await rm(dir, { recursive: true });
      await cp(copy, dir, { recursive: true });
      await start();
    },
    async close() {
      await stop();
      process.off("exit", killAtExit);
      await rm(copy, { recursive: true, force: true });
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A Redis that a contract suite runs on: how to connect to it, and how to empty it. */
export interface RedisTarget {
  /** Connections of one more node; closed by `close`. */
  connect(overrides?: Partial<RedisOptionsInput>): RedisConnections;
  /** Loses everything that was written through `connect`. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** One kind of Redis; `missing` says why it cannot be reached here. */
export interface RedisKind {
  readonly name: string;
  readonly missing: string | undefined;
  open(): Promise<RedisTarget>;
}

/**
 * The kinds of Redis that contract suites loop over: the server of `REDIS_TEST_URL` or else a private one, and a
 * private Cluster of one node.
 */
export function redisKinds(): readonly RedisKind[] {
  const url = process.env.REDIS_TEST_URL;
  const missing = missingRedisServer();
  return [
    {
      name: "redis",
      missing: url || !missing ? undefined : `REDIS_TEST_URL is not set and there is ${missing}`,
      open: () => (url ? target({ url }) : privateTarget({}, (port) => ({ host: "127.0.0.1", port }))),
    },
    {
      name: "redis cluster",
      missing: missing && `there is ${missing}`,
      open: () => privateTarget({ cluster: true }, (port) => ({ cluster: { nodes: [`127.0.0.1:${port}`] } })),
    },
  ];
}

async function privateTarget(
  options: TestRedisOptions,
  place: (port: number) => Partial<RedisOptionsInput>,
): Promise<RedisTarget> {
  const server = await startTestRedis(options);
  const inner = await target(place(server.port));
  return {
    ...inner,
    async close() {
      await inner.close();
      await server.close();
    },
  };
}

async function target(place: Partial<RedisOptionsInput>): Promise<RedisTarget> {
  // A prefix of its own, so that runs on a shared server neither meet nor delete anything of others.
  const keyPrefix = `atelier-test-${randomBytes(6).toString("hex")}:`;
  const opened: RedisConnections[] = [];
  function open(overrides: Partial<RedisOptionsInput> = {}): RedisConnections {
    const redis = createRedis({ keyPrefix, onError: () => undefined, ...place, ...overrides });
    opened.push(redis);
    return redis;
  }
  async function flush(): Promise<void> {
    const redis = open();
    const keys = await redis.commands.run((client) => client.keys(`${keyPrefix}*`));
    await redis.commands.run((client) => Promise.all(keys.map((key) => client.unlink(key))));
  }
  return {
    connect: open,
    flush,
    async close() {
      await flush();
      await Promise.all(opened.map((redis) => redis.close()));
    },
  };
}

function launch(binary: string, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(binary, args, { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    let log = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      log += text;
      if (/Ready to accept connections|\+monitor master/.test(log)) resolve(child);
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`redis-server ended with ${code}:\n${log}`)));
  });
}

/** Sends one inline command to a server on the loopback and gives back the first bytes of the reply. */
export function ask(port: number, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`${command}\r\n`));
    socket.once("data", (reply) => {
      socket.destroy();
      resolve(reply.toString());
    });
    socket.once("error", reject);
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

function findOnPath(name: string): string | undefined {
  for (const dir of (process.env.PATH ?? "").split(delimiter)) {
    const file = join(dir, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}
