import type { Generated } from "kysely";

/** Tables of this feature (`0002_auth.sql`). */
export interface AuthTables {
  users: {
    id: string;
    email: string;
    name: string;
    password_hash: string;
    email_verified_at: Date | null;
    version: Generated<number>;
    disabled_at: Date | null;
    created_at: Generated<Date>;
    updated_at: Generated<Date>;
  };
  auth_sessions: {
    id: string;
    user_id: string;
    state: Generated<"active" | "revoked">;
    revoked_reason: string | null;
    revoked_at: Date | null;
    counter: Generated<number>;
    confirmed: Generated<boolean>;
    rotated_at: Generated<Date>;
    salt: Buffer;
    created_at: Generated<Date>;
    last_used_at: Generated<Date>;
    idle_expires_at: Date;
    absolute_expires_at: Date;
    auth_time: Generated<Date>;
    name: string;
    user_agent: string;
    ip_prefix: string | null;
  };
  auth_mails: {
    id: string;
    user_id: string;
    kind: string;
    salt: Buffer;
    created_at: Generated<Date>;
    expires_at: Date;
    void_at: Date | null;
    attempts: Generated<number>;
    next_attempt_at: Generated<Date>;
    sent_at: Date | null;
  };
  auth_audit: {
    id: string;
    at: Generated<Date>;
    action: string;
    user_id: string | null;
    session_id: string | null;
    ip: string | null;
    request_id: string | null;
    detail: string | null;
  };
}
