import { type Db, MongoClient, type MongoClientOptions, MongoError } from "mongodb";
import { dependencyUnavailable } from "../../errors.js";
import { ensureIndexes, type MongoIndex } from "./mongo-indexes.js";

/** What `connectMongo` needs. */
export interface MongoOptions {
  /** `mongodb://` or `mongodb+srv://`; its path names the database, `atelier` when it has none. */
  readonly uri: string;
  /** Told of failures nobody awaits: indexes that could not be made yet. */
  readonly onError: (error: unknown) => void;
}

/** One MongoDB deployment, used lazily: nothing here waits for the server until something is asked of it. */
export interface Mongo {
  /**
   * Runs `work` and rejects with `dependency_unavailable` when the server fails or gives no answer within two seconds.
   * `work` runs again when a connection broke, so it must be safe to repeat.
   */
  run<R>(work: (db: Db) => Promise<R>): Promise<R>;
  /** Makes the indexes of a collection in the background, again and again until the server has them. */
  keepIndexes(collection: string, indexes: readonly MongoIndex[]): void;
  /** Resolves when every index asked for so far is there, or after `close`. */
  indexesReady(): Promise<void>;
  /** One round trip. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** How long a caller waits at most; with what else a request does, below the two seconds that are promised. */
const DEADLINE_MS = 1700;
/** A second try must leave the caller an answer before the deadline. */
const REPEAT_WITHIN_MS = 1000;
const CLOSE_GRACE_MS = 1000;
/** Building an index over a large collection takes its time; nobody waits for it. */
const INDEX_SOCKET_TIMEOUT_MS = 600_000;
const INDEX_RETRY_MS = { first: 250, longest: 5000 };

const DEFAULT_DATABASE = "atelier";

/** Values given here win over the same names in the URI; what is not named here (pool size, TLS, users) is the URI's. */
const CLIENT_OPTIONS: MongoClientOptions = {
  appName: "atelier",
  serverSelectionTimeoutMS: 1500,
  connectTimeoutMS: 1500,
  socketTimeoutMS: 1600,
  waitQueueTimeoutMS: 1500,
  writeConcern: { w: "majority", journal: true, wtimeoutMS: 1500 },
  // Amazon DocumentDB refuses the driver's retryable writes; `run` repeats a failed write itself.
  retryWrites: false,
};

/** A handle on the deployment at `uri`. Throws only when `uri` is not a MongoDB connection string. */
export function connectMongo({ uri, onError }: MongoOptions): Mongo {
  const client = open(uri, CLIENT_OPTIONS);
  const database = databaseIn(uri);
  client.on("error", onError);
  const stopped = new AbortController();
  const indexing: Promise<void>[] = [];

  async function attempt<R>(work: (db: Db) => Promise<R>): Promise<R> {
    if (stopped.signal.aborted) throw new NoAnswer("the connection was closed");
    try {
      // The driver connects by itself only once: after a first failure its topology stays closed until `connect`.
      await client.connect();
    } catch (error) {
      // Not always a MongoError: a name that does not resolve, a key file that is not there.
      throw new NoAnswer("the connection could not be made", { cause: error });
    }
    if (stopped.signal.aborted) {
      await client.close();
      throw new NoAnswer("the connection was closed");
    }
    return work(client.db(database));
  }

  async function repeatable<R>(work: (db: Db) => Promise<R>): Promise<R> {
    const startedAt = performance.now();
    try {
      return await attempt(work);
    } catch (error) {
      const late = performance.now() - startedAt > REPEAT_WITHIN_MS;
      if (late || !(error instanceof MongoError)) throw error;
      return attempt(work);
    }
  }

  async function keepTrying(collection: string, indexes: readonly MongoIndex[]): Promise<void> {
    let reported = "";
    for (let wait = INDEX_RETRY_MS.first; !stopped.signal.aborted; wait *= 2) {
      const worker = open(uri, {
        ...CLIENT_OPTIONS,
        socketTimeoutMS: INDEX_SOCKET_TIMEOUT_MS,
        maxPoolSize: 1,
      });
      const abandon = () => void worker.close().catch(onError);
      stopped.signal.addEventListener("abort", abandon);
      try {
        await ensureIndexes(worker.db(database), collection, indexes);
        return;
      } catch (error) {
        // Once per reason: a server that stays away must not fill the log.
        const reason = error instanceof Error ? error.message : String(error);
        if (reason !== reported && !stopped.signal.aborted) onError(error);
        reported = reason;
      } finally {
        stopped.signal.removeEventListener("abort", abandon);
        await worker.close().catch(onError);
      }
      await pause(Math.min(wait, INDEX_RETRY_MS.longest), stopped.signal);
    }
  }

  async function run<R>(work: (db: Db) => Promise<R>): Promise<R> {
    try {
      return await within(DEADLINE_MS, repeatable(work));
    } catch (error) {
      // Every refusal of the server counts: stores send fixed shapes, so there is nothing a caller could mend.
      const away = error instanceof MongoError || error instanceof NoAnswer;
      throw away ? dependencyUnavailable("activity store", error) : error;
    }
  }

  return {
    run,
    keepIndexes: (collection, indexes) => {
      indexing.push(keepTrying(collection, indexes));
    },
    indexesReady: async () => {
      await Promise.all(indexing);
    },
    ping: async () => {
      await run((db) => db.command({ ping: 1 }));
    },
    close: async () => {
      stopped.abort();
      // A server that is away must not hold up the shutdown with its farewell.
      await within(CLOSE_GRACE_MS, Promise.all([client.close(), ...indexing])).catch(onError);
    },
  };
}

function open(uri: string, options: MongoClientOptions): MongoClient {
  try {
    return new MongoClient(uri, options);
  } catch {
    // The driver's own message may repeat parts of the URI, and so a password.
    throw new Error("the MongoDB connection string is not valid");
  }
}

function databaseIn(uri: string): string {
  const [, name] = /^mongodb(?:\+srv)?:\/\/[^/?]*\/([^?]+)/.exec(uri) ?? [];
  return name === undefined ? DEFAULT_DATABASE : decodeURIComponent(name);
}

class NoAnswer extends Error {}

async function within<R>(ms: number, work: Promise<R>): Promise<R> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new NoAnswer(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    timer.unref();
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
