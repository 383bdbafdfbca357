import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import { migrate } from "../../src/platform/database/migrate.js";
import { createTestDatabase, type TestDatabase } from "../kit/postgres.js";

describe("migrate", () => {
  let test: TestDatabase;
  let directory: string;

  beforeEach(async () => {
    test = await createTestDatabase({ migrated: false });
    directory = await mkdtemp(path.join(os.tmpdir(), "atelier-migrations-"));
  });
  afterEach(async () => {
    await test.close();
    await rm(directory, { recursive: true });
  });

  const file = (name: string, text: string) => writeFile(path.join(directory, name), text);
  const run = (options = {}) => migrate(test.connection, { directory, ...options });

  async function tables(): Promise<string[]> {
    const { rows } = await sql<{ name: string }>`select table_name as name from information_schema.tables
      where table_schema = 'public' order by 1`.execute(test.database.tables());
    return rows.map(({ name }) => name);
  }

  it("[DB30] applies every new file once, in the order of the numbers", async () => {
    await file("0002_second.sql", "insert into first values (2); create table second ();");
    await file("0001_first.sql", "create table first (n int); insert into first values (1);");
    await file("notes.txt", "not a migration");
    const told: string[] = [];
    expect(await run({ onApplied: (name: string) => told.push(name) })).toEqual([
      "0001_first.sql",
      "0002_second.sql",
    ]);
    expect(told).toEqual(["0001_first.sql", "0002_second.sql"]);
    expect(await run()).toEqual([]);
    await file("0003_third.sql", "create table third ();");
    expect(await run()).toEqual(["0003_third.sql"]);
    expect(await tables()).toEqual(["first", "schema_migrations", "second", "third"]);
    const { rows } = await sql`select n from first order by n`.execute(test.database.tables());
    expect(rows).toEqual([{ n: 1 }, { n: 2 }]);
  });

  it("[DB31] lets nodes that start together wait for the one that migrates", async () => {
    await file("0001_slow.sql", "select pg_sleep(0.3); create table slow ();");
    const results = await Promise.all([run(), run(), run(), run()]);
    expect(results.flat()).toEqual(["0001_slow.sql"]);
  });

  it("[DB32] changes nothing when one file fails, and names it", async () => {
    await file("0001_good.sql", "create table good ();");
    await file("0002_bad.sql", "create table bad (); select nonsense;");
    await expect(run()).rejects.toThrow(/^migration 0002_bad\.sql: .*nonsense/);
    expect(await tables()).toEqual([]);
    await file("0002_bad.sql", "create table bad ();");
    expect(await run()).toEqual(["0001_good.sql", "0002_bad.sql"]);
  });

  it("[DB33] refuses a file that changed after it was applied; line ends are no change", async () => {
    await file("0001_lines.sql", "create table lines ();\n-- end\n");
    await run();
    await file("0001_lines.sql", "create table lines ();\r\n-- end\r\n");
    expect(await run()).toEqual([]);
    await file("0001_lines.sql", "create table lines (n int);\n-- end\n");
    await expect(run()).rejects.toThrow("migration 0001_lines.sql changed after it was applied");
  });

  it("[DB34] refuses a database with migrations it does not know, and says which version to start", async () => {
    await file("0001_one.sql", "create table one ();");
    await file("0002_two.sql", "create table two ();");
    await run();
    await rm(path.join(directory, "0002_two.sql"));
    await expect(run()).rejects.toThrow("migration 0002_two.sql was applied by a newer version");
    expect(await run({ allowNewer: true })).toEqual([]);
    await rm(path.join(directory, "0001_one.sql"));
    await file("0003_three.sql", "create table three ();");
    await expect(run({ allowNewer: true })).rejects.toThrow(
      "0001_one.sql was applied to this database but its file is gone",
    );
    expect(await tables()).not.toContain("three");
  });

  it("[DB35] refuses bad names, a number used twice, a missing folder, and files that end the transaction", async () => {
    await file("1_short.sql", "");
    await expect(run()).rejects.toThrow("1_short.sql: the name must look like");
    await rm(path.join(directory, "1_short.sql"));
    await file("0001_one.sql", "create table one ();");
    await file("0001_uno.sql", "create table uno ();");
    await expect(run()).rejects.toThrow("0001_one.sql and 0001_uno.sql have the same number");
    await rm(path.join(directory, "0001_uno.sql"));
    await file("0002_commit.sql", "commit;");
    await expect(run()).rejects.toThrow("0002_commit.sql ends the transaction");
    await expect(migrate(test.connection, { directory: path.join(directory, "none") })).rejects.toThrow(
      "ENOENT",
    );
  });

  it("[DB36] waits a bounded time for a table that is in use, then changes nothing", async () => {
    await file("0001_used.sql", "create table used ();");
    await run();
    await file("0002_alter.sql", "set local lock_timeout = '50ms'; alter table used add column n int;");
    await test.database.transaction(async (tx) => {
      await sql`select * from used`.execute(tx.tables());
      await expect(run()).rejects.toThrow(/0002_alter\.sql: .*lock timeout/);
    });
    expect(await run()).toEqual(["0002_alter.sql"]);
  });

  it("[DB37] finds the product's own migrations beside the code; all of them apply to an empty database", async () => {
    const own = await readdir(new URL("../../src/platform/database/migrations/", import.meta.url));
    expect(await migrate(test.connection)).toEqual(own.filter((name) => name.endsWith(".sql")).sort());
  });
});
