import path from "node:path";
import type { ActivityStore } from "./activity/store/activity-store.js";
import { createMongoActivityStore, createMongoPresenceSessionStore } from "./activity/store/mongo.js";
import {
  createPostgresActivityStore,
  createPostgresPresenceSessionStore,
} from "./activity/store/postgres.js";
import type { PresenceSessionStore } from "./activity/store/presence-session-store.js";
import type { Config } from "./config.js";
import type { Lifecycle } from "./lifecycle.js";
import type { BlobStore } from "./platform/blobs/blob-store.js";
import { createDiskBlobStore } from "./platform/blobs/disk.js";
import type { Cache } from "./platform/cache/cache.js";
import { createMemoryCache } from "./platform/cache/memory.js";
import { createRedisCache } from "./platform/cache/redis.js";
import type { Clock } from "./platform/clock.js";
import type { Database } from "./platform/database/database.js";
import { startEmbeddedPostgres } from "./platform/database/embedded.js";
import { migrate } from "./platform/database/migrate.js";
import { createPostgresDatabase } from "./platform/database/postgres.js";
import type { PostgresConnection } from "./platform/database/postgres-connection.js";
import { isUnavailable } from "./platform/database/postgres-errors.js";
import type { EventLog } from "./platform/event-log/event-log.js";
import { createMemoryEventLog } from "./platform/event-log/memory.js";
import { createRedisEventLog } from "./platform/event-log/redis.js";
import { type BullmqJobQueue, createBullmqJobQueue } from "./platform/job-queue/bullmq.js";
import { connectMongo, type Mongo } from "./platform/mongo/mongo.js";
import type { Logger } from "./platform/observability/logger.js";
import { createMemoryPresenceRegistry } from "./platform/presence/memory.js";
import type { PresenceRegistry } from "./platform/presence/presence-registry.js";
import { createRedisPresenceRegistry } from "./platform/presence/redis.js";
import { createMemoryPubSub } from "./platform/pubsub/memory.js";
import type { PubSub } from "./platform/pubsub/pubsub.js";
import { createRedisPubSub } from "./platform/pubsub/redis.js";
import { createMemoryRateLimiter } from "./platform/rate-limit/memory.js";
import type { RateLimiter } from "./platform/rate-limit/rate-limiter.js";
import { createRedisRateLimiter } from "./platform/rate-limit/redis.js";
import { createRedis, type RedisConnections } from "./platform/redis/redis.js";

/** Every store of one process, embedded or real as the configuration says. */
export interface Stores {
  readonly database: Database;
  readonly activity: ActivityStore;
  readonly sessions: PresenceSessionStore;
  readonly cache: Cache;
  readonly pubsub: PubSub;
  readonly eventLog: EventLog;
  readonly presence: PresenceRegistry;
  readonly rateLimiter: RateLimiter;
  readonly jobQueue: BullmqJobQueue;
  readonly blobs: BlobStore;
  /** What `/readyz` asks, by name; each rejects when its store does not answer. */
  readonly pings: Readonly<Record<string, () => Promise<void>>>;
}

/** What opening stores reports while it goes on. */
export interface StoreDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly lifecycle: Lifecycle;
  /** A sentence for the person who started the process. */
  readonly announce: (text: string) => void;
}

/**
 * Opens the stores and brings the schema up to date. Real servers may be away: the process starts all the same, answers
 * 503 for what needs them, and goes on when they come.
 */
export async function openStores(deps: StoreDeps): Promise<Stores> {
  const { config, logger, lifecycle } = deps;
  const onError = (part: string) => (error: unknown) =>
    logger.warn("a store reported an error", { store: part, error });
  const connection = await databaseConnection(deps);
  await migrateWhenReachable(connection, deps);
  const database = createPostgresDatabase({
    connection,
    replicaUrls: config.POSTGRES_REPLICA_URLS,
    poolMax: config.POSTGRES_POOL_MAX,
    statementTimeoutMs: config.STATEMENT_TIMEOUT_MS,
    onError: onError("database"),
  });
  lifecycle.add("database", () => database.close());
  const redis = config.embedded.redis
    ? undefined
    : createRedis({ ...redisOptions(config), onError: onError("redis") });
  if (redis) lifecycle.add("redis", () => redis.close());
  const jobQueue = createBullmqJobQueue({
    backend: redis ? { kind: "redis", redis } : { kind: "postgres", connection },
    onError: onError("job queue"),
  });
  lifecycle.add("job queue", () => jobQueue.close());
  const mongo = config.MONGODB_URI
    ? connectMongo({ uri: config.MONGODB_URI, onError: onError("mongodb") })
    : undefined;
  if (mongo) lifecycle.add("mongodb", () => mongo.close());
  const blobs = await openBlobs(config);
  lifecycle.add("blobs", () => blobs.close());
  return {
    database,
    blobs,
    ...activityStores(deps, database, mongo),
    ...sharedMemory(deps, redis),
    jobQueue,
    pings: {
      database: () => database.ping(),
      ...(redis ? { redis: () => redis.ping() } : {}),
      ...(mongo ? { mongodb: () => mongo.ping() } : {}),
      ...(config.S3_BUCKET ? { s3: () => blobs.ping() } : {}),
      jobQueue: () => jobQueue.ping(),
    },
  };
}

async function openBlobs(config: Config): Promise<BlobStore> {
  if (config.S3_BUCKET === undefined)
    return createDiskBlobStore({ folder: path.join(path.resolve(config.DATA_DIR), "blobs") });
  // A large package that most nodes do not need.
  const { createS3BlobStore } = await import("./platform/blobs/s3.js");
  const { S3_ACCESS_KEY_ID: accessKeyId, S3_SECRET_ACCESS_KEY: secretAccessKey } = config;
  return createS3BlobStore({
    bucket: config.S3_BUCKET,
    region: config.S3_REGION,
    endpoint: config.S3_ENDPOINT,
    credentials: accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : undefined,
    forcePathStyle: config.S3_FORCE_PATH_STYLE,
    prefix: config.S3_PREFIX,
  });
}

async function databaseConnection({
  config,
  lifecycle,
  announce,
  logger,
}: StoreDeps): Promise<PostgresConnection> {
  if (!config.embedded.database) return givenDatabase(config);
  const embedded = await startEmbeddedPostgres({
    dataDir: path.resolve(config.DATA_DIR),
    onMessage: (text) => {
      announce(text);
      logger.info("embedded database", { detail: text });
    },
  }).catch((error: Error) => {
    // The launcher's messages are written for the person who starts the process; a stack would bury them.
    throw Object.assign(new Error(error.message, { cause: error }), { expected: true });
  });
  lifecycle.add("embedded database", () => embedded.close());
  return embedded.connection;
}

/** How to reach the PostgreSQL server the configuration names. */
export function givenDatabase(config: Config): PostgresConnection {
  if (config.DATABASE_URL !== undefined) return { url: config.DATABASE_URL };
  return {
    ...(config.POSTGRES_HOST === undefined ? {} : { host: config.POSTGRES_HOST }),
    port: config.POSTGRES_PORT,
    database: config.POSTGRES_DB,
    ...(config.POSTGRES_USER === undefined ? {} : { user: config.POSTGRES_USER }),
    ...(config.POSTGRES_PASSWORD === undefined ? {} : { password: config.POSTGRES_PASSWORD }),
    ssl: config.POSTGRES_SSL,
  };
}

/** Waits for a database that is not there yet: its schema must be known before anything is served. */
async function migrateWhenReachable(
  connection: PostgresConnection,
  { logger, announce }: StoreDeps,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      const applied = await migrate(connection, {
        onApplied: (name) => logger.info("migration applied", { name }),
      });
      if (applied.length > 0)
        announce(`Database schema is up to date (${applied.length} migrations applied).`);
      return;
    } catch (error) {
      // Also in the middle of a migration, which is one transaction: it has left nothing behind.
      if (!isUnavailable(error) && !isUnavailable((error as Error).cause)) throw error;
      if (attempt === 0) announce("Waiting for the database …");
      logger.warn("waiting for the database", { attempt, error });
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}

function activityStores(
  { config }: StoreDeps,
  database: Database,
  mongo: Mongo | undefined,
): Pick<Stores, "activity" | "sessions"> {
  if (!mongo) {
    return {
      activity: createPostgresActivityStore(database),
      sessions: createPostgresPresenceSessionStore(database),
    };
  }
  return {
    activity: createMongoActivityStore(mongo, { retentionDays: config.ACTIVITY_RETENTION_DAYS }),
    sessions: createMongoPresenceSessionStore(mongo),
  };
}

function sharedMemory(
  { clock, logger }: StoreDeps,
  redis: RedisConnections | undefined,
): Pick<Stores, "cache" | "pubsub" | "eventLog" | "presence" | "rateLimiter"> {
  const onError = (error: unknown) => logger.error("a subscriber failed", { error });
  if (redis) {
    return {
      cache: createRedisCache({ redis }),
      pubsub: createRedisPubSub({ redis, onError }),
      eventLog: createRedisEventLog({ redis }),
      presence: createRedisPresenceRegistry({ redis }),
      rateLimiter: createRedisRateLimiter({ redis }),
    };
  }
  const pubsub = createMemoryPubSub({ onError });
  return {
    cache: createMemoryCache({ clock }),
    pubsub,
    eventLog: createMemoryEventLog({ pubsub, clock }),
    presence: createMemoryPresenceRegistry({ clock }),
    rateLimiter: createMemoryRateLimiter(),
  };
}

function redisOptions(config: Config): Omit<Parameters<typeof createRedis>[0], "onError"> {
  const account = {
    username: config.REDIS_USERNAME,
    password: config.REDIS_PASSWORD,
    tls: config.REDIS_TLS || undefined,
  };
  if (config.REDIS_URL) return { ...account, url: config.REDIS_URL };
  if (config.REDIS_CLUSTER_NODES.length > 0)
    return { ...account, cluster: { nodes: config.REDIS_CLUSTER_NODES } };
  if (config.REDIS_SENTINELS.length > 0) {
    return { ...account, sentinels: { nodes: config.REDIS_SENTINELS, master: config.REDIS_SENTINEL_MASTER } };
  }
  return { ...account, host: config.REDIS_HOST, port: config.REDIS_PORT };
}
