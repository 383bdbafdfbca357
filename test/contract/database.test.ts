import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import type { Database, Sql, Tx } from "../../src/platform/database/database.js";
import { isUniqueViolation } from "../../src/platform/database/database.js";
import { createPostgresDatabase, type PostgresOptions } from "../../src/platform/database/postgres.js";
import { createTestDatabase, type TestDatabase, testServers } from "../kit/postgres.js";

interface Tables {
  counters: { id: string; value: number };
}

/** A promise opened from outside: lets one transaction wait for a point in another. */
function gate() {
  let open: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
}

async function value(from: Sql, id: string): Promise<number | undefined> {
  const row = await from
    .tables<Tables>()
    .selectFrom("counters")
    .select("value")
    .where("id", "=", id)
    .executeTakeFirst();
  return row?.value;
}

function add(into: Sql, id: string, start = 0) {
  return into.tables<Tables>().insertInto("counters").values({ id, value: start }).execute();
}

async function backend(of: Sql): Promise<number> {
  const { rows } = await sql<{ pid: number }>`select pg_backend_pid() pid`.execute(of.tables());
  return rows[0]!.pid;
}

const unavailable = { code: "dependency_unavailable", status: 503, headers: { "Retry-After": "2" } };

for (const server of testServers()) {
  const suite = server.reachable ? describe : describe.skip;

  suite(`Database on ${server.name}`, () => {
    let test: TestDatabase;
    let db: Database;
    const reported: unknown[] = [];

    beforeAll(async () => {
      test = await createTestDatabase({
        migrated: false,
        server: () => server.start(),
        onError: (error) => reported.push(error),
      });
      db = test.database;
      await sql`create table counters (id text constraint counters_pk primary key, value bigint not null)`.execute(
        db.tables(),
      );
    });
    afterAll(() => test.close());

    async function using(
      options: Partial<PostgresOptions>,
      use: (other: Database) => Promise<void>,
    ): Promise<void> {
      const other = createPostgresDatabase({
        connection: test.connection,
        onError: () => undefined,
        ...options,
      });
      try {
        await use(other);
      } finally {
        await other.close();
      }
    }

    it("[DB1] reads int8 as numbers while they are exact, timestamptz as Date and days as text", async () => {
      const { rows } =
        await sql`select count(*) as count, 9007199254740993::int8 as big, array[1, null, 2]::int8[] as list,
        timestamptz '2024-05-06 07:08:09.123+02' as instant, date '2024-05-06' as day`.execute(db.tables());
      expect(rows).toEqual([
        {
          count: 1,
          big: "9007199254740993",
          list: [1, null, 2],
          instant: new Date("2024-05-06T05:08:09.123Z"),
          day: "2024-05-06",
        },
      ]);
    });

    it("[DB2] keeps what a transaction wrote when it ends well and nothing of it when it throws", async () => {
      await expect(db.transaction(async (tx) => void (await add(tx, "kept", 7)))).resolves.toBeUndefined();
      const failure = new Error("on purpose");
      await expect(
        db.transaction(async (tx) => {
          await add(tx, "undone");
          throw failure;
        }),
      ).rejects.toBe(failure);
      expect(await value(db, "kept")).toBe(7);
      expect(await value(db, "undone")).toBeUndefined();
    });

    it("[DB3] shows nobody else what is not committed", async () => {
      await db.transaction(async (tx) => {
        await add(tx, "hidden");
        expect(await value(tx, "hidden")).toBe(0);
        expect(await value(db, "hidden")).toBeUndefined();
      });
    });

    it("[DB4] runs afterCommit effects once, in order, after COMMIT, and none after a rollback", async () => {
      const seen: string[] = [];
      await db.transaction(async (tx) => {
        await add(tx, "effects");
        tx.afterCommit(() => seen.push("first"));
        tx.afterCommit(() => seen.push("second"));
        expect(seen).toEqual([]);
      });
      expect(seen).toEqual(["first", "second"]);
      await expect(
        db.transaction((tx) => {
          tx.afterCommit(() => seen.push("never"));
          return Promise.reject(new Error("on purpose"));
        }),
      ).rejects.toThrow("on purpose");
      expect(seen).toEqual(["first", "second"]);
    });

    it("[DB5] reports what an effect throws or rejects with; the transaction stays committed", async () => {
      reported.length = 0;
      const seen: string[] = [];
      await db.transaction(async (tx) => {
        await add(tx, "throwing");
        tx.afterCommit(() => {
          throw new Error("effect one");
        });
        tx.afterCommit(() => Promise.reject(new Error("effect two")));
        tx.afterCommit(() => seen.push("third"));
      });
      await Promise.resolve();
      expect(seen).toEqual(["third"]);
      expect(await value(db, "throwing")).toBe(0);
      expect(reported.map(String).sort()).toEqual(["Error: effect one", "Error: effect two"]);
    });

    it("[DB6] hands constraint violations to the caller with their SQLSTATE and constraint", async () => {
      await add(db, "unique");
      const failure = await add(db, "unique").catch((error: unknown) => error);
      expect(isUniqueViolation(failure)).toBe(true);
      expect(isUniqueViolation(failure, "counters_pk")).toBe(true);
      expect(isUniqueViolation(failure, "other")).toBe(false);
      const inside = await db.transaction((tx) => add(tx, "unique")).catch((error: unknown) => error);
      expect(isUniqueViolation(inside, "counters_pk")).toBe(true);
    });

    it("[DB7] never reports a commit that the server turned into a rollback", async () => {
      const seen: string[] = [];
      const swallowing = db.transaction(async (tx) => {
        await add(tx, "swallowed");
        await add(tx, "swallowed").catch(() => undefined);
        tx.afterCommit(() => seen.push("committed"));
      });
      await expect(swallowing).rejects.toThrow(/rolled back/);
      expect(seen).toEqual([]);
      expect(await value(db, "swallowed")).toBeUndefined();
    });

    it("[DB8] does not run what a failed transaction had still queued", async () => {
      let late: Promise<unknown> = Promise.resolve();
      let outer: Tx | undefined;
      await expect(
        db.transaction(async (tx) => {
          outer = tx;
          const failing = sql`select 1 / 0`.execute(tx.tables());
          late = Promise.allSettled([add(tx, "late one"), add(tx, "late two")]);
          await failing;
        }),
      ).rejects.toMatchObject({ code: "22012" });
      await late;
      await expect(add(outer!, "late three")).rejects.toThrow(/transaction had ended/);
      expect(await Promise.all(["late one", "late two", "late three"].map((id) => value(db, id)))).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
    });

    it("[DB9] runs statements issued at once in a transaction one after another on its connection", async () => {
      const pids = await db.transaction((tx) => Promise.all([backend(tx), backend(tx), backend(tx)]));
      expect(new Set(pids).size).toBe(1);
      await expect(
        db
          .tables()
          .transaction()
          .execute(() => Promise.resolve()),
      ).rejects.toThrow("Database.transaction");
    });

    it("[DB10] runs a transaction again after a serialization failure, with the effects of the last try only", async () => {
      await add(db, "serial");
      const runs: number[] = [];
      const effects: number[] = [];
      await db.transaction(
        async (tx) => {
          runs.push(runs.length);
          const run = runs.length;
          tx.afterCommit(() => effects.push(run));
          const read = (await value(tx, "serial"))!;
          // Somebody else commits a change in between, the first two times.
          if (run < 3)
            await sql`update counters set value = value + 1 where id = 'serial'`.execute(db.tables());
          await sql`update counters set value = ${read + 10} where id = 'serial'`.execute(tx.tables());
        },
        { isolation: "repeatable read" },
      );
      expect(runs.length).toBe(3);
      expect(effects).toEqual([3]);
      expect(await value(db, "serial")).toBe(12);
    });

    it("[DB11] tries as often as told, then says the server is busy", async () => {
      await add(db, "busy");
      let runs = 0;
      const clash = async (tx: Tx) => {
        runs++;
        await value(tx, "busy");
        await sql`update counters set value = value + 1 where id = 'busy'`.execute(db.tables());
        await sql`update counters set value = -1 where id = 'busy'`.execute(tx.tables());
      };
      const limits = { isolation: "serializable", retries: 1 } as const;
      await expect(db.transaction(clash, limits)).rejects.toMatchObject({ code: "overloaded", status: 503 });
      expect(runs).toBe(2);
      runs = 0;
      await expect(db.transaction(clash, { isolation: "serializable" })).rejects.toMatchObject({
        code: "overloaded",
      });
      expect(runs).toBe(4);
    });

    it("[DB12] ends a deadlock by running one of the two again", async () => {
      await add(db, "left");
      await add(db, "right");
      const touch = (tx: Tx, id: string) =>
        sql`update counters set value = value + 1 where id = ${id}`.execute(tx.tables());
      const one = gate();
      const two = gate();
      await Promise.all([
        db.transaction(async (tx) => {
          await touch(tx, "left");
          one.open();
          await two.passed;
          await touch(tx, "right");
        }),
        db.transaction(async (tx) => {
          await touch(tx, "right");
          two.open();
          await one.passed;
          await touch(tx, "left");
        }),
      ]);
      expect([await value(db, "left"), await value(db, "right")]).toEqual([2, 2]);
    });

    it("[DB13] loses no update of many transactions on one row", async () => {
      await add(db, "hot");
      await Promise.all(
        Array.from({ length: 40 }, () =>
          db.transaction(async (tx) => {
            const rows = tx
              .tables<Tables>()
              .selectFrom("counters")
              .select("value")
              .where("id", "=", "hot")
              .forUpdate();
            const { value: read } = await rows.executeTakeFirstOrThrow();
            await sql`update counters set value = ${read + 1} where id = 'hot'`.execute(tx.tables());
          }),
        ),
      );
      expect(await value(db, "hot")).toBe(40);
    });

    it("[DB14] ends a statement at the transaction's time-out and keeps the session", async () => {
      await using({ poolMax: 1 }, async (other) => {
        const pid = await backend(other);
        const slow = other.transaction((tx) => sql`select pg_sleep(30)`.execute(tx.tables()), {
          statementTimeoutMs: 50,
        });
        await expect(slow).rejects.toMatchObject({ ...unavailable, cause: { code: "57014" } });
        expect(await backend(other)).toBe(pid);
        const { rows } = await sql`show statement_timeout`.execute(other.tables());
        expect(rows).toEqual([{ statement_timeout: "5s" }]);
      });
    });

    it("[DB15] lets a transaction take longer than the request path when it says so", async () => {
      await using({ queryTimeoutMs: 100 }, async (other) => {
        const sleep = (tx: Sql) => sql`select pg_sleep(0.3)`.execute(tx.tables());
        await other.transaction(sleep, { statementTimeoutMs: 5000 });
        await expect(other.transaction(sleep)).rejects.toMatchObject(unavailable);
      });
    });

    it("[DB16] never reuses a session whose statement was given up", async () => {
      await using({ poolMax: 1, queryTimeoutMs: 200 }, async (other) => {
        const pid = await backend(other);
        await expect(sql`select pg_sleep(30)`.execute(other.tables())).rejects.toMatchObject(unavailable);
        expect(await backend(other)).not.toBe(pid);
        await expect(sql`select 1 as one`.execute(other.tables())).resolves.toMatchObject({
          rows: [{ one: 1 }],
        });
      });
    });

    it("[DB17] gives back every connection of failed work, and bounds the wait for one", async () => {
      await using({ poolMax: 2, connectTimeoutMs: 200 }, async (other) => {
        for (let round = 0; round < 5; round++) {
          await other.transaction(() => Promise.reject(new Error("on purpose"))).catch(() => undefined);
          await sql`select 1 / 0`.execute(other.tables()).catch(() => undefined);
        }
        const hold = gate();
        const held = [0, 1].map(() => other.transaction(() => hold.passed));
        await expect(backend(other)).rejects.toMatchObject(unavailable);
        hold.open();
        await Promise.all(held);
        await expect(backend(other)).resolves.toBeGreaterThan(0);
      });
    });

    it("[DB18] survives sessions ended by the server: idle, between two statements and in the middle of one", async () => {
      const errors: unknown[] = [];
      await using({ poolMax: 1, onError: (error) => errors.push(error) }, async (other) => {
        const end = (pid: number) => sql`select pg_terminate_backend(${pid})`.execute(db.tables());

        const idle = await backend(other);
        await end(idle);
        while (errors.length === 0) await new Promise((resolve) => setImmediate(resolve));
        expect(await backend(other)).not.toBe(idle);

        const between = other.transaction(async (tx) => {
          const pid = await backend(tx);
          await end(pid);
          while ((await sessions(pid)) > 0) await new Promise((resolve) => setImmediate(resolve));
          await backend(tx);
        });
        await expect(between).rejects.toMatchObject(unavailable);

        const middle = other.transaction(async (tx) => {
          const pid = await backend(tx);
          const sleeping = sql`select pg_sleep(30)`.execute(tx.tables());
          await end(pid);
          await sleeping;
        });
        await expect(middle).rejects.toMatchObject(unavailable);
        await expect(other.ping()).resolves.toBeUndefined();
      });

      async function sessions(pid: number): Promise<number> {
        const { rows } = await sql<{
          n: number;
        }>`select count(*) n from pg_stat_activity where pid = ${pid}`.execute(db.tables());
        return rows[0]!.n;
      }
    });

    it("[DB19] reads from the replica handle like from any other, and refuses everything once closed", async () => {
      await add(db, "read");
      expect(await value(db.replica, "read")).toBe(0);
      const other = createPostgresDatabase({ connection: test.connection, onError: () => undefined });
      await other.ping();
      await other.close();
      await expect(other.ping()).rejects.toMatchObject(unavailable);
      await expect(other.transaction(() => Promise.resolve())).rejects.toMatchObject(unavailable);
    });
  });
}
