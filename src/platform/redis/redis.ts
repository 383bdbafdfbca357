import type { ConnectionOptions } from "node:tls";
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from "ioredis";
import { dependencyUnavailable } from "../../errors.js";

/** Where Redis is, and how to sign in there. Exactly one of `url`/`host`, `sentinels` or `cluster` says where. */
export interface RedisOptionsInput {
  /** `redis://user:password@host:port/db`, or `rediss://` for TLS; wins over the single fields. */
  readonly url?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Number of the database; a Cluster only has 0. */
  readonly db?: number | undefined;
  readonly tls?: boolean | ConnectionOptions | undefined;
  /** Sentinels as `host:port`, and the name of the master they watch. */
  readonly sentinels?:
    | {
        readonly nodes: readonly string[];
        readonly master: string;
        readonly username?: string | undefined;
        readonly password?: string | undefined;
      }
    | undefined;
  /** Some nodes of a Redis Cluster as `host:port`; the others are found. */
  readonly cluster?: { readonly nodes: readonly string[] } | undefined;
  /** Before every key and channel; default `atelier:`. */
  readonly keyPrefix?: string | undefined;
  /** Shown by `CLIENT LIST`; default `atelier`. */
  readonly connectionName?: string | undefined;
  /** How often an idle link is tried, so that one that died silently is noticed; default 5,000 ms. */
  readonly heartbeatMs?: number | undefined;
  /** Told of every connection error; the links reconnect by themselves. */
  readonly onError: (error: Error) => void;
}

/** One client with the rule that every failure becomes `dependency_unavailable` within two seconds. */
export interface RedisLink<Client> {
  readonly client: Client;
  run<T>(work: (client: Client) => Promise<T>): Promise<T>;
}

/** A Lua script, sent by its digest; all keys of a call carry the same hash tag. */
export type RedisScript = (
  keys: readonly string[],
  args: readonly (string | number | Buffer)[],
) => Promise<unknown>;

/** The connections of one process to one Redis (a server, a Sentinel set or a Cluster). */
export interface RedisConnections {
  /** Commands: they fail at once while the link is away and are never sent twice. */
  readonly commands: RedisLink<Redis | Cluster>;
  /** The one connection that listens. Plain even in a Cluster, where classic pub/sub reaches every node. */
  readonly subscriber: RedisLink<Redis>;
  /** The key or channel `name` with the prefix; `tag` becomes its hash tag, so keys with one tag share a slot. */
  key(name: string, tag?: string): string;
  /** Prepares a script. `name` is unique in the process. */
  script(name: string, numberOfKeys: number, lua: string): RedisScript;
  /** Another client to the same place for a library that needs its own settings; the caller closes it. */
  connect(overrides: RedisOptions): Redis | Cluster;
  /** One round trip; rejects with `dependency_unavailable` when Redis does not answer in time (1.5 s). */
  ping(): Promise<void>;
  close(): Promise<void>;
}

const TIMEOUT_MS = 1_500;
const FIRST_CONNECT_MS = 500;
const MAX_RETRY_DELAY_MS = 2_000;

/** Opens the connections; they come up, and come back, by themselves. The only place that builds Redis clients. */
export function createRedis(options: RedisOptionsInput): RedisConnections {
  const prefix = options.keyPrefix ?? "atelier:";
  const base = baseOptions(options);
  const quick: RedisOptions = {
    enableOfflineQueue: false,
    commandTimeout: TIMEOUT_MS,
    // Destroys a socket that is open but silent; commands then fail at once instead of each waiting for its time-out.
    socketTimeout: TIMEOUT_MS,
    // 0 fails what was in flight when the link broke: sending an `add`, `take` or `consume` again could do it twice.
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
  };
  const nodes = options.cluster?.nodes.map(parseNode);
  const connect = (overrides: RedisOptions): Redis | Cluster =>
    nodes ? new Cluster(nodes, clusterOptions(base, overrides)) : new Redis({ ...base, ...overrides });
  const commands = watch(connect(quick), options.onError);
  const subscriber = watch(
    nodes ? rotatingRedis({ ...base, ...quick }, nodes) : new Redis({ ...base, ...quick }),
    options.onError,
  );
  let closing = false;
  for (const { client } of [commands, subscriber]) {
    // ioredis gives up when it is disconnected in the middle of connecting (a failover during a failover does that).
    client.on("end", () => {
      const reopen = (): void => {
        if (!closing) client.connect().catch(() => undefined);
      };
      if (!closing) setTimeout(reopen, MAX_RETRY_DELAY_MS).unref();
    });
  }

  const heartbeat = setInterval(() => {
    for (const { client } of [commands, subscriber]) {
      // A failure shows itself: the socket time-out ends the link and the client connects anew.
      if (client.status === "ready") client.ping().catch(() => undefined);
    }
  }, options.heartbeatMs ?? 5_000);
  heartbeat.unref();

  return {
    commands,
    subscriber,
    key: (name, tag) => (tag === undefined ? prefix + name : `${prefix}${name}:{${escapeTag(tag)}}`),
    script(name, numberOfKeys, lua) {
      commands.client.defineCommand(name, { numberOfKeys, lua });
      return (keys, args) =>
        commands.run((client) => {
          const call = (client as unknown as Record<string, (...rest: unknown[]) => Promise<unknown>>)[name];
          return call
            ? call.apply(client, [...keys, ...args])
            : Promise.reject(new Error(`no script ${name}`));
        });
    },
    connect,
    async ping() {
      await commands.run((client) => client.ping());
    },
    async close() {
      closing = true;
      clearInterval(heartbeat);
      await Promise.all([quit(commands.client), quit(subscriber.client)]);
    },
  };
}

function baseOptions(options: RedisOptionsInput): RedisOptions {
  const { sentinels } = options;
  const place = options.url === undefined ? options : parseUrl(options.url);
  const wanted = options.tls ?? place.tls;
  const tls = wanted === true ? {} : wanted || undefined;
  const username = place.username || options.username;
  const password = place.password || options.password;
  const db = place.db ?? options.db;
  return {
    ...(username && { username }),
    ...(password && { password }),
    ...(db && { db }),
    ...(tls && { tls }),
    ...(sentinels
      ? {
          sentinels: sentinels.nodes.map(parseNode),
          name: sentinels.master,
          ...(sentinels.username && { sentinelUsername: sentinels.username }),
          ...(sentinels.password && { sentinelPassword: sentinels.password }),
          ...(tls && { sentinelTLS: tls, enableTLSForSentinelMode: true }),
          sentinelRetryStrategy: retryDelay,
          sentinelCommandTimeout: TIMEOUT_MS,
          // Without it a subscriber stays on a former master that is cut off, and hears nothing.
          failoverDetector: true,
        }
      : { host: place.host ?? "127.0.0.1", port: place.port ?? 6379 }),
    connectionName: options.connectionName ?? "atelier",
    disableClientInfo: true,
    connectTimeout: TIMEOUT_MS,
    disconnectTimeout: 500,
    retryStrategy: retryDelay,
    // A former master answers READONLY: connect anew to find the present one.
    reconnectOnError: (error) => error.message.startsWith("READONLY"),
  };
}

function clusterOptions(base: RedisOptions, overrides: RedisOptions): ClusterOptions {
  const { host: _host, port: _port, retryStrategy: _retry, ...node } = { ...base, ...overrides };
  return {
    enableOfflineQueue: overrides.enableOfflineQueue ?? true,
    redisOptions: node,
    clusterRetryStrategy: retryDelay,
    slotsRefreshInterval: 5_000,
    slotsRefreshTimeout: TIMEOUT_MS,
    maxRedirections: 8,
    // 0: a command whose link broke may have run, so it fails instead of being sent again.
    retryDelayOnFailover: 0,
  };
}

/** A plain client that tries the next node of a Cluster each time it connects. */
function rotatingRedis(options: RedisOptions, nodes: readonly { host: string; port: number }[]): Redis {
  let turn = 0;
  const client: Redis = new Redis({
    ...options,
    ...nodes[0],
    retryStrategy: (times) => {
      turn += 1;
      Object.assign(client.options, nodes[turn % nodes.length]);
      return retryDelay(times);
    },
  });
  return client;
}

/** Doubling from 50 ms to 2 s, with jitter so that a fleet does not return in one instant; it never gives up. */
function retryDelay(times: number): number {
  const delay = Math.min(50 * 2 ** Math.min(times - 1, 6), MAX_RETRY_DELAY_MS);
  return Math.round(delay * (0.75 + Math.random() / 4));
}

function watch<Client extends Redis | Cluster>(
  client: Client,
  onError: (error: Error) => void,
): RedisLink<Client> {
  client.on("error", onError);
  // Commands right after the start wait for the first connection instead of failing; later ones never wait.
  let opened = false;
  const opening = new Promise<void>((resolve) => {
    const open = (): void => {
      opened = true;
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(open, FIRST_CONNECT_MS);
    timer.unref();
    client.once("ready", open);
    client.once("close", open);
  });
  return {
    client,
    async run(work) {
      if (!opened) await opening;
      try {
        return await work(client);
      } catch (cause) {
        throw dependencyUnavailable("redis", cause);
      }
    },
  };
}

async function quit(client: Redis | Cluster): Promise<void> {
  // QUIT answers after everything sent before it; without a link there is nothing to wait for.
  if (client.status === "ready") await client.quit().catch(() => undefined);
  for (const { stream } of client instanceof Cluster ? client.nodes() : [client]) {
    // A TLS socket that ends in the middle of its handshake fails a second time, when ioredis no longer listens.
    (stream as typeof stream | undefined)?.on("error", () => undefined);
  }
  client.disconnect();
}

function parseUrl(text: string): Omit<RedisOptionsInput, "onError"> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const path = url?.pathname.replace(/^\//, "") ?? "";
  if (!url || !/^rediss?:$/.test(url.protocol) || !url.hostname || !/^\d{0,4}$/.test(path)) {
    // The text may hold a password, so it is not repeated.
    throw new Error("The Redis URL is not of the form redis://user:password@host:port/db.");
  }
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: Number(url.port || "6379"),
    username: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    db: path === "" ? undefined : Number(path),
    tls: url.protocol === "rediss:" || undefined,
  };
}

function parseNode(text: string): { host: string; port: number } {
  const [, host, port] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text.trim()) ?? [];
  if (!host || !port) throw new Error("A Redis node is not of the form host:port.");
  return { host, port: Number(port) };
}

function escapeTag(tag: string): string {
  return tag.replace(/[{}%]/g, encodeURIComponent);
}
