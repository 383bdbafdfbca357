/**
 * A process to be killed: starts the embedded PostgreSQL on the data folder in its first argument, tells its parent, and
 * inserts numbers one after another, telling each that was acknowledged.
 */
import { sql } from "kysely";
import { startEmbeddedPostgres } from "../../src/platform/database/embedded.js";
import { createPostgresDatabase } from "../../src/platform/database/postgres.js";

/** What the process tells. */
export type EmbeddedNodeMessage =
  | { readonly failed: string }
  | { readonly started: true; readonly said: readonly string[] }
  | { readonly acknowledged: number };

const tell = (message: EmbeddedNodeMessage) => process.send?.(message);
const said: string[] = [];
try {
  const { connection } = await startEmbeddedPostgres({
    dataDir: process.argv[2] ?? "",
    onMessage: (message) => said.push(message),
  });
  tell({ started: true, said });
  const database = createPostgresDatabase({ connection, onError: () => undefined });
  await sql`create table if not exists numbers (n int primary key)`.execute(database.tables());
  const { rows } = await sql<{ n: number }>`select coalesce(max(n), 0) as n from numbers`.execute(
    database.tables(),
  );
  for (let n = (rows[0]?.n ?? 0) + 1; ; n++) {
    await sql`insert into numbers values (${n})`.execute(database.tables());
    tell({ acknowledged: n });
  }
} catch (error) {
  tell({ failed: error instanceof Error ? error.message : String(error) });
  process.disconnect?.();
}
