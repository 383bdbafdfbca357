import { randomBytes } from "node:crypto";
import { type Expression, type ExpressionBuilder, sql as raw, type Selectable, type SqlBool } from "kysely";
import { v7 } from "uuid";
import type { Sql, Tx } from "../platform/database/database.js";
import type { RotationState } from "./refresh-tokens.js";
import type { AuthTables } from "./tables.js";

/** How long sessions live, in ms. */
export interface SessionLifetimes {
  /** Without a refresh. */
  readonly idleMs: number;
  /** In any case. */
  readonly absoluteMs: number;
}

/** The device a session belongs to. */
export interface Device {
  readonly name: string;
  readonly userAgent: string;
  readonly ipPrefix: string | null;
}

/** A session as rotation needs it. */
export interface SessionRecord extends RotationState {
  readonly id: string;
  readonly userId: string;
  readonly salt: Buffer;
  /** What is left until the absolute end, in ms. */
  readonly remainingMs: number;
}

/** A session as its owner sees it. */
export interface SessionView extends Device {
  readonly id: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date;
}

/** The SQL of sessions. Times are the database's: nodes may disagree, and a backup may be older than its node. */
export interface SessionRepository {
  insert(tx: Tx, userId: string, device: Device, lifetimes: SessionLifetimes): Promise<SessionRecord>;
  find(sql: Sql, id: string): Promise<SessionRecord | undefined>;
  /** Makes `n + 1` the counter if it is `n` and the session is alive: the one statement that decides a rotation. */
  rotate(sql: Sql, id: string, n: number, idleMs: number): Promise<SessionRecord | undefined>;
  /** Marks generations as used; pairs that are not current, or were marked within 15 minutes, are left alone. */
  confirm(sql: Sql, used: ReadonlyMap<string, number>): Promise<void>;
  /** Alive sessions of the account, newest first. */
  list(sql: Sql, userId: string, limit: number, after: string | undefined): Promise<readonly SessionView[]>;
  /** Whether the account ever had this session. */
  belongsTo(sql: Sql, id: string, userId: string): Promise<boolean>;
  /** Ends those of these sessions of the account that have not been ended; gives back which. */
  revoke(tx: Tx, userId: string, ids: readonly string[], reason: string): Promise<readonly string[]>;
  /** Ends every session of the account but `keep`; gives back which. */
  revokeAll(tx: Tx, userId: string, keep: string | undefined, reason: string): Promise<readonly string[]>;
  /** Ends the ones unused for longest beyond `max`; gives back which. */
  evict(tx: Tx, userId: string, max: number): Promise<readonly string[]>;
  /** Notes that the password was proven on this device. */
  touchAuthTime(tx: Tx, id: string): Promise<void>;
  /** Deletes sessions that are over and no longer needed to know a device, at most `limit`. */
  prune(sql: Sql, limit: number): Promise<void>;
}

const CONFIRM_EVERY = "15 minutes";

/** Sessions in the `auth_sessions` table. */
export function createSessionRepository(): SessionRepository {
  const t = (sql: Sql) => sql.tables<AuthTables>();

  async function end(
    tx: Tx,
    userId: string,
    reason: string,
    which: (row: ExpressionBuilder<AuthTables, "auth_sessions">) => Expression<SqlBool>,
  ): Promise<readonly string[]> {
    const rows = await t(tx)
      .updateTable("auth_sessions")
      .set({ state: "revoked", revoked_reason: reason, revoked_at: raw`now()` })
      .where("user_id", "=", userId)
      .where("state", "=", "active")
      .where(which)
      .returning("id")
      .execute();
    return rows.map(({ id }) => id);
  }

  return {
    async insert(tx, userId, device, { idleMs, absoluteMs }) {
      const row = await t(tx)
        .insertInto("auth_sessions")
        .values({
          id: v7(),
          user_id: userId,
          salt: randomBytes(16),
          idle_expires_at: inMs(Math.min(idleMs, absoluteMs)),
          absolute_expires_at: inMs(absoluteMs),
          name: device.name,
          user_agent: device.userAgent,
          ip_prefix: device.ipPrefix,
        })
        .returning(RECORD)
        .executeTakeFirstOrThrow();
      return toRecord(row);
    },
    async find(sql, id) {
      const row = await t(sql)
        .selectFrom("auth_sessions")
        .select(RECORD)
        .where("id", "=", id)
        .executeTakeFirst();
      return row && toRecord(row);
    },
    async rotate(sql, id, n, idleMs) {
      const row = await t(sql)
        .updateTable("auth_sessions")
        .set({
          counter: raw`counter + 1`,
          confirmed: false,
          rotated_at: raw`now()`,
          last_used_at: raw`now()`,
          idle_expires_at: raw`least(${inMs(idleMs)}, absolute_expires_at)`,
        })
        .where("id", "=", id)
        .where("state", "=", "active")
        .where("counter", "=", n)
        .where(raw<boolean>`now() < least(idle_expires_at, absolute_expires_at)`)
        .returning(RECORD)
        .executeTakeFirst();
      return row && toRecord(row);
    },
    async confirm(sql, used) {
      // Locked in one order, and a row that is being rotated is left out: its rotation says more than this would.
      await raw`
        with due as (
          select s.id from auth_sessions s
          join unnest(${[...used.keys()]}::uuid[], ${[...used.values()]}::int[]) as u (id, n) on u.id = s.id
          where s.counter = u.n and s.state = 'active'
            and (not s.confirmed or s.last_used_at < now() - ${CONFIRM_EVERY}::interval)
          order by s.id for update of s skip locked)
        update auth_sessions set confirmed = true, last_used_at = now() from due where auth_sessions.id = due.id`.execute(
        t(sql),
      );
    },
    async list(sql, userId, limit, after) {
      const rows = await t(sql)
        .selectFrom("auth_sessions")
        .select(["id", "name", "user_agent", "ip_prefix", "created_at", "last_used_at"])
        .where("user_id", "=", userId)
        .where("state", "=", "active")
        .where(raw<boolean>`now() < least(idle_expires_at, absolute_expires_at)`)
        .$if(after !== undefined, (query) => query.where("id", "<", String(after)))
        .orderBy("id", "desc")
        .limit(limit)
        .execute();
      return rows.map((row) => ({
        id: row.id,
        name: row.name,
        userAgent: row.user_agent,
        ipPrefix: row.ip_prefix,
        createdAt: row.created_at,
        lastUsedAt: row.last_used_at,
      }));
    },
    async belongsTo(sql, id, userId) {
      const row = await t(sql)
        .selectFrom("auth_sessions")
        .select("id")
        .where("id", "=", id)
        .where("user_id", "=", userId)
        .executeTakeFirst();
      return row !== undefined;
    },
    revoke: (tx, userId, ids, reason) =>
      end(tx, userId, reason, () => raw<boolean>`id = any(${[...ids]}::uuid[])`),
    revokeAll: (tx, userId, keep, reason) =>
      end(tx, userId, reason, (row) => (keep === undefined ? row.lit(true) : row("id", "<>", keep))),
    evict: (tx, userId, max) =>
      end(tx, userId, "evicted", (row) =>
        row(
          "id",
          "in",
          row
            .selectFrom("auth_sessions as s")
            .select("s.id")
            .where("s.user_id", "=", userId)
            .where("s.state", "=", "active")
            .orderBy("s.last_used_at", "desc")
            .orderBy("s.id", "desc")
            .offset(max),
        ),
      ),
    async touchAuthTime(tx, id) {
      await t(tx).updateTable("auth_sessions").set({ auth_time: raw`now()` }).where("id", "=", id).execute();
    },
    async prune(sql, limit) {
      await raw`
        delete from auth_sessions where id in (
          select id from auth_sessions
          where absolute_expires_at < now() and last_used_at < now() - interval '30 days' limit ${limit})`.execute(
        t(sql),
      );
    },
  };
}

const RECORD = [
  "id",
  "user_id",
  "salt",
  "counter",
  "confirmed",
  raw<boolean>`state = 'active' and not exists (
    select 1 from users where users.id = auth_sessions.user_id and users.disabled_at is not null)`.as(
    "active",
  ),
  raw<boolean>`now() >= least(idle_expires_at, absolute_expires_at)`.as("expired"),
  raw<number>`extract(epoch from now() - rotated_at)::float8 * 1000`.as("since_rotation"),
  raw<number>`extract(epoch from absolute_expires_at - now())::float8 * 1000`.as("remaining"),
] as const;

type RecordRow = Pick<
  Selectable<AuthTables["auth_sessions"]>,
  "id" | "user_id" | "salt" | "counter" | "confirmed"
> & {
  readonly active: boolean;
  readonly expired: boolean;
  readonly since_rotation: number;
  readonly remaining: number;
};

function toRecord(row: RecordRow): SessionRecord {
  return {
    id: row.id,
    userId: row.user_id,
    salt: row.salt,
    active: row.active,
    expired: row.expired,
    counter: row.counter,
    confirmed: row.confirmed,
    msSinceRotation: row.since_rotation,
    remainingMs: row.remaining,
  };
}

function inMs(ms: number) {
  return raw<Date>`now() + make_interval(secs => ${ms / 1000})`;
}
