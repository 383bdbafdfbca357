import { afterAll, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { CompiledQuery, type KyselyPlugin, sql } from "kysely";
import { v7 } from "uuid";
import type { ActivityEntry } from "../../src/activity/store/activity-store.js";
import {
  createPostgresActivityStore,
  createPostgresPresenceSessionStore,
  pruneActivity,
} from "../../src/activity/store/postgres.js";
import type { ConnectionSession } from "../../src/activity/store/presence-session-store.js";
import type { Database } from "../../src/platform/database/database.js";
import { createTestDatabase, type TestDatabase } from "../kit/postgres.js";

const NOW = Date.UTC(2026, 5, 1);
const DAY = 86_400_000;

describe("activity store, PostgreSQL only", () => {
  let created: TestDatabase;
  beforeAll(async () => {
    created = await createTestDatabase();
  });
  afterAll(async () => {
    await created.close();
  });
  beforeEach(async () => {
    await sql`truncate activity, connection_sessions`.execute(created.database.tables());
  });

  function entries(projectId: string, createdAt: number, count: number): ActivityEntry[] {
    return Array.from({ length: count }, () => ({
      id: v7(),
      projectId,
      userId: null,
      type: "file_saved",
      payload: {},
      createdAt,
    }));
  }

  it("[AS14] pruning removes what is older than the retention, in as many batches as it takes, and nothing else", async () => {
    const store = createPostgresActivityStore(created.database);
    const projectId = v7();
    const kept = entries(projectId, NOW - 90 * DAY, 3);
    await store.append([...entries(projectId, NOW - 90 * DAY - 1, 25), ...kept]);
    const pruned = await pruneActivity(created.database, { now: NOW, retentionDays: 90, batchSize: 10 });
    expect(pruned).toEqual({ entries: 25, sessions: 0 });
    const left = await store.list({ projectId, limit: 100 });
    expect(left.map(({ id }) => id).toSorted()).toEqual(kept.map(({ id }) => id).toSorted());
    expect(await pruneActivity(created.database, { now: NOW, retentionDays: 90 })).toEqual({
      entries: 0,
      sessions: 0,
    });
  });

  it("[AS14] a retention of 0 days keeps activity for ever; a signal stops between two batches", async () => {
    const store = createPostgresActivityStore(created.database);
    const projectId = v7();
    await store.append(entries(projectId, 0, 5));
    expect(await pruneActivity(created.database, { now: NOW, retentionDays: 0 })).toMatchObject({
      entries: 0,
    });
    const signal = AbortSignal.abort();
    expect(await pruneActivity(created.database, { now: NOW, retentionDays: 1, signal })).toMatchObject({
      entries: 0,
    });
    expect(await store.list({ projectId, limit: 100 })).toHaveLength(5);
  });

  it("[CS6] pruning removes a connection 30 days after its end, or 365 days after its start when no end is known", async () => {
    const store = createPostgresPresenceSessionStore(created.database);
    const projectId = v7();
    const session = (connectedAt: number, disconnectedAt: number | null): ConnectionSession => ({
      id: v7(),
      projectId,
      userId: v7(),
      nodeId: "node-a",
      connectedAt,
      disconnectedAt,
      closeCode: null,
    });
    const kept = [session(NOW - 40 * DAY, NOW - 30 * DAY), session(NOW - 365 * DAY, null)];
    const gone = [session(NOW - 40 * DAY, NOW - 30 * DAY - 1), session(NOW - 365 * DAY - 1, null)];
    await store.opened([...kept, ...gone]);
    expect(await pruneActivity(created.database, { now: NOW, retentionDays: 0 })).toEqual({
      entries: 0,
      sessions: 2,
    });
    expect(await store.listByProject(projectId, 10)).toEqual(kept);
  });

  it("[AS19] a page is read from an index in its order, however large the table, with and without filters", async () => {
    const [projectId, userId] = [v7(), v7()];
    const tables = created.database.tables();
    await sql`
      insert into activity (id, project_id, user_id, type, payload, created_at)
      select gen_random_uuid(), case n % 3 when 0 then ${projectId}::uuid else gen_random_uuid() end,
        case n % 2 when 0 then ${userId}::uuid end, case n % 5 when 0 then 'a' else 'b' end, '{}', now() - n * interval '1 s'
      from generate_series(1, 20000) n`.execute(tables);
    await sql`analyze activity`.execute(tables);
    const plans = await explained(async (database) => {
      const store = createPostgresActivityStore(database);
      const before = { createdAt: Date.now() - 3_600_000, id: v7() };
      await store.list({ projectId, limit: 50 });
      await store.list({ projectId, limit: 50, before });
      await store.list({ projectId, limit: 50, before, type: "a" });
      await store.list({ projectId, limit: 50, before, userId });
    });
    expect(plans).toHaveLength(4);
    for (const plan of plans) {
      expect(plan).toMatch(/Index Scan using activity_project_\w*recent/);
      expect(plan).not.toMatch(/Sort|Seq Scan/);
    }
  });

  /** The plans of what `work` reads, as the server explains them. */
  async function explained(work: (database: Database) => Promise<void>): Promise<string[]> {
    const { database } = created;
    const queries: CompiledQuery[] = [];
    const executor = database.tables().getExecutor();
    const recorder: KyselyPlugin = {
      transformQuery: ({ node, queryId }) => {
        queries.push(executor.compileQuery(node, queryId));
        return node;
      },
      transformResult: async ({ result }) => result,
    };
    await work({ ...database, replica: { tables: <T>() => database.tables<T>().withPlugin(recorder) } });
    return Promise.all(
      queries.map(async (query) => {
        const explain = CompiledQuery.raw(`explain ${query.sql}`, [...query.parameters]);
        const { rows } = await database.tables().executeQuery<{ "QUERY PLAN": string }>(explain);
        return rows.map((row) => row["QUERY PLAN"]).join("\n");
      }),
    );
  }
});
