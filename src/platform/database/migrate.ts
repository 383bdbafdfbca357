import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Client } from "pg";
import { connectClient, type PostgresConnection } from "./postgres-connection.js";

/** How `migrate` runs. */
export interface MigrateOptions {
  /** Folder of `NNNN_name.sql` files; default the `migrations` folder beside this file. */
  readonly directory?: string;
  /** Starts even when a newer version of the product has already changed the database (a rollback of one release). */
  readonly allowNewer?: boolean;
  /** Told the name of each file as it is applied. */
  readonly onApplied?: (name: string) => void;
}

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

/** Two nodes that start together: the second waits here until the first has committed. */
const LOCK = "select pg_advisory_xact_lock(hashtext('atelier_migrations'))";
/** A statement that waits longer for a table would hold up every query behind it. */
const LOCK_TIMEOUT = "set local lock_timeout = '10s'";
const CREATE_LEDGER = `create table if not exists schema_migrations (
  name text primary key,
  sha256 text not null,
  applied_at timestamptz not null default now()
)`;

/**
 * Brings the database up to date: every file not applied yet, in order, all in one transaction. Returns the names applied
 * now. Refuses to start when an applied file changed or is unknown here.
 */
export async function migrate(
  connection: PostgresConnection,
  options: MigrateOptions = {},
): Promise<string[]> {
  const directory = options.directory ?? fileURLToPath(new URL("./migrations/", import.meta.url));
  const migrations = await readMigrations(directory);
  const client = await connectClient(connection);
  try {
    await client.query("begin");
    await client.query(LOCK);
    await client.query(LOCK_TIMEOUT);
    await client.query(CREATE_LEDGER);
    const { rows } = await client.query<Omit<Migration, "sql">>("select name, sha256 from schema_migrations");
    const pending = pendingOf(migrations, rows, options.allowNewer ?? false);
    for (const migration of pending) {
      await apply(client, migration);
      options.onApplied?.(migration.name);
    }
    await client.query("commit");
    return pending.map((migration) => migration.name);
  } finally {
    // Ending the session rolls back whatever was not committed.
    await client.end();
  }
}

/** One hash over all files: names a schema, for example that of a template database. */
export async function migrationsHash(options: Pick<MigrateOptions, "directory"> = {}): Promise<string> {
  const directory = options.directory ?? fileURLToPath(new URL("./migrations/", import.meta.url));
  const hash = createHash("sha256");
  for (const { name, sha256 } of await readMigrations(directory)) hash.update(`${name} ${sha256}\n`);
  return hash.digest("hex");
}

async function readMigrations(directory: string): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".sql")).sort();
  const numbers = new Map<string, string>();
  for (const name of names) {
    if (!/^\d{4}_[a-z0-9_-]+\.sql$/.test(name)) {
      throw new Error(`migration ${name}: the name must look like 0001_some_words.sql`);
    }
    const number = name.slice(0, 4);
    const twin = numbers.get(number);
    if (twin !== undefined) throw new Error(`migrations ${twin} and ${name} have the same number`);
    numbers.set(number, name);
  }
  return Promise.all(
    names.map(async (name) => {
      // A checkout on Windows may have turned the line ends.
      const sql = (await readFile(path.join(directory, name), "utf8")).replaceAll("\r\n", "\n");
      return { name, sql, sha256: createHash("sha256").update(sql).digest("hex") };
    }),
  );
}

function pendingOf(
  migrations: readonly Migration[],
  applied: readonly Omit<Migration, "sql">[],
  allowNewer: boolean,
): Migration[] {
  const known = new Map(migrations.map((migration) => [migration.name, migration]));
  const newest = migrations.at(-1)?.name ?? "";
  for (const { name, sha256 } of applied) {
    const migration = known.get(name);
    if (migration === undefined) {
      if (name > newest && allowNewer) continue;
      throw new Error(
        name > newest
          ? `migration ${name} was applied by a newer version of the product; start that version`
          : `migration ${name} was applied to this database but its file is gone`,
      );
    }
    if (migration.sha256 !== sha256) {
      throw new Error(
        `migration ${name} changed after it was applied; restore it and add a new file instead`,
      );
    }
  }
  const done = new Set(applied.map(({ name }) => name));
  return migrations.filter(({ name }) => !done.has(name));
}

async function apply(client: Client, { name, sql, sha256 }: Migration): Promise<void> {
  try {
    await client.query(sql);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`migration ${name}: ${reason}`, { cause: error });
  }
  if (client.getTransactionStatus() !== "T") {
    throw new Error(`migration ${name} ends the transaction; a migration must not commit or roll back`);
  }
  await client.query("insert into schema_migrations (name, sha256) values ($1, $2)", [name, sha256]);
}
