import { randomBytes } from "node:crypto";
import { sql as raw } from "kysely";
import { v7 } from "uuid";
import type { Sql, Tx } from "../platform/database/database.js";
import type { MailTokenKind, MailTokenSource } from "./mail-tokens.js";
import type { AuthTables } from "./tables.js";

/** Mails this feature writes; two of them carry a token. */
export type MailKind = MailTokenKind | "password_changed" | "session_reused";

/** A mail whose turn has come. */
export interface DueMail {
  readonly id: string;
  readonly kind: MailKind;
  readonly salt: Buffer;
  readonly address: string;
  readonly createdAt: Date;
}

/** The row behind a token. */
export interface TokenRecord extends MailTokenSource {
  readonly userId: string;
  /** Not used, not replaced, not too old. */
  readonly usable: boolean;
}

/** The SQL of mails. Times are the database's. */
export interface MailRepository {
  /** Queues a mail to the account's address; `ttlMs` is the life of its token, and how long sending is tried. */
  insert(tx: Tx, userId: string, kind: MailKind, ttlMs: number): Promise<void>;
  find(sql: Sql, id: string): Promise<TokenRecord | undefined>;
  /** Uses the token of this row up; gives its account to exactly one caller. */
  use(tx: Tx, id: string, kind: MailTokenKind): Promise<string | undefined>;
  /** Makes the account's tokens of these kinds worthless. */
  voidTokens(tx: Tx, userId: string, kinds: readonly MailTokenKind[]): Promise<void>;
  /** Takes mails that are due; each comes again later until `markSent`. */
  claim(sql: Sql, limit: number): Promise<readonly DueMail[]>;
  markSent(sql: Sql, id: string): Promise<void>;
  /** Deletes mails whose time is over, at most `limit`. */
  prune(sql: Sql, limit: number): Promise<void>;
}

/** Seconds until the second attempt; doubled for each one after it. */
const RETRY_S = 30;
const MAX_RETRY_S = 600;

/** Mails in the `auth_mails` table. */
export function createMailRepository(): MailRepository {
  const t = (sql: Sql) => sql.tables<AuthTables>();
  return {
    async insert(tx, userId, kind, ttlMs) {
      await t(tx)
        .insertInto("auth_mails")
        .values({
          id: v7(),
          user_id: userId,
          kind,
          salt: randomBytes(16),
          expires_at: raw`now() + make_interval(secs => ${ttlMs / 1000})`,
        })
        .execute();
    },
    async find(sql, id) {
      const row = await t(sql)
        .selectFrom("auth_mails")
        .select(["id", "user_id", "kind", "salt"])
        .select(raw<boolean>`void_at is null and expires_at > now()`.as("usable"))
        .where("id", "=", id)
        .where("kind", "in", ["reset_password", "verify_email"])
        .executeTakeFirst();
      return (
        row && {
          id: row.id,
          kind: row.kind as MailTokenKind,
          salt: row.salt,
          userId: row.user_id,
          usable: row.usable,
        }
      );
    },
    async use(tx, id, kind) {
      const row = await t(tx)
        .updateTable("auth_mails")
        .set({ void_at: raw`now()` })
        .where("id", "=", id)
        .where("kind", "=", kind)
        .where("void_at", "is", null)
        .where(raw<boolean>`expires_at > now()`)
        .returning("user_id")
        .executeTakeFirst();
      return row?.user_id;
    },
    async voidTokens(tx, userId, kinds) {
      await t(tx)
        .updateTable("auth_mails")
        .set({ void_at: raw`now()` })
        .where("user_id", "=", userId)
        .where("kind", "in", [...kinds])
        .where("void_at", "is", null)
        .execute();
    },
    async claim(sql, limit) {
      const { rows } = await raw<{
        id: string;
        kind: MailKind;
        salt: Buffer;
        email: string;
        created_at: Date;
      }>`
        with due as (
          select id from auth_mails
          where sent_at is null and void_at is null and next_attempt_at <= now() and expires_at > now()
          order by next_attempt_at limit ${limit} for update skip locked)
        update auth_mails m set
          attempts = m.attempts + 1,
          next_attempt_at = now() + make_interval(
            secs => least(${RETRY_S}::int * 2 ^ m.attempts, ${MAX_RETRY_S}::int) * (0.75 + random() / 2))
        from due, users u where m.id = due.id and u.id = m.user_id
        returning m.id, m.kind, m.salt, m.created_at, u.email`.execute(t(sql));
      return rows.map(({ email, created_at, ...mail }) => ({
        ...mail,
        address: email,
        createdAt: created_at,
      }));
    },
    async markSent(sql, id) {
      await t(sql).updateTable("auth_mails").set({ sent_at: raw`now()` }).where("id", "=", id).execute();
    },
    async prune(sql, limit) {
      await raw`
        delete from auth_mails where id in (
          select id from auth_mails where expires_at < now() - interval '1 day' limit ${limit})`.execute(
        t(sql),
      );
    },
  };
}
