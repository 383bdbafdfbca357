import type { Sql, Tx } from "../platform/database/database.js";

/** What projects need to know of an account. */
export interface Account {
  readonly id: string;
  /** In canonical form. */
  readonly email: string;
  readonly name: string;
  readonly emailVerified: boolean;
  readonly disabled: boolean;
}

/** The accounts, as projects see them. */
export interface Accounts {
  /** @param email in canonical form. */
  findByEmail(sql: Sql, email: string): Promise<Account | undefined>;
  findById(sql: Sql, userId: string): Promise<Account | undefined>;
  /** Notes that the account's mailbox was proven; does nothing when it was before. */
  markEmailVerified(tx: Tx, userId: string): Promise<void>;
}
