import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Api, createApi } from "../../kit/api.js";
import { lowPort } from "../../kit/low-port.js";
import { startTestMongo, type TestMongo, testDatabaseName } from "../../kit/mongo.js";
import { type NodeProcess, startNodeProcess } from "../../kit/node-process.js";
import { createTestDatabase, type TestDatabase } from "../../kit/postgres.js";
import { type PostgresServer, startPostgresServer } from "../../kit/postgres-server.js";
import { startTestRedis, type TestRedis, type TestRedisOptions } from "../../kit/redis.js";
import { startTcpProxy, type TcpProxy } from "../../kit/tcp-proxy.js";
import { type BreakName, breakOption } from "./breakage.js";

/** A place for a node: its clients and its stores are reached through doors that stay while the node dies and returns. */
export interface Place {
  readonly name: string;
  /** Between clients and the node, for HTTP and sockets. */
  readonly clients: TcpProxy;
  readonly postgres: TcpProxy;
  readonly redis: TcpProxy;
  readonly mongo: TcpProxy | undefined;
  readonly httpUrl: string;
  readonly wsUrl: string;
  readonly api: Api;
  /** The node that runs there now. */
  readonly node: NodeProcess | undefined;
  start(): Promise<void>;
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
  /** Every door works again. */
  heal(): Promise<void>;
}

/** Nodes in processes of their own on one PostgreSQL, one Redis and, when asked for, one MongoDB: all real, all private. */
export interface Site {
  readonly postgres: PostgresServer;
  readonly redis: TestRedis;
  readonly mongo: TestMongo | undefined;
  /** Straight to the database, past every door. */
  readonly database: TestDatabase;
  readonly places: readonly Place[];
  readonly logFolder: string;
  /** Another place; nothing runs there yet. */
  place(env?: Readonly<Record<string, string>>): Promise<Place>;
  /** @param keepLogs True: the logs of the nodes stay in `logFolder`. */
  close(keepLogs: boolean): Promise<void>;
}

/** What a site is made of. */
export interface SiteOptions {
  /** Places with a node in each; default 2. */
  readonly nodes?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly redis?: TestRedisOptions;
  readonly mongo?: boolean;
  /** A defect every node gets. */
  readonly broken?: BreakName;
}

/** What many clients of one address need, and nothing that would not be so in production. */
const WIDE = {
  WS_MESSAGES_PER_SECOND: "0",
  WS_BYTES_PER_SECOND: "0",
  WS_SOCKETS_PER_USER: "10000",
  WS_CONNECTS_PER_MINUTE: "0",
  LOG_LEVEL: "warn",
  ROLES: "api,realtime",
};

/** Starts stores and nodes. */
export async function startSite(options: SiteOptions = {}): Promise<Site> {
  const logFolder = mkdtempSync(path.join(tmpdir(), "atelier-chaos-"));
  const [redis, postgres, found] = await Promise.all([
    startTestRedis(options.redis ?? { persistent: "everysec" }),
    startPostgresServer(),
    options.mongo ? startTestMongo() : undefined,
  ]);
  if (found && !found.available) throw new Error(found.reason);
  const mongo: TestMongo | undefined = found;
  const server = { admin: postgres.admin, owner: postgres.owner };
  const database = await createTestDatabase({ server: () => Promise.resolve(server) });
  const mongoDatabase = testDatabaseName();
  const places: Place[] = [];

  async function place(env: Readonly<Record<string, string>> = {}): Promise<Place> {
    const name = `node ${places.length + 1}`;
    let port = 0;
    let node: NodeProcess | undefined;
    const doors = {
      clients: await startTcpProxy(() => ({ host: "127.0.0.1", port })),
      postgres: await startTcpProxy({ host: "127.0.0.1", port: postgres.port }),
      redis: await startTcpProxy({ host: "127.0.0.1", port: redis.port }),
      mongo: mongo && (await startTcpProxy({ host: mongo.host, port: mongo.port })),
    };
    const address = `127.0.0.1:${doors.clients.port}`;
    const made: Place = {
      name,
      ...doors,
      httpUrl: `http://${address}`,
      wsUrl: `ws://${address}`,
      api: createApi(`http://${address}/api/v1`),
      get node() {
        return node;
      },
      async start() {
        const next = await lowPort();
        node = await startNodeProcess(
          { connection: { url: through(database.connection.url ?? "", doors.postgres) } },
          {
            ...WIDE,
            PORT: String(next),
            WS_PORT: String(next),
            REDIS_URL: `redis://127.0.0.1:${doors.redis.port}`,
            ...(mongo && doors.mongo ? { MONGODB_URI: mongo.uri(mongoDatabase, doors.mongo) } : {}),
            LOG_DIR: path.join(logFolder, name.replace(" ", "-")),
            ...(options.broken ? { NODE_OPTIONS: breakOption(options.broken) } : {}),
            ...options.env,
            ...env,
          },
        );
        port = next;
      },
      async kill() {
        const running = node;
        node = undefined;
        await running?.kill();
      },
      async stop() {
        const running = node;
        node = undefined;
        return running ? running.stop() : 0;
      },
      async heal() {
        await Promise.all(Object.values(doors).map(async (door) => door?.restore()));
      },
    };
    places.push(made);
    return made;
  }

  const site: Site = {
    postgres,
    redis,
    mongo,
    database,
    places,
    logFolder,
    place,
    async close(keepLogs) {
      await Promise.all(places.map((each) => each.kill()));
      for (const each of places)
        await Promise.all(
          [each.clients, each.postgres, each.redis, each.mongo].map(async (door) => door?.close()),
        );
      await database.database.close();
      await postgres.close();
      await redis.close();
      await mongo?.close();
      if (!keepLogs) rmSync(logFolder, { recursive: true, force: true });
    },
  };
  for (let i = 0; i < (options.nodes ?? 2); i++) await place();
  // One after the other: the first one makes the schema.
  await Promise.all(places.map((each) => each.start()));
  return site;
}

function through(url: string, door: TcpProxy): string {
  const changed = new URL(url);
  changed.hostname = door.host;
  changed.port = String(door.port);
  return changed.href;
}
