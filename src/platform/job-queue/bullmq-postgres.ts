import {
  assertSchemaCompatibility,
  type BackendFactory,
  ConnectionClosedError,
  createPostgresBackend,
  type IQueueBackend,
  LATEST_SCHEMA_VERSION,
  type PgPool,
  type PgPoolClient,
  type PgQueryResult,
  runMigrations,
  SchemaMigrationRequiredError,
} from "bullmq";
import pg from "pg";
import { clientConfig, type PostgresConnection } from "../database/postgres-connection.js";
import { isUnavailable } from "../database/postgres-errors.js";
import type { QueueStore, ReportFault } from "./bullmq-store.js";

/** BullMQ on PostgreSQL 13 or newer, in the schema `bullmq` of that database. */
export interface PostgresQueueBackend {
  readonly kind: "postgres";
  readonly connection: PostgresConnection;
  /** Most connections; each consumer holds one for LISTEN. Default 8. */
  readonly maxConnections?: number;
}

const SCHEMA = "bullmq";
const CONNECT_TIMEOUT_MS = 2_000;
/** A queue statement takes milliseconds; the server ends one that waits for a lock, the client one that got no answer. */
const STATEMENT_TIMEOUT_MS = 4_000;
const ANSWER_TIMEOUT_MS = 5_000;
const MIGRATION_TIMEOUT_MS = 60_000;
/** Between two attempts to connect, so that a refused one is not repeated in a tight loop. */
const CONNECT_PAUSE_MS = 500;

/** The queue's own pool of PostgreSQL connections. */
export function createPostgresStore(backend: PostgresQueueBackend, report: ReportFault): QueueStore {
  const pool = new pg.Pool({
    ...driverConfig(backend.connection),
    // Its own search_path keeps BullMQ's table names (`job`, `meta`, …) from shadowing the application's.
    options: `-c search_path=${SCHEMA}`,
    max: backend.maxConnections ?? 8,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    application_name: "atelier-queue",
  });
  pool.on("error", report);
  // A checked-out client without a listener would end the process when its connection breaks.
  pool.on("connect", (client) => client.on("error", report));

  const leased = lease(pool, report);
  const backendFactory: BackendFactory<IQueueBackend, object> = (name, options, factoryOptions) =>
    createPostgresBackend(name, { ...options, connection: leased }, factoryOptions);

  let migrated: Promise<void> | undefined;
  const ready = (): Promise<void> => {
    migrated ??= migrate(backend.connection, report).catch((error: unknown) => {
      migrated = undefined;
      throw error;
    });
    return migrated;
  };
  let closed: Promise<void> | undefined;

  return {
    ready,
    producer: () => ({ backendFactory, disconnect: () => {} }),
    consumer: () => ({ backendFactory, disconnect: () => {} }),
    async ping() {
      await pool.query("select 1");
    },
    async problems() {
      await ready();
      return [];
    },
    close() {
      closed ??= pool.end();
      return closed;
    },
  };
}

/** Brings BullMQ's tables up to date; BullMQ holds a transaction's advisory lock, so many processes may do it at once. */
async function migrate(connection: PostgresConnection, report: ReportFault): Promise<void> {
  const client = new pg.Client({
    ...driverConfig(connection),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: MIGRATION_TIMEOUT_MS,
    query_timeout: MIGRATION_TIMEOUT_MS,
    application_name: "atelier-queue-migrate",
  });
  client.on("error", report);
  try {
    await client.connect();
    if ((await schemaVersion(client)) < LATEST_SCHEMA_VERSION) await runMigrations(client, SCHEMA);
  } finally {
    await client.end().catch(report);
  }
}

async function schemaVersion(client: pg.Client): Promise<number> {
  try {
    return await assertSchemaCompatibility(client, SCHEMA);
  } catch (error) {
    if (error instanceof SchemaMigrationRequiredError) return 0;
    throw error;
  }
}

/**
 * The pool as BullMQ sees it. BullMQ knows a lost connection only by ECONNREFUSED and by its own error; anything else
 * makes a worker drop what it was doing and try again without a pause, so every such fault is turned into that error.
 */
function lease(pool: pg.Pool, report: ReportFault): PgPool {
  const leased: PgPool = {
    async query<R>(text: string, params?: readonly unknown[]): Promise<PgQueryResult<R>> {
      try {
        const { rows, rowCount } = await pool.query(text, params ? [...params] : undefined);
        return { rows: rows as R[], rowCount };
      } catch (error) {
        throw known(error, report);
      }
    },
    async connect(): Promise<PgPoolClient> {
      try {
        return leaseClient(await pool.connect());
      } catch (error) {
        await new Promise((resolve) => setTimeout(resolve, CONNECT_PAUSE_MS));
        throw known(error, report);
      }
    },
    end: () => Promise.resolve(),
    on: () => leased,
    removeAllListeners: () => leased,
  };
  return leased;
}

/**
 * A client as BullMQ sees it. BullMQ takes every listener off a client it gives back, which would also take the one that
 * keeps errors harmless. And it waits up to an hour for a NOTIFY when it can switch keep-alive on for the socket, which
 * ends at the first proxy on the way; with the socket out of its sight it looks every 10 s.
 */
function leaseClient(client: pg.PoolClient): PgPoolClient {
  return new Proxy(client, {
    get(target, property) {
      if (property === "connection") return undefined;
      if (property === "removeAllListeners") return () => target.removeAllListeners("notification");
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function known(thrown: unknown, report: ReportFault): Error {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  if (!isUnavailable(error)) return error;
  report(error);
  return new ConnectionClosedError(`The database of the queue is away: ${error.message}`);
}

/** BullMQ reads the driver's own types. */
function driverConfig(connection: PostgresConnection): pg.ClientConfig {
  return { ...clientConfig(connection), types: undefined };
}
