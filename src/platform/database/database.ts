import type { Kysely } from "kysely";

/** Somewhere SQL can be run: the pool, or one transaction. */
export interface Sql {
  /**
   * Typed access to the tables a feature owns, for example `sql.tables<ProjectTables>()`.
   * Every call gives the same connection or pool; the type argument only names tables.
   */
  tables<T>(): Kysely<T>;
}

/** One open transaction. */
export interface Tx extends Sql {
  /** Runs `effect` once after COMMIT (never after a rollback, never twice on a retry). Errors in it are logged. */
  afterCommit(effect: () => void): void;
}

/** How a transaction runs. */
export interface TransactionOptions {
  /** Default `read committed`. */
  readonly isolation?: "read committed" | "repeatable read" | "serializable";
  /** How often serialization failures (40001) and deadlocks (40P01) are tried again; default 3. */
  readonly retries?: number;
  /** Statement time-out inside this transaction in ms, for the server and (a little longer) for the client; default the pool's. */
  readonly statementTimeoutMs?: number;
}

/**
 * Truth: users, sessions, projects, jobs, documents' logs and the outbox.
 * Connection failures and time-outs are thrown as `AppError("dependency_unavailable")`; constraint violations reach the
 * caller as the driver's error with its SQLSTATE in `code` (see `isUniqueViolation`).
 */
export interface Database extends Sql {
  /**
   * Runs `work` in one transaction; `work` may run again after a serialization failure, so its effects belong in `tx`. When
   * the retries are used up it throws `AppError("overloaded")`. An answer to COMMIT that is lost is `dependency_unavailable`:
   * the work may or may not be done.
   */
  transaction<R>(work: (tx: Tx) => Promise<R>, options?: TransactionOptions): Promise<R>;
  /** Reads that may lag behind (replicas when configured, else the primary). */
  readonly replica: Sql;
  /** One round trip; rejects when the database does not answer in time (1 s). */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** True when `error` is a violation of a unique constraint, optionally of the one named. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  const e = error as { code?: unknown; constraint?: unknown } | null;
  return (
    e !== null && typeof e === "object" && e.code === "23505" && (!constraint || e.constraint === constraint)
  );
}
