import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import type { Database, Sql, Tx } from "../../src/platform/database/database.js";
import { createPostgresDatabase, type PostgresOptions } from "../../src/platform/database/postgres.js";
import type { PostgresConnection } from "../../src/platform/database/postgres-connection.js";
import { createTestDatabase, type TestDatabase, testServers } from "../kit/postgres.js";
import { startTcpProxy, type TcpProxy } from "../kit/tcp-proxy.js";

const unavailable = { code: "dependency_unavailable", status: 503, headers: { "Retry-After": "2" } };
/** The promise is 2 s; the rest is room for a busy machine. */
const SOON_MS = 2900;

/** Where a proxy has to lead to. */
function target({ url, host, port }: PostgresConnection) {
  const { hostname, port: urlPort } = new URL(url ?? "postgres://localhost");
  if (url !== undefined) return { host: hostname, port: Number(urlPort || 5432) };
  return { path: `${host}/.s.PGSQL.${port}` };
}

function through(proxy: TcpProxy, { url, ...fields }: PostgresConnection): PostgresConnection {
  if (url === undefined) return { ...fields, host: proxy.host, port: proxy.port };
  return { url: urlThrough(proxy, { url }) };
}

/** As a URL, which is how replicas are given. */
function urlThrough(proxy: TcpProxy, { url, user, database }: PostgresConnection): string {
  const changed = new URL(url ?? `postgres://${user}@localhost/${database}`);
  changed.hostname = proxy.host;
  changed.port = String(proxy.port);
  return changed.href;
}

/** Expects `work` to fail because the database is away, and soon. */
async function expectUnavailable(work: () => Promise<unknown>, withinMs = SOON_MS): Promise<void> {
  const started = performance.now();
  await expect(work()).rejects.toMatchObject(unavailable);
  expect(performance.now() - started).toBeLessThan(withinMs);
}

const one = (from: Sql) => sql`select 1 as one`.execute(from.tables());

for (const server of testServers()) {
  const suite = server.reachable ? describe : describe.skip;

  suite(`Database on ${server.name} that goes away`, () => {
    let test: TestDatabase;
    let proxy: TcpProxy;
    let db: Database;
    const others: Database[] = [];

    beforeAll(async () => {
      test = await createTestDatabase({ migrated: false, server: () => server.start() });
      await sql`create table writes (id int primary key)`.execute(test.database.tables());
    });
    afterAll(() => test.close());
    beforeEach(async () => {
      proxy = await startTcpProxy(target(test.connection));
      db = open({ connection: through(proxy, test.connection) });
    });
    afterEach(async () => {
      await proxy.close();
      await Promise.all(others.splice(0).map((other) => other.close()));
    });

    function open(options: Omit<PostgresOptions, "onError">): Database {
      const opened = createPostgresDatabase({ onError: () => undefined, ...options });
      others.push(opened);
      return opened;
    }

    /** Fills the pool with idle connections. */
    function warm(database: Database): Promise<unknown> {
      return Promise.all(
        Array.from({ length: 5 }, () => sql`select pg_sleep(0.05)`.execute(database.tables())),
      );
    }

    it("[DB20] says the database is unavailable when nothing listens, and works again when it does", async () => {
      await warm(db);
      await proxy.stop();
      await expectUnavailable(() => one(db));
      await expectUnavailable(() => db.transaction(one));
      await expectUnavailable(() => db.ping());
      await proxy.restore();
      await expect(db.ping()).resolves.toBeUndefined();
      await expect(db.transaction(one)).resolves.toMatchObject({ rows: [{ one: 1 }] });
    });

    it("[DB21] gives up within 2 s on a silent server: fresh, idle and in a transaction; a ping within 1 s", async () => {
      await warm(db);
      let tx: Tx | undefined;
      let leave: () => void = () => undefined;
      const inside = db.transaction(async (open) => {
        await one(open);
        tx = open;
        await new Promise<void>((resolve) => {
          leave = resolve;
        });
      });
      while (tx === undefined) await new Promise((resolve) => setImmediate(resolve));
      const held = tx;
      const fresh = open({ connection: through(proxy, test.connection) });
      proxy.stall();
      await Promise.all([
        expectUnavailable(() => one(db)),
        expectUnavailable(() => db.transaction(one)),
        expectUnavailable(() => one(held)),
        expectUnavailable(() => one(fresh)),
        expectUnavailable(() => db.ping(), 1900),
        expectUnavailable(() => fresh.ping(), 1900),
      ]);
      leave();
      await expectUnavailable(() => inside);
      // Nothing was left in a state from which it would answer later.
      await Promise.all(Array.from({ length: 12 }, () => expectUnavailable(() => one(db))));
    });

    it("[DB22] works again after the silence without a restart, whatever connections it left behind", async () => {
      await warm(db);
      proxy.stall();
      await expectUnavailable(() => one(db));
      await proxy.restore();
      await expect(one(db)).resolves.toMatchObject({ rows: [{ one: 1 }] });
      await warm(db);
      // The route of the open connections is lost for good, new ones work.
      proxy.freeze();
      await expectUnavailable(() => one(db));
      for (let i = 0; i < 6; i++) await expect(one(db)).resolves.toMatchObject({ rows: [{ one: 1 }] });
    });

    it("[DB23] runs no afterCommit effect and tries nothing again when the answer to COMMIT is lost", async () => {
      let runs = 0;
      let effects = 0;
      await warm(db);
      await expectUnavailable(() =>
        db.transaction(async (tx) => {
          runs++;
          await sql`insert into writes values (1)`.execute(tx.tables());
          tx.afterCommit(() => effects++);
          proxy.stall();
        }),
      );
      expect({ runs, effects }).toEqual({ runs: 1, effects: 0 });
    });

    it("[DB24] closes in time although a statement hangs on a silent network", async () => {
      const slow = open({ connection: through(proxy, test.connection), queryTimeoutMs: 60_000 });
      const sleeping = sql`select pg_sleep(60)`;
      const hanging = sleeping.execute(slow.tables()).catch((error: unknown) => error);
      for (let running = 0; running === 0; ) {
        const { rows } = await sql<{ n: number }>`select count(*) n from pg_stat_activity
          where datname = current_database() and query = 'select pg_sleep(60)'`.execute(
          test.database.tables(),
        );
        running = rows[0]!.n;
      }
      proxy.stall();
      await slow.close();
      expect(await hanging).toMatchObject(unavailable);
    });

    it("[DB25] reads from replicas in turn, from the others when one is away, and from the primary without any", async () => {
      const near = [
        await startTcpProxy(target(test.connection)),
        await startTcpProxy(target(test.connection)),
      ] as const;
      try {
        const errors: unknown[] = [];
        const reader = createPostgresDatabase({
          connection: test.connection,
          replicaUrls: near.map((replica) => urlThrough(replica, test.connection)),
          onError: (error) => errors.push(error),
        });
        others.push(reader);
        const pid = async (from: Sql) => {
          const { rows } = await sql<{ pid: number }>`select pg_backend_pid() pid`.execute(from.tables());
          return rows[0]!.pid;
        };
        const primary = await pid(reader);
        const both = new Set([
          await pid(reader.replica),
          await pid(reader.replica),
          await pid(reader.replica),
        ]);
        expect(both.size).toBe(2);
        expect(both).not.toContain(primary);
        await near[0].stop();
        while (errors.length === 0) await new Promise((resolve) => setImmediate(resolve));
        for (let i = 0; i < 4; i++) expect(await pid(reader.replica)).not.toBe(primary);
        near[1].stall();
        // A statement that was under way fails once; the next ones find another server.
        await one(reader.replica).catch(() => undefined);
        for (let i = 0; i < 3; i++) expect(await pid(reader.replica)).toBe(primary);
      } finally {
        await Promise.all(near.map((replica) => replica.close()));
      }
    });

    it("[DB26] asks a replica that did not answer again only after a while", async () => {
      await proxy.stop();
      const errors: unknown[] = [];
      const reader = createPostgresDatabase({
        connection: test.connection,
        replicaUrls: [urlThrough(proxy, test.connection)],
        onError: (error) => errors.push(error),
      });
      others.push(reader);
      for (let i = 0; i < 3; i++)
        await expect(one(reader.replica)).resolves.toMatchObject({ rows: [{ one: 1 }] });
      expect(errors).toEqual([expect.objectContaining(unavailable)]);
    });
  });
}
