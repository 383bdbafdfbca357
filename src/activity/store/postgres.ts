import { type RawBuilder, sql } from "kysely";
import type { Database } from "../../platform/database/database.js";
import type { ActivityStore } from "./activity-store.js";
import {
  batches,
  checkQuery,
  DELETE_BATCH,
  entryRows,
  pageLimit,
  sessionEnds,
  sessionRows,
  uuid,
  WRITE_BATCH,
} from "./inputs.js";
import type { PresenceSessionStore } from "./presence-session-store.js";
import { DAY_MS, SESSION_RETENTION_DAYS, UNENDED_SESSION_RETENTION_DAYS } from "./retention.js";

interface ActivityTables {
  activity: {
    id: string;
    project_id: string;
    user_id: string | null;
    type: string;
    payload: unknown;
    created_at: Date;
  };
  connection_sessions: {
    id: string;
    project_id: string;
    user_id: string;
    node_id: string;
    connected_at: Date;
    disconnected_at: Date | null;
    close_code: number | null;
  };
}

/** The activity log in tables of `database`, which its owner closes. */
export function createPostgresActivityStore(database: Database): ActivityStore {
  return {
    async append(entries) {
      for (const rows of batches(entryRows(entries), WRITE_BATCH)) {
        await database
          .tables<ActivityTables>()
          .insertInto("activity")
          .values(
            rows.map((row) => ({
              id: row.id,
              project_id: row.projectId,
              user_id: row.userId,
              type: row.type,
              payload: row.payload,
              created_at: row.createdAt,
            })),
          )
          .onConflict((conflict) => conflict.column("id").doNothing())
          .execute();
      }
    },

    async list(query) {
      const asked = checkQuery(query);
      if (asked === undefined) return [];
      const { type, userId, since, until, before } = asked;
      let page = database.replica
        .tables<ActivityTables>()
        .selectFrom("activity")
        .selectAll()
        .where("project_id", "=", asked.projectId)
        .orderBy("created_at", "desc")
        .orderBy("id", "desc")
        .limit(asked.limit);
      if (type !== undefined) page = page.where("type", "=", type);
      if (userId !== undefined) page = page.where("user_id", "=", userId);
      if (since !== undefined) page = page.where("created_at", ">=", since);
      if (until !== undefined) page = page.where("created_at", "<", until);
      if (before !== undefined) {
        page = page.where(sql<boolean>`(created_at, id) < (${before.createdAt}, ${before.id})`);
      }
      const rows = await page.execute();
      return rows.map((row) => ({
        id: row.id,
        projectId: row.project_id,
        userId: row.user_id,
        type: row.type,
        payload: row.payload as Record<string, unknown>,
        createdAt: row.created_at.getTime(),
      }));
    },

    async deleteProject(projectId) {
      const id = uuid(projectId);
      if (id === undefined) return;
      await deleteInBatches(database, "activity", sql`project_id = ${id}`, DELETE_BATCH);
    },

    ping: () => database.ping(),
    close: async () => undefined,
  };
}

/** The record of connections in tables of `database`, which its owner closes. */
export function createPostgresPresenceSessionStore(database: Database): PresenceSessionStore {
  return {
    async opened(sessions) {
      for (const rows of batches(sessionRows(sessions), WRITE_BATCH)) {
        await database
          .tables<ActivityTables>()
          .insertInto("connection_sessions")
          .values(
            rows.map((row) => ({
              id: row.id,
              project_id: row.projectId,
              user_id: row.userId,
              node_id: row.nodeId,
              connected_at: row.connectedAt,
              disconnected_at: row.disconnectedAt,
              close_code: row.closeCode,
            })),
          )
          .onConflict((conflict) => conflict.column("id").doNothing())
          .execute();
      }
    },

    async closed(ends) {
      for (const rows of batches(sessionEnds(ends), WRITE_BATCH)) {
        const ids = rows.map((row) => row.id);
        const moments = rows.map((row) => row.disconnectedAt.toISOString());
        const codes = rows.map((row) => row.closeCode);
        await sql`
          update connection_sessions as session
          set disconnected_at = ended.at, close_code = ended.code
          from unnest(${ids}::uuid[], ${moments}::timestamptz[], ${codes}::integer[]) as ended (id, at, code)
          where session.id = ended.id and session.disconnected_at is null
        `.execute(database.tables<ActivityTables>());
      }
    },

    async listByProject(projectId, limit) {
      const id = uuid(projectId);
      const page = pageLimit(limit);
      if (id === undefined || page === undefined) return [];
      const rows = await database.replica
        .tables<ActivityTables>()
        .selectFrom("connection_sessions")
        .selectAll()
        .where("project_id", "=", id)
        .orderBy("connected_at", "desc")
        .orderBy("id", "desc")
        .limit(page)
        .execute();
      return rows.map((row) => ({
        id: row.id,
        projectId: row.project_id,
        userId: row.user_id,
        nodeId: row.node_id,
        connectedAt: row.connected_at.getTime(),
        disconnectedAt: row.disconnected_at?.getTime() ?? null,
        closeCode: row.close_code,
      }));
    },

    close: async () => undefined,
  };
}

/** What `pruneActivity` needs. */
export interface PruneOptions {
  /** The present, in milliseconds since the Unix epoch. */
  readonly now: number;
  /** Activity older than this many days goes; 0 keeps it for ever. */
  readonly retentionDays: number;
  /** Rows removed in one statement; default 1,000. */
  readonly batchSize?: number;
  /** Stops between two batches. */
  readonly signal?: AbortSignal;
}

/** Removes what is past its time, in small statements, and says how many rows that were. MongoDB does it by itself. */
export async function pruneActivity(
  database: Database,
  { now, retentionDays, batchSize = DELETE_BATCH, signal }: PruneOptions,
): Promise<{ readonly entries: number; readonly sessions: number }> {
  const sweep = (table: keyof ActivityTables, column: string, days: number) => {
    const past = new Date(Math.max(0, now - days * DAY_MS));
    // In the order of the index, which leads past the rows that earlier batches removed.
    const aged = sql`${sql.ref(column)} < ${past} order by ${sql.ref(column)}`;
    return deleteInBatches(database, table, aged, batchSize, signal);
  };
  const entries = retentionDays === 0 ? 0 : await sweep("activity", "created_at", retentionDays);
  const ended = await sweep("connection_sessions", "disconnected_at", SESSION_RETENTION_DAYS);
  const unended = await sweep("connection_sessions", "connected_at", UNENDED_SESSION_RETENTION_DAYS);
  return { entries, sessions: ended + unended };
}

/** Removes the rows of `condition` until a batch is not full; answers how many went. */
async function deleteInBatches(
  database: Database,
  table: keyof ActivityTables,
  condition: RawBuilder<unknown>,
  size: number,
  signal?: AbortSignal,
): Promise<number> {
  const rows = sql.table(table);
  const batch = sql`delete from ${rows} where id in (select id from ${rows} where ${condition} limit ${size})`;
  let total = 0;
  while (!signal?.aborted) {
    const { numAffectedRows = 0n } = await batch.execute(database.tables<ActivityTables>());
    total += Number(numAffectedRows);
    if (numAffectedRows < size) break;
  }
  return total;
}
