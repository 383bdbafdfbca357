import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { v7 } from "uuid";

/** A MongoDB-compatible server the tests may use. */
export interface TestMongo {
  readonly available: true;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** The connection string of a database of this name, by way of another door when one is given. */
  uri(database: string, door?: { readonly host: string; readonly port: number }): string;
  /** Ends the server as an operator would, and resolves when it is gone. Absent when it is not ours to stop. */
  readonly stop?: () => Promise<void>;
  /** Ends it, with SIGKILL without a chance to save anything, and starts it on the same port with the same data. */
  readonly restart?: (signal?: "SIGTERM" | "SIGKILL") => Promise<void>;
  /** Stops a private server and removes its data. */
  close(): Promise<void>;
}

/** Why there is no server. */
export interface NoTestMongo {
  readonly available: false;
  readonly reason: string;
}

/** A server that can be started. */
export interface TestMongoSource {
  readonly available: true;
  readonly name: string;
  /** False for a server that is not ours to stop. */
  readonly restartable: boolean;
  /** False for a server without validators, that takes a changed TTL index without applying it, and that SIGKILL robs of data. */
  readonly faithful: boolean;
  start(): Promise<TestMongo>;
}

interface ServerProgram {
  readonly name: string;
  readonly file: string;
  readonly faithful: boolean;
  readonly arguments: (port: number, folder: string) => readonly string[];
}

const PROGRAMS: readonly Omit<ServerProgram, "file">[] = [
  {
    name: "mongod",
    faithful: true,
    arguments: (port, folder) => ["--port", String(port), "--bind_ip", "127.0.0.1", "--dbpath", folder],
  },
  {
    name: "secantusd-rs",
    faithful: true,
    arguments: (port, folder) =>
      `--host 127.0.0.1 --port ${port} --cache-size 256M --log-file-max 64MB --sync-on-commit`
        .split(" ")
        .concat("--storage-path", folder),
  },
  {
    name: "mongo-java-server",
    faithful: false,
    arguments: (port, folder) => [String(port), folder],
  },
];

const START_TIMEOUT_MS = 20_000;
const PORT_POLL_MS = 25;

/** Runs the command and says its process id; when the process that started it is gone, ends it and removes its folder. */
const GUARD = `
exec 3<&0
folder=$1; shift
"$@" </dev/null 3<&- & server=$!
echo "pid $server"
{ cat <&3 >/dev/null; trap "" TERM; kill -9 "$server"; rm -rf "$folder"; } 2>/dev/null & guard=$!
wait "$server"; code=$?
kill "$guard" 2>/dev/null
exit $code
`;

/**
 * Looks for a server, without starting one: `MONGODB_TEST_URL`, then `mongod` on PATH, then what
 * `scripts/install-test-mongo.sh` brought. Synchronous, so that a suite can name itself skipped.
 */
export function findTestMongo(): TestMongoSource | NoTestMongo {
  const url = process.env["MONGODB_TEST_URL"];
  if (url !== undefined && url !== "") {
    const start = async () => external(url);
    return { available: true, name: "MONGODB_TEST_URL", faithful: true, restartable: false, start };
  }
  if (process.env["TEST_STORES"] === "embedded") {
    return { available: false, reason: "TEST_STORES=embedded asks for embedded stores only" };
  }
  const onPath = (process.env["PATH"] ?? "").split(path.delimiter).filter((folder) => folder !== "");
  for (const program of PROGRAMS) {
    for (const folder of [...onPath, toolsFolder()]) {
      const file = path.join(folder, program.name);
      if (!isExecutable(file)) continue;
      const { name, faithful } = program;
      const start = () => startServer({ ...program, file });
      return { available: true, name, faithful, restartable: true, start };
    }
  }
  return {
    available: false,
    reason: "MONGODB_TEST_URL is not set and no server was found; run scripts/install-test-mongo.sh",
  };
}

/** Starts the server that `findTestMongo` finds, or says why there is none. */
export async function startTestMongo(): Promise<TestMongo | NoTestMongo> {
  const found = findTestMongo();
  return found.available ? found.start() : found;
}

function toolsFolder(): string {
  const here = path.dirname(fileURLToPath(import.meta.url));
  return process.env["ATELIER_TEST_TOOLS"] || path.join(here, "..", "..", ".cache", "test-tools", "bin");
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function external(url: string): TestMongo {
  const parts = /^(mongodb:\/\/(?:[^@/]*@)?)([^/?,:]+)(?::(\d+))?(?:\/[^?]*)?(\?.*)?$/.exec(url);
  if (parts === null)
    throw new Error(
      "MONGODB_TEST_URL must name one server: mongodb://[user:password@]host[:port]/[?options]",
    );
  const [, scheme = "", host = "", port = "27017", options = "?directConnection=true"] = parts;
  return {
    available: true,
    name: "MONGODB_TEST_URL",
    host,
    port: Number(port),
    uri: (database, door = { host, port: Number(port) }) =>
      `${scheme}${door.host}:${door.port}/${database}${options}`,
    close: async () => undefined,
  };
}

async function startServer(program: ServerProgram): Promise<TestMongo> {
  const host = "127.0.0.1";
  const folder = mkdtempSync(path.join(tmpdir(), "atelier-mongo-"));
  const port = await freePort();
  let running = await launch(program, port, folder);

  return {
    available: true,
    name: program.name,
    host,
    port,
    uri: (database, door = { host, port }) =>
      `mongodb://${door.host}:${door.port}/${database}?directConnection=true`,
    stop: () => end(running, "SIGTERM"),
    restart: async (signal = "SIGTERM") => {
      await end(running, signal);
      running = await launch(program, port, folder);
    },
    close: async () => {
      await end(running, "SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Running {
  readonly guard: ChildProcess;
  readonly pid: number;
}

async function launch(program: ServerProgram, port: number, folder: string): Promise<Running> {
  const command = [program.file, ...program.arguments(port, folder)];
  const guard = spawn("/bin/sh", ["-c", GUARD, "sh", folder, ...command], {
    cwd: folder,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const output: string[] = [];
  guard.stderr.on("data", (bytes: Buffer) => output.push(bytes.toString()));
  const lines = createInterface(guard.stdout);
  const [first] = (await once(lines, "line")) as [string];
  lines.on("line", (line) => output.push(line));
  const running = { guard, pid: Number(first.replace("pid ", "")) };

  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await answers(port))) {
    if (guard.exitCode !== null || Date.now() > deadline) {
      await end(running, "SIGKILL");
      throw new Error(`${program.name} did not start: ${output.join("\n").slice(-2000)}`);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, PORT_POLL_MS);
    });
  }
  return running;
}

async function end({ guard, pid }: Running, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (guard.exitCode !== null || guard.signalCode !== null) return;
  const gone = once(guard, "exit");
  process.kill(pid, signal);
  await gone;
  guard.stdin?.destroy();
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** A database name nobody else uses, so that suites can share one server. */
export function testDatabaseName(): string {
  return `atelier_test_${v7().replaceAll("-", "")}`;
}
