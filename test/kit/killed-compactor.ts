/**
 * A compactor to be killed: begins to compact a document, tells its parent where it stands and stays there.
 * `node … killed-compactor.ts CONNECTION DOCUMENT merged|writing`
 */
import type { Database } from "../../src/platform/database/database.js";
import { createPostgresDatabase } from "../../src/platform/database/postgres.js";
import { startCompactor } from "./compactor.js";

const [connection = "{}", documentId = "", where = ""] = process.argv.slice(2);
const database = createPostgresDatabase({ connection: JSON.parse(connection), onError: () => undefined });

async function stay(): Promise<never> {
  process.send?.(where);
  setInterval(() => undefined, 1_000);
  return new Promise(() => undefined);
}

/** Everything is written, and only COMMIT is missing. */
const uncommitted: Database = {
  ...database,
  tables: database.tables,
  transaction: (work, options) =>
    database.transaction(async (tx) => {
      await work(tx);
      return stay();
    }, options),
};

await startCompactor(where === "writing" ? uncommitted : database, {
  times: { lease: 2_000 },
  ...(where === "merged" ? { beforeWriting: stay } : {}),
}).compaction.compact(documentId);
