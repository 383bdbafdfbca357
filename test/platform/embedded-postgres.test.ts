import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import type { Database } from "../../src/platform/database/database.js";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/platform/database/embedded.js";
import { chooseAccount } from "../../src/platform/database/embedded-account.js";
import { locatePostgres } from "../../src/platform/database/embedded-binaries.js";
import { startServer } from "../../src/platform/database/embedded-server.js";
import { createPostgresDatabase } from "../../src/platform/database/postgres.js";
import type { EmbeddedNodeMessage } from "../kit/embedded-node.js";

const root = process.getuid?.() === 0;
const asRoot = root ? it : it.skip;
const onLinux = process.platform === "linux" ? it : it.skip;
const LOADER = new URL("../kit/typescript-loader.mjs", import.meta.url).href;
const NODE = fileURLToPath(new URL("../kit/embedded-node.ts", import.meta.url));

describe("startEmbeddedPostgres", () => {
  let parent: string;
  let dataDir: string;
  const opened: { close(): Promise<void> }[] = [];
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    parent = await mkdtemp(path.join(os.tmpdir(), "atelier-embedded-"));
    // As root the server runs under another user, who has to get to the folder.
    await chmod(parent, 0o755);
    dataDir = path.join(parent, "data");
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
    for (const one of opened.splice(0).reverse()) await one.close();
    await serverGone();
    await rm(parent, { recursive: true, maxRetries: 10 });
  });

  const said: string[] = [];
  async function start(at = dataDir): Promise<EmbeddedPostgres> {
    said.length = 0;
    const server = await startEmbeddedPostgres({ dataDir: at, onMessage: (message) => said.push(message) });
    opened.push(server);
    return server;
  }

  function connect({ connection }: EmbeddedPostgres): Database {
    const database = createPostgresDatabase({ connection, onError: () => undefined });
    opened.push(database);
    return database;
  }

  async function ask<R>(database: Database, text: string): Promise<R | undefined> {
    const { rows } = await sql.raw<{ answer: R }>(`select (${text}) as answer`).execute(database.tables());
    return rows[0]?.answer;
  }

  async function serverPid(): Promise<number | undefined> {
    const text = await readFile(path.join(dataDir, "postgres", "data", "postmaster.pid"), "utf8").catch(
      () => "",
    );
    return Number(text.split("\n")[0]) || undefined;
  }

  async function serverGone(): Promise<void> {
    for (let pid = await serverPid(); pid !== undefined && isAlive(pid); pid = await serverPid())
      await delay(20);
  }

  function isAlive(pid: number): boolean {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  }

  /** Starts a process that starts the server and inserts. */
  function startNode(options: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {}) {
    const child = fork(NODE, [dataDir], { execArgv: ["--import", LOADER], stdio: "inherit", ...options });
    children.push(child);
    let acknowledged = 0;
    let word: EmbeddedNodeMessage | undefined;
    child.on("message", (message: EmbeddedNodeMessage) => {
      if ("acknowledged" in message) acknowledged = message.acknowledged;
      else word = message;
    });
    const until = async (done: () => boolean) => {
      while (!done()) {
        if (child.exitCode !== null) throw new Error("the process ended without a word");
        await delay(5);
      }
    };
    return {
      last: () => acknowledged,
      reached: (number: number) => until(() => acknowledged >= number),
      /** Its first word: started or failed. */
      async word(): Promise<EmbeddedNodeMessage | undefined> {
        await until(() => word !== undefined);
        return word;
      },
      async kill(): Promise<void> {
        child.kill("SIGKILL");
        await once(child, "exit");
      },
    };
  }

  it("[DB40] makes a private folder, a database and a role without rights over the host on the first start", async () => {
    const server = await start();
    const db = connect(server);
    expect(await ask(db, "select rolsuper from pg_roles where rolname = current_user")).toBe(false);
    expect(await ask(db, "select current_database() || ' ' || current_user")).toBe("atelier atelier");
    expect(await ask(db, "current_setting('fsync') || ' ' || current_setting('timezone')")).toBe("on UTC");
    expect(await ask(db, "current_setting('listen_addresses')")).toBe("");
    expect(await ask(db, "lower('ÄÉ') || current_setting('server_encoding')")).toBe("äéUTF8");
    for (const folder of ["postgres", "postgres/data"]) {
      expect((await stat(path.join(dataDir, folder))).mode & 0o077).toBe(0);
    }
    expect((await stat(dataDir)).mode & 0o007).toBe(0);
    expect((await stat(path.join(dataDir, "postgres", "data"))).uid).not.toBe(0);
    expect(said).toEqual([]);
  });

  it("[DB41] keeps its data over a stop, which leaves no process, socket or lock behind", async () => {
    const first = await start();
    const db = connect(first);
    await sql`create table kept as select 42 as n`.execute(db.tables());
    const pid = (await serverPid())!;
    await db.close();
    await first.close();
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    expect((await readdir(path.join(dataDir, "postgres"))).sort()).toEqual(["data", "server.log"]);
    expect(await ask(connect(await start()), "select n from kept")).toBe(42);
  });

  it("[DB42] loses no acknowledged row when its process is killed in the middle of inserts, time and again", async () => {
    let acknowledged = 0;
    for (let round = 1; round <= 4; round++) {
      const node = startNode();
      expect(await node.word()).toMatchObject({ started: true });
      await node.reached(acknowledged + 50 * round);
      await node.kill();
      acknowledged = node.last();
    }
    const db = connect(await start());
    // One more may be there: committed, but its acknowledgement was lost with the process.
    const count = (await ask<number>(db, "select count(*) from numbers"))!;
    expect([acknowledged, acknowledged + 1]).toContain(count);
    expect(await ask(db, "select max(n) from numbers")).toBe(count);
  });

  it("[DB43] ends the server when its process is killed, without another start", async () => {
    const node = startNode();
    await node.word();
    expect(await serverPid()).toBeGreaterThan(0);
    await node.kill();
    await serverGone();
  });

  it("[DB44] tells a second process on the same folder who uses it, and lets it in afterwards", async () => {
    const first = await start();
    const db = connect(first);
    const node = startNode();
    const word = await node.word();
    expect(word).toEqual({
      failed: expect.stringContaining(`${dataDir} is in use by process ${process.pid}.`),
    });
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow("is in use by process");
    await expect(db.ping()).resolves.toBeUndefined();
    await db.close();
    await first.close();
    expect(await startNode().word()).toMatchObject({ started: true });
  });

  it("[DB45] ends a server that an earlier run left behind", async () => {
    await (await start()).close();
    const folder = path.join(dataDir, "postgres");
    const binaries = await locatePostgres();
    const account = await chooseAccount(dataDir, Object.values(binaries));
    const settings = { listen_addresses: "", unix_socket_directories: folder };
    const left = await startServer({ folder, binaries, account }, settings);
    while ((await serverPid()) !== left.child.pid) await delay(10);
    const db = connect(await start());
    await left.exited;
    expect(said).toEqual([expect.stringContaining(`process ${left.child.pid}`)]);
    await expect(db.ping()).resolves.toBeUndefined();
  });

  it("[DB46] is not held up by a pid file whose number belongs to another program by now", async () => {
    await (await start()).close();
    const data = path.join(dataDir, "postgres", "data");
    const { uid, gid } = await stat(data);
    const stranger = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], root ? { uid, gid } : {});
    children.push(stranger);
    const pidFile = path.join(data, "postmaster.pid");
    await writeFile(
      pidFile,
      [stranger.pid, data, "1700000000", "5432", "", "", "0 0", "ready", ""].join("\n"),
    );
    await chown(pidFile, uid, gid);
    await chmod(pidFile, 0o600);
    await expect(connect(await start()).ping()).resolves.toBeUndefined();
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
  });

  it("[DB47] starts over after a first start that was killed half-way", async () => {
    const node = startNode();
    const folder = path.join(dataDir, "postgres");
    const begun = async () =>
      (await readdir(folder).catch(() => [])).some((name) => name.startsWith("init-"));
    while (!(await begun())) await delay(5);
    await node.kill();
    await expect(connect(await start()).ping()).resolves.toBeUndefined();
    expect((await readdir(folder)).filter((name) => name.startsWith("init-"))).toEqual([]);
  });

  it("[DB48] leaves a folder alone that holds something else or data of another version", async () => {
    const data = path.join(dataDir, "postgres", "data");
    await mkdir(data, { recursive: true });
    await writeFile(path.join(data, "holiday.jpg"), "");
    await expect(start()).rejects.toThrow("holds no PostgreSQL data");
    await writeFile(path.join(data, "PG_VERSION"), "12\n");
    await expect(start()).rejects.toThrow(/made by PostgreSQL 12, but the embedded one is 18/);
    expect((await readdir(data)).sort()).toEqual(["PG_VERSION", "holiday.jpg"]);
  });

  it("[DB49] is started again when the server dies, and a Database on it works again", async () => {
    const db = connect(await start());
    await sql`create table kept as select 42 as n`.execute(db.tables());
    const pid = (await serverPid())!;
    process.kill(pid, "SIGKILL");
    let answer: number | undefined;
    // A session of the killed server may answer once more before it notices.
    while (answer === undefined || (await serverPid()) === pid) {
      answer = await ask<number>(db, "select n from kept").catch((error: unknown) => {
        expect(error).toMatchObject({ code: "dependency_unavailable" });
        return undefined;
      });
    }
    expect(answer).toBe(42);
    expect(said[0]).toBe("PostgreSQL ended unexpectedly; starting it again.");
  });

  it("[DB50] works in a folder whose path is too long for a socket, still privately", async () => {
    const long = path.join(parent, "long".repeat(40));
    dataDir = long;
    const server = await start(long);
    await expect(connect(server).ping()).resolves.toBeUndefined();
    const { host = "" } = server.connection;
    expect(host.startsWith(parent)).toBe(false);
    expect((await stat(host)).mode & 0o077).toBe(0);
    await expect(startEmbeddedPostgres({ dataDir: long })).rejects.toThrow("is in use by");
    await opened.pop()?.close();
    await opened.pop()?.close();
    await expect(stat(host)).rejects.toThrow("ENOENT");
  });

  it("[DB51] keeps the server's log short", async () => {
    await (await start()).close();
    const log = path.join(dataDir, "postgres", "server.log");
    await writeFile(log, "x".repeat(3 * 1024 * 1024), { flag: "a" });
    await start();
    expect((await stat(log)).size).toBeLessThan(100_000);
    expect((await stat(`${log}.1`)).size).toBeGreaterThan(3 * 1024 * 1024);
  });

  it("[DB52] writes no text of a failed statement into the server's log", async () => {
    const db = connect(await start());
    await expect(sql`select 'secret words', 1 / 0`.execute(db.tables())).rejects.toMatchObject({
      code: "22012",
    });
    expect(await readFile(path.join(dataDir, "postgres", "server.log"), "utf8")).not.toContain(
      "secret words",
    );
  });

  onLinux("[DB53] hands the server nothing of the process's environment", async () => {
    process.env["ATELIER_TEST_SECRET"] = "secret";
    try {
      await start();
    } finally {
      delete process.env["ATELIER_TEST_SECRET"];
    }
    expect(await readFile(`/proc/${await serverPid()}/environ`, "utf8")).not.toContain("ATELIER_TEST_SECRET");
  });

  asRoot("[DB54] runs for an ordinary user; root serves that user's folder under the user", async () => {
    await chown(parent, 1234, 1234);
    const node = startNode({ uid: 1234, gid: 1234 });
    expect(await node.word()).toMatchObject({ started: true });
    await node.reached(5);
    await node.kill();
    await serverGone();
    // Root makes a new log, which the user must be able to write to later.
    await rm(path.join(dataDir, "postgres", "server.log"));
    const db = connect(await start());
    expect(await ask<number>(db, "select count(*) from numbers")).toBeGreaterThanOrEqual(5);
    expect((await stat(path.join(dataDir, "postgres", "data", "postmaster.pid"))).uid).toBe(1234);
    for (const one of opened.splice(0).reverse()) await one.close();
    expect(await startNode({ uid: 1234, gid: 1234 }).word()).toMatchObject({ started: true });
  });

  asRoot("[DB55] tells an ordinary user when the folder belongs to somebody else", async () => {
    await (await start()).close();
    expect(await startNode({ uid: 1234, gid: 1234 }).word()).toEqual({
      failed: expect.stringMatching(/data folder .* (cannot be used|cannot be locked)/),
    });
  });

  asRoot("[DB57] serves a folder only root can enter, without being root", async () => {
    if (spawnSync("unshare", ["--user", "true"]).status !== 0) return;
    await chmod(parent, 0o700);
    const db = connect(await start());
    await expect(db.ping()).resolves.toBeUndefined();
    expect(await ask(db, "select rolsuper from pg_roles where rolname = current_user")).toBe(false);
  });

  asRoot("[DB56] tells root what to do when the server's user cannot enter the folder", async () => {
    await chmod(parent, 0o700);
    // Without `unshare` there is no other way.
    expect(await startNode({ env: { ...process.env, PATH: "" } }).word()).toEqual({
      failed: expect.stringMatching(new RegExp(`cannot enter ${parent}.*DATABASE_URL`)),
    });
  });
});
