import { randomBytes } from "node:crypto";
import type { NetConnectOpts } from "node:net";
import path from "node:path";
import { connectClient, type PostgresConnection } from "../../src/platform/database/postgres-connection.js";
import type { BullmqJobQueueOptions } from "../../src/platform/job-queue/bullmq.js";
import { createRedis, type RedisOptionsInput } from "../../src/platform/redis/redis.js";
import { createTestDatabase } from "./postgres.js";
import { missingRedisServer, startTestRedis } from "./redis.js";

/** Where a queue's store is, in a form that another process can be told. */
export type StoreAddress =
  | { readonly kind: "postgres"; readonly connection: PostgresConnection }
  | {
      readonly kind: "redis";
      readonly redis: Omit<RedisOptionsInput, "onError">;
      readonly prefix: string;
    };

/** A store that a job queue can stand on, as the queue's suites need it. */
export interface JobQueueStore {
  readonly address: StoreAddress;
  /** Where it listens. */
  readonly target: NetConnectOpts;
  /** The same store through a door on a port of the loopback. */
  throughDoor(port: number): StoreAddress;
  /** Everything the queue keeps there, as text. */
  dump(): Promise<string>;
  /** Takes a running job's lock away, as if another worker had it. */
  stealLock(queueName: string, deliveryId: string): Promise<void>;
  /** Lets a running job's lock run out, as if its worker had been cut off. */
  dropLock(queueName: string, deliveryId: string): Promise<void>;
  close(): Promise<void>;
}

/** One kind of store; `missing` says why it cannot be reached here. */
export interface JobQueueStoreKind {
  readonly name: string;
  readonly missing: string | undefined;
  open(): Promise<JobQueueStore>;
}

/** The stores the queue's suites loop over; a Cluster has no door, because it tells its clients its own ports. */
export function jobQueueStores(): Readonly<Record<"postgres" | "redis" | "cluster", JobQueueStoreKind>> {
  const missing = missingRedisServer();
  const url = process.env["REDIS_TEST_URL"];
  return {
    postgres: { name: "PostgreSQL", missing: undefined, open: openPostgres },
    redis: {
      name: "Redis",
      missing: url || !missing ? undefined : `REDIS_TEST_URL is not set and there is ${missing}`,
      open: () => openRedis(url),
    },
    cluster: {
      name: "Redis Cluster",
      missing: missing && `there is ${missing}`,
      open: openCluster,
    },
  };
}

/** The adapter's option `backend` for an address; the connections it opens itself are closed by the function beside it. */
export function openBackend(address: StoreAddress): {
  readonly backend: BullmqJobQueueOptions["backend"];
  readonly close: () => Promise<void>;
} {
  if (address.kind === "postgres") return { backend: address, close: () => Promise.resolve() };
  const redis = createRedis({ ...address.redis, onError: () => undefined });
  return { backend: { kind: "redis", redis, prefix: address.prefix }, close: () => redis.close() };
}

async function openPostgres(): Promise<JobQueueStore> {
  const database = await createTestDatabase({ migrated: false });
  const { connection } = database;
  const client = await connectClient(connection);
  async function lock(queueName: string, deliveryId: string, change: string): Promise<void> {
    const { rowCount } = await client.query(
      `update bullmq.job set ${change} where queue = $1 and id = $2 and state = 'active'`,
      [queueName, deliveryId],
    );
    if (rowCount !== 1) throw new Error("there is no such job");
  }
  return {
    address: { kind: "postgres", connection },
    target: postgresTarget(connection),
    throughDoor: (port) => ({ kind: "postgres", connection: moved(connection, port) }),
    async dump() {
      const { rows } = await client.query("select * from bullmq.job");
      return JSON.stringify(rows);
    },
    stealLock: (queueName, deliveryId) => lock(queueName, deliveryId, "lock_token = 'another'"),
    dropLock: (queueName, deliveryId) =>
      lock(queueName, deliveryId, "lock_token = null, locked_until_ms = 1"),
    async close() {
      await client.end();
      await database.close();
    },
  };
}

function postgresTarget({ url, host, port }: PostgresConnection): NetConnectOpts {
  const parsed = url === undefined ? undefined : new URL(url);
  const at = {
    host: parsed?.hostname ?? host ?? "127.0.0.1",
    port: Number(parsed?.port || (port ?? 5432)),
  };
  return at.host.startsWith("/") ? { path: path.join(at.host, `.s.PGSQL.${at.port}`) } : at;
}

function moved(connection: PostgresConnection, port: number): PostgresConnection {
  if (connection.url === undefined) return { ...connection, host: "127.0.0.1", port };
  const url = new URL(connection.url);
  url.host = `127.0.0.1:${port}`;
  return { ...connection, url: url.href };
}

async function openRedis(configured: string | undefined): Promise<JobQueueStore> {
  const server = configured ? undefined : await startTestRedis();
  const url = new URL(configured ?? server?.url ?? "");
  return redisStore(
    { url: url.href },
    { host: url.hostname, port: Number(url.port || 6379) },
    (port) => {
      const door = new URL(url);
      door.host = `127.0.0.1:${port}`;
      return { url: door.href };
    },
    () => server?.close(),
  );
}

async function openCluster(): Promise<JobQueueStore> {
  const server = await startTestRedis({ cluster: true });
  const place = { cluster: { nodes: [`127.0.0.1:${server.port}`] } };
  return redisStore(
    place,
    { host: "127.0.0.1", port: server.port },
    () => place,
    () => server.close(),
  );
}

function redisStore(
  place: Omit<RedisOptionsInput, "onError">,
  target: NetConnectOpts,
  behind: (port: number) => Omit<RedisOptionsInput, "onError">,
  end: () => Promise<void> | undefined,
): JobQueueStore {
  // A prefix of its own, so that runs on a shared server neither meet nor delete anything of others.
  const prefix = `{atelier-test-${randomBytes(6).toString("hex")}}`;
  const redis = createRedis({ ...place, onError: () => undefined });
  const { commands } = redis;
  const lock = (queueName: string, deliveryId: string): string => `${prefix}:${queueName}:${deliveryId}:lock`;
  const keys = (): Promise<string[]> => commands.run((client) => client.keys(`${prefix}:*`));
  return {
    address: { kind: "redis", redis: place, prefix },
    target,
    throughDoor: (port) => ({ kind: "redis", redis: behind(port), prefix }),
    async dump() {
      const found: unknown[] = [];
      for (const key of await keys()) {
        const type = await commands.run((client) => client.type(key));
        found.push(
          key,
          type === "hash" ? await commands.run((client) => client.hgetall(key)) : undefined,
          type === "stream" ? await commands.run((client) => client.xrange(key, "-", "+")) : undefined,
        );
      }
      return JSON.stringify(found);
    },
    async stealLock(queueName, deliveryId) {
      const key = lock(queueName, deliveryId);
      const set = await commands.run((client) => client.set(key, "another", "PX", 60_000, "XX"));
      if (set !== "OK") throw new Error("there is no such lock");
    },
    async dropLock(queueName, deliveryId) {
      const deleted = await commands.run((client) => client.del(lock(queueName, deliveryId)));
      if (deleted !== 1) throw new Error("there is no such lock");
    },
    async close() {
      const left = await keys();
      if (left.length > 0) await commands.run((client) => client.unlink(...left));
      await redis.close();
      await end();
    },
  };
}
