import { sql as raw, type Selectable } from "kysely";
import { v7 } from "uuid";
import type { Sql, Tx } from "../platform/database/database.js";
import type { AuthTables } from "./tables.js";

/** An account as it is kept. */
export interface User {
  readonly id: string;
  /** Canonical (see `emails.ts`). */
  readonly email: string;
  readonly name: string;
  readonly passwordHash: string;
  readonly emailVerifiedAt: Date | null;
  readonly version: number;
  readonly disabledAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** The SQL of accounts. Times are the database's. */
export interface UserRepository {
  byId(sql: Sql, id: string): Promise<User | undefined>;
  byEmail(sql: Sql, email: string): Promise<User | undefined>;
  /** True while there is no account. */
  isEmpty(sql: Sql): Promise<boolean>;
  /** {@link byEmail}, and whether the account was used from this network within 30 days. */
  forLogin(
    sql: Sql,
    email: string,
    ipPrefix: string | null,
  ): Promise<{ readonly user: User | undefined; readonly knownDevice: boolean }>;
  /** Undefined when the address is taken. */
  insert(
    tx: Tx,
    user: { readonly email: string; readonly name: string; readonly passwordHash: string },
  ): Promise<User | undefined>;
  /**
   * Locks the account until the end of the transaction, if it is enabled and, when `passwordHash` is given, its password is
   * still the one that was checked.
   */
  lock(tx: Tx, id: string, passwordHash?: string): Promise<User | undefined>;
  /** Undefined when there is no such account or `ifVersion` is not its version. */
  rename(sql: Sql, id: string, name: string, ifVersion: number | undefined): Promise<User | undefined>;
  setPassword(tx: Tx, id: string, passwordHash: string): Promise<void>;
  /** Changes how the same password is kept, if it has not been changed meanwhile. */
  rehash(sql: Sql, id: string, from: string, to: string): Promise<void>;
  /** False when the address was verified before. */
  verifyEmail(tx: Tx, id: string): Promise<boolean>;
  /** False when that was its state already, or there is no such account. */
  setDisabled(tx: Tx, id: string, disabled: boolean): Promise<boolean>;
}

/** Accounts in the `users` table. */
export function createUserRepository(): UserRepository {
  const users = (sql: Sql) => sql.tables<AuthTables>();
  return {
    async byId(sql, id) {
      const row = await users(sql).selectFrom("users").selectAll().where("id", "=", id).executeTakeFirst();
      return row && toUser(row);
    },
    async byEmail(sql, email) {
      const row = await users(sql)
        .selectFrom("users")
        .selectAll()
        .where("email", "=", email)
        .executeTakeFirst();
      return row && toUser(row);
    },
    async isEmpty(sql) {
      return (await users(sql).selectFrom("users").select("id").limit(1).executeTakeFirst()) === undefined;
    },
    async forLogin(sql, email, ipPrefix) {
      const row = await users(sql)
        .selectFrom("users")
        .selectAll()
        .select(
          raw<boolean>`exists (
            select 1 from auth_sessions s
            where s.user_id = users.id and s.ip_prefix = ${ipPrefix} and s.last_used_at > now() - interval '30 days'
          )`.as("known"),
        )
        .where("email", "=", email)
        .executeTakeFirst();
      return { user: row && toUser(row), knownDevice: row?.known ?? false };
    },
    async insert(tx, { email, name, passwordHash }) {
      const row = await users(tx)
        .insertInto("users")
        .values({ id: v7(), email, name, password_hash: passwordHash })
        .onConflict((conflict) => conflict.column("email").doNothing())
        .returningAll()
        .executeTakeFirst();
      return row && toUser(row);
    },
    async lock(tx, id, passwordHash) {
      const row = await users(tx)
        .selectFrom("users")
        .selectAll()
        .where("id", "=", id)
        .where("disabled_at", "is", null)
        .$if(passwordHash !== undefined, (query) => query.where("password_hash", "=", String(passwordHash)))
        .forUpdate()
        .executeTakeFirst();
      return row && toUser(row);
    },
    async rename(sql, id, name, ifVersion) {
      const row = await users(sql)
        .updateTable("users")
        .set({ name, version: raw`version + 1`, updated_at: raw`now()` })
        .where("id", "=", id)
        .$if(ifVersion !== undefined, (query) => query.where("version", "=", Number(ifVersion)))
        .returningAll()
        .executeTakeFirst();
      return row && toUser(row);
    },
    async setPassword(tx, id, passwordHash) {
      await users(tx)
        .updateTable("users")
        .set({ password_hash: passwordHash, updated_at: raw`now()` })
        .where("id", "=", id)
        .execute();
    },
    async rehash(sql, id, from, to) {
      await users(sql)
        .updateTable("users")
        .set({ password_hash: to })
        .where("id", "=", id)
        .where("password_hash", "=", from)
        .execute();
    },
    async verifyEmail(tx, id) {
      const result = await users(tx)
        .updateTable("users")
        .set({ email_verified_at: raw`now()`, version: raw`version + 1`, updated_at: raw`now()` })
        .where("id", "=", id)
        .where("email_verified_at", "is", null)
        .executeTakeFirst();
      return result.numUpdatedRows > 0n;
    },
    async setDisabled(tx, id, disabled) {
      const result = await users(tx)
        .updateTable("users")
        .set({ disabled_at: disabled ? raw`now()` : null, version: raw`version + 1`, updated_at: raw`now()` })
        .where("id", "=", id)
        .where("disabled_at", disabled ? "is" : "is not", null)
        .executeTakeFirst();
      return result.numUpdatedRows > 0n;
    },
  };
}

function toUser(row: Selectable<AuthTables["users"]>): User {
  return {
    id: row.id,
    email: row.email,
    name: row.name,
    passwordHash: row.password_hash,
    emailVerifiedAt: row.email_verified_at,
    version: row.version,
    disabledAt: row.disabled_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
