import { createRedisBackend, type RedisQueueBackend as RedisBackend } from "bullmq";
import { Redis, type RedisOptions } from "ioredis";
import type { RedisConnections } from "../redis/redis.js";
import type { QueueStore, ReportFault, StoreLink } from "./bullmq-store.js";

/** BullMQ on Redis 6.2 or newer: one server, Sentinel or Cluster. */
export interface RedisQueueBackend {
  readonly kind: "redis";
  /** Opens more clients to the Redis of the process. */
  readonly redis: Pick<RedisConnections, "connect">;
  /** Prefix of every key; the braces keep the queue on one node of a cluster. Default `{atelier}`. */
  readonly prefix?: string;
}

type Client = ReturnType<RedisConnections["connect"]>;

/** How long a producer command may take before it counts as lost. */
const COMMAND_TIMEOUT_MS = 1_500;
/** A socket that does not answer for so long is given up; no route and no answer look the same for many minutes. */
const SILENCE_TIMEOUT_MS = 5_000;
/** The same for the socket of blocking reads, which are silent for up to 10 s. */
const BLOCKING_SILENCE_TIMEOUT_MS = 15_000;
/** How long a connection that is closed may take to say goodbye. */
const DISCONNECT_TIMEOUT_MS = 250;

/** The queue's connections to Redis. */
export function createRedisStore(backend: RedisQueueBackend, report: ReportFault): QueueStore {
  const prefix = backend.prefix ?? "{atelier}";
  const shared = openClient(backend, report, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_TIMEOUT_MS,
    socketTimeout: SILENCE_TIMEOUT_MS,
  });
  const clients = new Set<Client>([shared]);

  return {
    prefix,
    ready: () => whenReady(shared),
    producer: () => ({
      backendFactory: (name, options, factoryOptions) =>
        createRedisBackend(name, { ...options, connection: shared }, factoryOptions),
      disconnect: () => {},
    }),
    consumer(): StoreLink {
      const client = openClient(backend, report, {
        // A worker's commands wait for Redis to come back instead of failing its loop.
        maxRetriesPerRequest: null,
        socketTimeout: SILENCE_TIMEOUT_MS,
      });
      clients.add(client);
      letDuplicatesBlock(client);
      const opened: RedisBackend[] = [];
      return {
        backendFactory(name, options, factoryOptions) {
          const redis = createRedisBackend(name, { ...options, connection: client }, factoryOptions);
          opened.push(redis);
          return redis;
        },
        disconnect() {
          client.disconnect();
          clients.delete(client);
          // BullMQ's copy for blocking reads; it is left open when the worker could not close in order.
          for (const redis of opened) redis.blockingClient?.then((copy) => copy.disconnect()).catch(() => {});
        },
      };
    },
    async ping() {
      await shared.ping();
    },
    async problems() {
      const policy = /^maxmemory_policy:(\S+)/m.exec(await shared.info("memory"))?.[1];
      if (policy === undefined || policy === "noeviction") return [];
      return [
        `Redis evicts keys (maxmemory-policy is "${policy}"), which loses queued jobs; set it to "noeviction".`,
      ];
    },
    close() {
      for (const client of clients) client.disconnect();
      clients.clear();
      return Promise.resolve();
    },
  };
}

function openClient(backend: RedisQueueBackend, report: ReportFault, overrides: RedisOptions): Client {
  const client = backend.redis.connect({ disconnectTimeout: DISCONNECT_TIMEOUT_MS, ...overrides });
  client.on("error", report);
  return client;
}

/** BullMQ duplicates a consumer's client for its blocking reads; that one may be silent for longer. */
function letDuplicatesBlock(client: Client): void {
  const socketTimeout = BLOCKING_SILENCE_TIMEOUT_MS;
  if (client instanceof Redis) {
    const duplicate = client.duplicate.bind(client);
    client.duplicate = (options) => duplicate({ ...options, socketTimeout });
  } else {
    const duplicate = client.duplicate.bind(client);
    client.duplicate = (nodes, options) =>
      duplicate(nodes, { ...options, redisOptions: { ...options?.redisOptions, socketTimeout } });
  }
}

/** Waits for a handshake that is under way, never for a reconnect: producers must fail fast while Redis is away. */
function whenReady(client: Client): Promise<void> {
  if (client.status === "ready") return Promise.resolve();
  if (client.status !== "connecting" && client.status !== "connect") {
    return Promise.reject(new Error(`Redis is away (${client.status})`));
  }
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      client.off("ready", onReady);
      client.off("close", onClose);
    };
    const onReady = (): void => {
      stop();
      resolve();
    };
    const onClose = (): void => {
      stop();
      reject(new Error("Redis closed the connection"));
    };
    client.on("ready", onReady);
    client.on("close", onClose);
  });
}
