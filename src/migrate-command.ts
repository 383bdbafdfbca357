import path from "node:path";
import type { Config } from "./config.js";
import { startEmbeddedPostgres } from "./platform/database/embedded.js";
import { migrate } from "./platform/database/migrate.js";
import { givenDatabase } from "./stores.js";

/** `npm run migrate`: brings the schema up to date and ends. Returns the exit code. */
export async function migrateOnly(config: Config, say: (text: string) => void): Promise<number> {
  const embedded = config.embedded.database
    ? await startEmbeddedPostgres({ dataDir: path.resolve(config.DATA_DIR), onMessage: say })
    : undefined;
  try {
    const applied = await migrate(embedded?.connection ?? givenDatabase(config), {
      onApplied: (name) => say(`applied ${name}`),
    });
    say(applied.length === 0 ? "The schema is up to date." : `${applied.length} migrations applied.`);
    return 0;
  } finally {
    await embedded?.close();
  }
}
