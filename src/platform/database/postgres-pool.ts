import type { CompiledQuery, DatabaseConnection, QueryResult } from "kysely";
import { Pool, type PoolClient, type QueryConfig, type QueryResult as ServerResult } from "pg";
import { dependencyUnavailable } from "../../errors.js";
import { clientConfig, type PostgresConnection } from "./postgres-connection.js";
import { breaksSession, isUnavailable } from "./postgres-errors.js";

/** How a pool connects and how long it waits. */
export interface PostgresPoolOptions {
  readonly connection: PostgresConnection;
  readonly max: number;
  readonly applicationName: string;
  /** The server's own limit for a statement. */
  readonly statementTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** How long a statement may stay unanswered before its connection is given up. */
  readonly queryTimeoutMs: number;
  readonly onError: (error: unknown) => void;
}

/** One connection, taken out of the pool until `release`. */
export interface PostgresLease extends DatabaseConnection {
  /** Runs one statement (or, without values, several). */
  run(text: string, values?: readonly unknown[]): Promise<ServerResult>;
  /** From now on only `run` works: statements still queued by the caller must not run outside its transaction. */
  seal(): void;
  /** Gives the connection back, or destroys it when it broke or is still inside a transaction. */
  release(): void;
}

/** A pool of sessions that survives whatever happens to the server. */
export interface PostgresPool {
  /** Takes a connection; `queryTimeoutMs` bounds each statement and, for the first one, also the wait for the connection. */
  lease(queryTimeoutMs?: number): Promise<PostgresLease>;
  /** True when the last thing heard of the server, within five seconds, was a failure. */
  failedLately(): boolean;
  close(): Promise<void>;
}

const FAILED_LATELY_MS = 5000;
const PROBE_TIMEOUT_MS = 500;
const FIRST_STATEMENT_MIN_MS = 250;
const IDLE_IN_TRANSACTION_MS = 15_000;
const CLOSE_GRACE_MS = 3000;

/** The driver reads `query_timeout` per query; its types do not name it. */
interface TimedQuery extends QueryConfig {
  readonly query_timeout: number;
}

function timed(text: string, values: readonly unknown[], timeoutMs: number): TimedQuery {
  return { text, values: [...values], query_timeout: Math.ceil(timeoutMs) };
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

/** Opens no connection yet: the first one is made when somebody asks. */
export function createPostgresPool(options: PostgresPoolOptions): PostgresPool {
  const pool = new Pool({
    ...clientConfig(options.connection),
    max: options.max,
    application_name: options.applicationName,
    statement_timeout: options.statementTimeoutMs,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    connectionTimeoutMillis: options.connectTimeoutMs,
    idleTimeoutMillis: 30_000,
  });
  const lastAnswer = new WeakMap<PoolClient, number>();
  const lost = new WeakSet<PoolClient>();
  const leased = new Set<PoolClient>();
  const ends = new Map<PoolClient, Promise<void>>();
  let failedAt = Number.NEGATIVE_INFINITY;
  let answeredAt = Number.NEGATIVE_INFINITY;
  let distrustedBefore = Number.NEGATIVE_INFINITY;
  let closing: Promise<void> | undefined;

  const failed = () => {
    failedAt = performance.now();
  };
  const answered = (client: PoolClient) => {
    answeredAt = performance.now();
    lastAnswer.set(client, answeredAt);
  };

  // An idle connection that the server ends arrives here; without this listener it would end the process.
  pool.on("error", (error) => {
    failed();
    options.onError(error);
  });
  pool.on("connect", (client) => {
    answered(client);
    // The pool listens only while a client is idle; this covers the time in which it is leased.
    client.on("error", () => {
      lost.add(client);
      failed();
    });
    ends.set(
      client,
      new Promise((resolve) => {
        client.once("end", resolve);
      }),
    );
  });
  pool.on("remove", (client) => {
    ends.delete(client);
  });

  /**
   * After a failure the other idle connections may be dead without knowing it (a silent network): ask before use. When one
   * does not answer, all that were silent since then go without being asked.
   */
  async function usable(client: PoolClient): Promise<boolean> {
    const heard = lastAnswer.get(client) ?? Number.NEGATIVE_INFINITY;
    if (heard >= failedAt) return true;
    if (heard < distrustedBefore) return false;
    try {
      await client.query(timed("select 1", [], PROBE_TIMEOUT_MS));
      answered(client);
      return true;
    } catch {
      distrustedBefore = failedAt;
      return false;
    }
  }

  /** Destroyed, not ended: a goodbye would wait for a network that may be silent. */
  function destroy(client: PoolClient, error: Error | true): void {
    client.connection.stream.destroy();
    client.release(error);
  }

  function acquire(timeoutMs: number): Promise<PoolClient> {
    let waiting = true;
    const next = async (): Promise<PoolClient> => {
      for (;;) {
        const client = await pool.connect();
        if (await usable(client)) return client;
        destroy(client, true);
        if (!waiting) throw new Error("timeout exceeded when trying to connect");
      }
    };
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting = false;
        reject(new Error("timeout exceeded when trying to connect"));
      }, timeoutMs);
      next().then(
        (client) => {
          clearTimeout(timer);
          if (waiting) resolve(client);
          else client.release();
        },
        (error: unknown) => {
          clearTimeout(timer);
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }

  async function lease(queryTimeoutMs = options.queryTimeoutMs): Promise<PostgresLease> {
    const askedAt = performance.now();
    let client: PoolClient;
    try {
      client = await acquire(Math.min(options.connectTimeoutMs, queryTimeoutMs));
    } catch (error) {
      failed();
      throw dependencyUnavailable("database", error);
    }
    leased.add(client);
    return createLease(client, askedAt, queryTimeoutMs);
  }

  function createLease(client: PoolClient, askedAt: number, queryTimeoutMs: number): PostgresLease {
    let first = true;
    let sealed = false;
    let broken: Error | undefined;

    function remaining(): number {
      if (!first) return queryTimeoutMs;
      first = false;
      const waited = performance.now() - askedAt;
      return Math.max(queryTimeoutMs - waited, Math.min(FIRST_STATEMENT_MIN_MS, queryTimeoutMs));
    }

    async function run(text: string, values: readonly unknown[] = []): Promise<ServerResult> {
      // Nothing will answer: not even the ROLLBACK that follows a failure.
      if (broken !== undefined) throw dependencyUnavailable("database", broken);
      try {
        const result = await client.query(timed(text, values, remaining()));
        answered(client);
        return result;
      } catch (error) {
        if (!isUnavailable(error) && !lost.has(client)) throw error;
        if (breaksSession(error) || lost.has(client)) {
          broken ??= error instanceof Error ? error : new Error(String(error));
          failed();
        }
        throw dependencyUnavailable("database", error);
      }
    }

    return {
      run,
      async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
        if (sealed) throw new Error("a statement was issued after its transaction had ended");
        const { command, rowCount, rows } = await run(query.sql, query.parameters);
        const changes =
          command === "INSERT" || command === "UPDATE" || command === "DELETE" || command === "MERGE";
        return {
          ...(changes ? { numAffectedRows: BigInt(rowCount ?? 0) } : {}),
          rows: (rows ?? []) as R[],
        };
      },
      streamQuery() {
        throw new Error("streaming is not supported; read in pages");
      },
      seal() {
        sealed = true;
      },
      release() {
        sealed = true;
        // `close` may have taken it already.
        if (!leased.delete(client)) return;
        if (broken !== undefined) destroy(client, broken);
        // A session inside a transaction must not serve anybody else.
        else client.release(client.getTransactionStatus() !== "I");
      },
    };
  }

  async function closeAll(): Promise<void> {
    // `end` waits for leased connections; one that hangs on a silent network must not hold up a shutdown.
    await Promise.race([pool.end(), delay(CLOSE_GRACE_MS)]);
    for (const client of leased) destroy(client, new Error("the pool is closing"));
    leased.clear();
    await Promise.race([Promise.all(ends.values()), delay(1000)]);
  }

  return {
    lease,
    failedLately: () => failedAt > answeredAt && performance.now() - failedAt < FAILED_LATELY_MS,
    close() {
      closing ??= closeAll();
      return closing;
    },
  };
}
