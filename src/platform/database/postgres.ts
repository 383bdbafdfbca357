import {
  type Dialect,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SingleConnectionProvider,
  Transaction,
} from "kysely";
import { AppError } from "../../errors.js";
import type { Database, Sql, TransactionOptions, Tx } from "./database.js";
import type { PostgresConnection } from "./postgres-connection.js";
import { isSerializationFailure } from "./postgres-errors.js";
import { createPostgresPool, type PostgresLease, type PostgresPool } from "./postgres-pool.js";

/** What `createPostgresDatabase` needs; only `connection` and `onError` have no default. */
export interface PostgresOptions {
  readonly connection: PostgresConnection;
  /** URLs of read replicas; a replica that is away is skipped, without any the primary answers. */
  readonly replicaUrls?: readonly string[];
  /** Connections per server; default 10. */
  readonly poolMax?: number;
  /** The server's limit for a statement in ms; default 5000. */
  readonly statementTimeoutMs?: number;
  /** How long to wait for a connection in ms; default 1500. */
  readonly connectTimeoutMs?: number;
  /** How long to wait for an answer in ms, the wait for the connection included; default 1800, so that an outage is told within 2 s. */
  readonly queryTimeoutMs?: number;
  /** Shown in `pg_stat_activity`; default `atelier`. */
  readonly applicationName?: string;
  /** Told of failures nobody awaits: idle connections that broke, throwing `afterCommit` effects, skipped replicas. */
  readonly onError: (error: unknown) => void;
}

const PING_TIMEOUT_MS = 1000;
/** The server should be the one to end a statement; the client waits a little longer for its word. */
const ANSWER_GRACE_MS = 500;

/** The `Database` on PostgreSQL 15 or newer. Connects on first use and again whenever the server returns. */
export function createPostgresDatabase(options: PostgresOptions): Database {
  const settings = {
    max: options.poolMax ?? 10,
    statementTimeoutMs: options.statementTimeoutMs ?? 5000,
    connectTimeoutMs: options.connectTimeoutMs ?? 1500,
    queryTimeoutMs: options.queryTimeoutMs ?? 1800,
    applicationName: options.applicationName ?? "atelier",
    onError: options.onError,
  };
  const primary = createPostgresPool({ ...settings, connection: options.connection });
  const replicas = (options.replicaUrls ?? []).map((url) =>
    createPostgresPool({ ...settings, connection: { url } }),
  );
  const onPrimary = bind(() => primary.lease());
  const onReplica =
    replicas.length > 0 ? bind(leaseFromReplica(replicas, primary, options.onError)) : onPrimary;

  async function attempt<R>(
    work: (tx: Tx) => Promise<R>,
    how: TransactionOptions,
  ): Promise<{ result: R; effects: readonly (() => void)[] }> {
    const effects: (() => void)[] = [];
    const { statementTimeoutMs } = how;
    const lease = await primary.lease(
      statementTimeoutMs === undefined ? undefined : statementTimeoutMs + ANSWER_GRACE_MS,
    );
    try {
      await lease.run(beginStatement(how));
      const executor = onPrimary.kysely.getExecutor();
      const transaction = new Transaction<unknown>({
        config: { dialect: onPrimary.dialect },
        dialect: onPrimary.dialect,
        driver: onPrimary.driver,
        executor: executor.withConnectionProvider(new SingleConnectionProvider(lease)),
      });
      const result = await work({
        tables: <T>() => transaction as unknown as Kysely<T>,
        afterCommit: (effect) => effects.push(effect),
      });
      lease.seal();
      const { command } = await lease.run("commit");
      // COMMIT of a failed transaction is answered by ROLLBACK without an error.
      if (command !== "COMMIT")
        throw new Error("a statement failed and its error was swallowed; rolled back");
      return { result, effects };
    } catch (error) {
      lease.seal();
      // When this fails too, `release` sees the open transaction and destroys the session.
      await lease.run("rollback").catch(() => undefined);
      throw error;
    } finally {
      lease.release();
    }
  }

  function runEffect(effect: () => void): void {
    // `() => void` also admits an async function, whose rejection would otherwise be unhandled.
    void (async () => effect())().catch(options.onError);
  }

  return {
    tables: <T>() => onPrimary.tables<T>(),
    replica: { tables: <T>() => onReplica.tables<T>() },

    async transaction(work, how = {}) {
      const retries = how.retries ?? 3;
      for (let tried = 0; ; tried++) {
        try {
          const { result, effects } = await attempt(work, how);
          for (const effect of effects) runEffect(effect);
          return result;
        } catch (error) {
          if (!isSerializationFailure(error)) throw error;
          if (tried >= retries) {
            throw new AppError("overloaded", { headers: { "Retry-After": "1" }, cause: error });
          }
          await backoff(tried);
        }
      }
    },

    async ping() {
      const lease = await primary.lease(PING_TIMEOUT_MS);
      try {
        await lease.run("select 1");
      } finally {
        lease.release();
      }
    },

    async close() {
      await Promise.all([primary, ...replicas].map((pool) => pool.close()));
    },
  };
}

function beginStatement({ isolation, statementTimeoutMs }: TransactionOptions): string {
  const begin = `begin isolation level ${isolation ?? "read committed"}`;
  if (statementTimeoutMs === undefined) return begin;
  return `${begin}; set local statement_timeout = ${Math.max(1, Math.round(statementTimeoutMs))}`;
}

/** 5–25 ms, then twice and four times that: two transactions that met should not meet again. */
function backoff(tried: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, (5 + Math.random() * 20) * 2 ** tried);
  });
}

/** Each replica in turn, those that failed lately last of all: then the primary answers. */
function leaseFromReplica(
  replicas: readonly PostgresPool[],
  primary: PostgresPool,
  onError: (error: unknown) => void,
): () => Promise<PostgresLease> {
  let turn = 0;
  return async () => {
    turn = (turn + 1) % replicas.length;
    for (const replica of [...replicas.slice(turn), ...replicas.slice(0, turn)]) {
      if (replica.failedLately()) continue;
      try {
        return await replica.lease();
      } catch (error) {
        onError(error);
      }
    }
    return primary.lease();
  };
}

interface Bound extends Sql {
  readonly kysely: Kysely<unknown>;
  readonly dialect: Dialect;
  readonly driver: Driver;
}

/** Kysely over `lease`: every statement outside a transaction takes a connection for itself. */
function bind(lease: () => Promise<PostgresLease>): Bound {
  const refuse = () => Promise.reject(new Error("open transactions with Database.transaction"));
  const driver: Driver = {
    init: async () => undefined,
    acquireConnection: lease,
    releaseConnection: async (connection) => (connection as PostgresLease).release(),
    beginTransaction: refuse,
    commitTransaction: refuse,
    rollbackTransaction: refuse,
    destroy: async () => undefined,
  };
  const dialect: Dialect = {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => driver,
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
  const kysely = new Kysely<unknown>({ dialect });
  return { kysely, dialect, driver, tables: <T>() => kysely as unknown as Kysely<T> };
}
