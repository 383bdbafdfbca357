import { sql as raw } from "kysely";
import { v7 } from "uuid";
import type { Clock } from "../platform/clock.js";
import type { Database, Sql, Tx } from "../platform/database/database.js";
import { type DomainEvent, EVENTS, type EventType, type NewEvent } from "./catalog.js";

interface OutboxTables {
  outbox: {
    id: string;
    position: number | null;
    type: string;
    project_id: string | null;
    user_id: string | null;
    payload: Record<string, unknown>;
    created_at: Date;
  };
  outbox_cursors: { consumer: string; position: number };
}

/** Advisory lock of the one sequencer that gives positions. */
const SEQUENCER_LOCK = 4_201;

/** Events written in the transaction that causes them. */
export interface Outbox {
  /** Writes one event; consumers get it after COMMIT. Returns its id. */
  append(tx: Tx, event: NewEvent): Promise<string>;
  /** Called after a transaction with events was committed in this process. */
  onCommit(listener: () => void): void;
}

/** What the dispatcher reads. */
export interface OutboxReader {
  /** Those of these consumers that have something to do, in one statement. */
  waiting(consumers: readonly string[]): Promise<readonly string[]>;
  /** Gives committed events their positions, at most `limit`; false when another node is at it. */
  number(limit: number): Promise<boolean>;
  /** Events after the consumer's cursor. */
  pending(sql: Sql, consumer: string, limit: number): Promise<readonly DomainEvent[]>;
  /** Takes the consumer's cursor for this transaction; false when another node has it. */
  claim(tx: Tx, consumer: string): Promise<boolean>;
  advance(tx: Tx, consumer: string, position: number): Promise<void>;
  /** Makes sure the consumer has a cursor; a new one starts with the oldest event kept. */
  register(consumer: string): Promise<void>;
  /** Events committed but not yet read by the slowest of these consumers. */
  lag(): Promise<number>;
  /** Deletes what every consumer has read, older than `before`, at most `limit`. */
  prune(before: Date, limit: number): Promise<void>;
}

/** The outbox over the `Database` port. */
export function createOutbox(deps: { database: Database; clock: Clock }): Outbox & OutboxReader {
  const { database, clock } = deps;
  const listeners: (() => void)[] = [];
  const notify = () => {
    for (const listener of listeners) listener();
  };
  return {
    async append(tx, event) {
      const id = v7();
      await tx
        .tables<OutboxTables>()
        .insertInto("outbox")
        .values({
          id,
          position: null,
          type: event.type,
          project_id: event.projectId,
          user_id: event.userId,
          payload: EVENTS[event.type].parse(event.payload),
          created_at: new Date(clock.now()),
        })
        .execute();
      tx.afterCommit(notify);
      return id;
    },
    onCommit(listener) {
      listeners.push(listener);
    },
    async waiting(consumers) {
      const result = await raw<{ consumer: string }>`
        select consumer from outbox_cursors
        where consumer = any(${consumers}) and (
          position < (select position from outbox_cursors where consumer = '')
          or exists (select 1 from outbox where position is null))`.execute(database.tables<OutboxTables>());
      return result.rows.map(({ consumer }) => consumer);
    },
    number: (limit) =>
      database.transaction(async (tx) => {
        const t = tx.tables<OutboxTables>();
        const lock = await raw<{
          free: boolean;
        }>`select pg_try_advisory_xact_lock(${SEQUENCER_LOCK}) as free`.execute(t);
        if (!lock.rows[0]?.free) return false;
        await raw`
          with batch as (
            select id, row_number() over (order by id) as n from outbox
            where position is null order by id limit ${limit}
          ), base as (
            update outbox_cursors set position = position + (select count(*) from batch)
            where consumer = '' and exists (select 1 from batch)
            returning position - (select count(*) from batch) as start
          )
          update outbox set position = base.start + batch.n from batch, base where outbox.id = batch.id`.execute(
          t,
        );
        return true;
      }),
    async pending(sql, consumer, limit) {
      const t = sql.tables<OutboxTables>();
      const rows = await t
        .selectFrom("outbox")
        .selectAll()
        .where("position", ">", (q) =>
          q.selectFrom("outbox_cursors").select("outbox_cursors.position").where("consumer", "=", consumer),
        )
        .orderBy("position")
        .limit(limit)
        .execute();
      return rows.map((row) => ({
        id: row.id,
        position: Number(row.position),
        type: row.type as EventType,
        projectId: row.project_id,
        userId: row.user_id,
        payload: row.payload,
        createdAt: row.created_at.getTime(),
      }));
    },
    async claim(tx, consumer) {
      const row = await tx
        .tables<OutboxTables>()
        .selectFrom("outbox_cursors")
        .select("consumer")
        .where("consumer", "=", consumer)
        .forUpdate()
        .skipLocked()
        .executeTakeFirst();
      return row !== undefined;
    },
    async advance(tx, consumer, position) {
      await tx
        .tables<OutboxTables>()
        .updateTable("outbox_cursors")
        .set({ position })
        .where("consumer", "=", consumer)
        .execute();
    },
    async register(consumer) {
      await database
        .tables<OutboxTables>()
        .insertInto("outbox_cursors")
        .values({ consumer, position: 0 })
        .onConflict((conflict) => conflict.column("consumer").doNothing())
        .execute();
    },
    async lag() {
      const result = await raw<{ lag: number }>`
        select (select count(*) from outbox where position is null)
             + coalesce((select max(position) from outbox_cursors where consumer = '')
             - (select min(position) from outbox_cursors where consumer <> ''), 0) as lag`.execute(
        database.tables<OutboxTables>(),
      );
      return Number(result.rows[0]?.lag ?? 0);
    },
    async prune(before, limit) {
      await raw`
        delete from outbox where id in (
          select id from outbox
          where position <= (select min(position) from outbox_cursors where consumer <> '') and created_at < ${before}
          order by position limit ${limit})`.execute(database.tables<OutboxTables>());
    },
  };
}
