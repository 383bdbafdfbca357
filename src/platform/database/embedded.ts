import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, open, readFile, realpath, rmdir } from "node:fs/promises";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { chooseAccount, commandFor, giveTo, type ServerAccount, shortFolder } from "./embedded-account.js";
import { checkPostgres, locatePostgres } from "./embedded-binaries.js";
import { keepRunning } from "./embedded-keeper.js";
import { endLeftover, initialise, type ServerHome } from "./embedded-server.js";
import { type FolderLock, FolderLockedError, lockFolder } from "./folder-lock.js";
import type { PostgresConnection } from "./postgres-connection.js";

/** What `startEmbeddedPostgres` needs. */
export interface EmbeddedPostgresOptions {
  /** The product's data folder; the server keeps everything in `postgres/` below it. */
  readonly dataDir: string;
  /** Told in one sentence what happens: first start, recovery, restart. */
  readonly onMessage?: (message: string) => void;
  /** Server settings besides or instead of the built-in ones, for example `{ max_connections: "200" }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A running server of our own. */
export interface EmbeddedPostgres {
  /** How to reach its database `atelier`; the superuser is `postgres`, with the same password where there is one. */
  readonly connection: PostgresConnection;
  /** Stops the server and gives the folder free. */
  close(): Promise<void>;
}

const DATABASE = "atelier";
const PORT = 5432;
/** macOS has room for 104 bytes and an end mark; the server appends `/.s.PGSQL.5432`. */
const SOCKET_FOLDER_MAX_BYTES = 104 - 1 - "/.s.PGSQL.5432".length;
const WINDOWS = process.platform === "win32";

/**
 * Starts the PostgreSQL that npm brought on `dataDir`, makes its data on the first start and its database `atelier`. The
 * server ends with this process, also when that is killed, and is started again when it dies itself.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const onMessage = options.onMessage ?? (() => undefined);
  const binaries = await locatePostgres();
  const folder = await makeFolder(options.dataDir);
  const dataDir = path.dirname(folder);
  const account = await chooseAccount(dataDir, Object.values(binaries));
  const socketFolder = await chooseSocketFolder(folder, account);
  const lock = await holdFolder(socketFolder, options.dataDir);
  const leave = async () => {
    await lock.release();
    if (socketFolder !== folder) await rmdir(socketFolder).catch(() => undefined);
  };
  try {
    const home: ServerHome = { folder, binaries, account };
    await giveTo(account, folder);
    if (socketFolder !== folder) await giveTo(account, socketFolder);
    const password = WINDOWS ? await keepPassword(dataDir) : undefined;
    const connection = await chooseConnection(socketFolder, password);
    checkPostgres(binaries, (file, args) => commandFor(account, file, args));
    await initialise(home, { password });
    await giveTo(account, path.join(folder, "data"));
    await endLeftover(home, onMessage);
    const settings = { ...serverSettings(connection), ...options.settings };
    const keeper = await keepRunning(home, settings, connection, onMessage);
    return {
      connection,
      async close() {
        await keeper.stop();
        await leave();
      },
    };
  } catch (error) {
    await leave();
    throw error;
  }
}

/** `DATA_DIR/postgres` without links; a DATA_DIR made here is private. */
async function makeFolder(dataDir: string): Promise<string> {
  const wanted = path.resolve(dataDir);
  try {
    const made = await mkdir(wanted, { recursive: true });
    if (made !== undefined && !WINDOWS) await chmod(wanted, 0o700);
    const folder = path.join(await realpath(wanted), "postgres");
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return folder;
  } catch (error) {
    throw new Error(`The data folder ${wanted} cannot be used: ${reason(error)}`, { cause: error });
  }
}

async function chooseSocketFolder(folder: string, account: ServerAccount): Promise<string> {
  if (WINDOWS || Buffer.byteLength(folder) <= SOCKET_FOLDER_MAX_BYTES) return folder;
  const name = `atelier-${createHash("sha256").update(folder).digest("hex").slice(0, 16)}`;
  for (const parent of [os.tmpdir(), "/tmp"]) {
    const short = path.join(parent, name);
    if (Buffer.byteLength(short) <= SOCKET_FOLDER_MAX_BYTES) return shortFolder(account, short);
  }
  throw new Error(`The path ${folder} is too long for a socket; choose a shorter DATA_DIR`);
}

async function holdFolder(socketFolder: string, dataDir: string): Promise<FolderLock> {
  try {
    return await lockFolder(socketFolder);
  } catch (error) {
    if (error instanceof FolderLockedError) {
      const who = error.pid === undefined ? "another process" : `process ${error.pid}`;
      throw new Error(
        `The data folder ${path.resolve(dataDir)} is in use by ${who}. Stop that one, or start this one with another DATA_DIR.`,
        { cause: error },
      );
    }
    throw new Error(
      `The data folder ${path.resolve(dataDir)} cannot be locked (${reason(error)}). It may belong to another user: start as that user.`,
      { cause: error },
    );
  }
}

/** The password of the loopback port on Windows, made once; Unix sockets are guarded by their folder instead. */
async function keepPassword(dataDir: string): Promise<string> {
  const file = path.join(dataDir, "postgres-password");
  const known = await readFile(file, "utf8").catch(() => "");
  if (known !== "") return known;
  const password = randomBytes(24).toString("base64url");
  const handle = await open(file, "w", 0o600);
  await handle.writeFile(password);
  await handle.sync();
  await handle.close();
  return password;
}

async function chooseConnection(
  socketFolder: string,
  password: string | undefined,
): Promise<PostgresConnection> {
  const common = { database: DATABASE, user: DATABASE, ssl: false };
  if (password === undefined) return { ...common, host: socketFolder, port: PORT };
  return { ...common, host: "127.0.0.1", port: await freePort(), password };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : PORT));
    });
  });
}

function serverSettings({ host = "", port = PORT }: PostgresConnection): Record<string, string> {
  const reach: Record<string, string> = WINDOWS
    ? { listen_addresses: host }
    : {
        listen_addresses: "",
        unix_socket_directories: `"${host.replaceAll('"', '""')}"`,
        unix_socket_permissions: "0700",
        // A statement whose client has gone ends within this time; not known to PostgreSQL on Windows.
        client_connection_check_interval: "2s",
      };
  return {
    ...reach,
    port: String(port),
    max_connections: "60",
    shared_buffers: "32MB",
    fsync: "on",
    timezone: "UTC",
    log_timezone: "UTC",
    logging_collector: "off",
    log_checkpoints: "off",
    // Errors of statements reach the caller; in this file they would be users' data.
    log_min_messages: "log",
    log_min_error_statement: "panic",
  };
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
