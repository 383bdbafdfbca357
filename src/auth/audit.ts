import { sql as raw } from "kysely";
import { v7 } from "uuid";
import type { RequestContext } from "../http/route.js";
import type { Sql } from "../platform/database/database.js";
import type { AuthTables } from "./tables.js";

/** What is written down about accounts. */
export type AuditAction =
  | "registered"
  | "login"
  | "login_failed"
  | "sessions_ended"
  | "refresh_reused"
  | "refresh_ahead"
  | "password_changed"
  | "password_refused"
  | "password_reset"
  | "email_verified"
  | "disabled"
  | "enabled";

/** Who did what from where. Never holds an address that was typed in, a password or a token. */
export interface AuditEntry {
  readonly action: AuditAction;
  /** Null when no account is known. */
  readonly userId: string | null;
  readonly sessionId?: string;
  /** Undefined for what an operator does. */
  readonly context?: RequestContext;
  readonly detail?: string;
}

/** The record of what happened to accounts and sessions; entries are only ever added. */
export interface Audit {
  /** Writes in the transaction of the effect (or by itself, for what was refused). */
  append(sql: Sql, entry: AuditEntry): Promise<void>;
  /** Deletes entries older than a year, at most `limit`. */
  prune(sql: Sql, limit: number): Promise<void>;
}

/** The record in the `auth_audit` table. */
export function createAudit(): Audit {
  return {
    async append(sql, { action, userId, sessionId, context, detail }) {
      await sql
        .tables<AuthTables>()
        .insertInto("auth_audit")
        .values({
          id: v7(),
          action,
          user_id: userId,
          session_id: sessionId ?? null,
          ip: context?.ip ?? null,
          request_id: context?.requestId ?? null,
          detail: detail ?? null,
        })
        .execute();
    },
    async prune(sql, limit) {
      await raw`
        delete from auth_audit where id in (
          select id from auth_audit where at < now() - interval '1 year' limit ${limit})`.execute(
        sql.tables<AuthTables>(),
      );
    },
  };
}
