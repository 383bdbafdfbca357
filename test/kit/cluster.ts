import { startTestNode, type TestNode } from "./app.js";
import { startTestMongo, testDatabaseName } from "./mongo.js";
import {
  type NodeProcess,
  startNodeProcess,
  startWorkerProcess,
  type WorkerProcess,
} from "./node-process.js";
import { createTestDatabase, type TestDatabase } from "./postgres.js";
import { startTestRedis, type TestRedis, type TestRedisOptions } from "./redis.js";

/** Several nodes on the same real stores. */
export interface Cluster {
  readonly database: TestDatabase;
  readonly redis: TestRedis;
  /** Another node in this process. */
  node(env?: Record<string, string>, options?: Parameters<typeof startTestNode>[0]): Promise<TestNode>;
  /** Another node in a process of its own. */
  process(env?: Record<string, string>): Promise<NodeProcess>;
  /** Another worker in a process of its own. */
  worker(env?: Record<string, string>): Promise<WorkerProcess>;
  close(): Promise<void>;
}

/** Limits that would stand in the way of a test with many messages from one address. */
const WIDE = { WS_MESSAGES_PER_SECOND: "0", WS_BYTES_PER_SECOND: "0", WS_SOCKETS_PER_USER: "10000" };

/** Starts the stores; nodes come on demand and end with `close`. */
export async function startCluster(
  options: { readonly redis?: TestRedisOptions; readonly mongo?: boolean } = {},
): Promise<Cluster> {
  const redis = await startTestRedis(options.redis);
  const database = await createTestDatabase();
  const mongo = options.mongo ? await startTestMongo() : undefined;
  const shared = {
    ...WIDE,
    ROLES: "api,realtime",
    REDIS_URL: redis.url,
    ...(mongo?.available ? { MONGODB_URI: mongo.uri(testDatabaseName()) } : {}),
  };
  const nodes: TestNode[] = [];
  const processes: NodeProcess[] = [];
  const workers: WorkerProcess[] = [];
  return {
    database,
    redis,
    async node(env = {}, more = {}) {
      const started = await startTestNode({ database, env: { ...shared, ...env }, ...more });
      nodes.push(started);
      return started;
    },
    async process(env = {}) {
      const started = await startNodeProcess(database, { ...shared, ...env });
      processes.push(started);
      return started;
    },
    async worker(env = {}) {
      const started = await startWorkerProcess(database, { ...shared, ROLES: "worker", ...env });
      workers.push(started);
      return started;
    },
    async close() {
      await Promise.all([
        ...nodes.map((each) => each.stop()),
        ...[...processes, ...workers].map((each) => each.kill()),
      ]);
      await database.close();
      await redis.close();
      if (mongo?.available) await mongo.close();
    },
  };
}
