import { sql as raw } from "kysely";
import type { Database, Tx } from "../platform/database/database.js";

/** What took access away or changed it. */
export interface AuthzChange {
  /** `session`: it ended. `user`: disabled or deleted. `membership`: role changed or removed. `project`: deleted. */
  readonly kind: "session" | "user" | "membership" | "project";
  /** Id of the session, the user (also for `membership`) or the project. */
  readonly subject: string;
  /** Only for `membership` and `project`. */
  readonly projectId: string | null;
  /** A word for logs and close reasons, such as `logout`. */
  readonly reason: string;
}

/** A change in the order of commits. */
export interface AuthzEntry extends AuthzChange {
  readonly seq: number;
  /** Milliseconds since the Unix epoch, by the database's clock. */
  readonly createdAt: number;
}

interface AuthzTables {
  authz_log: {
    seq: number;
    kind: string;
    subject: string;
    project_id: string | null;
    reason: string;
    created_at: Date;
  };
}

/** Held until COMMIT by every writer, so that a seq that can be read has none missing before it. */
const WRITER_LOCK = 4_202;

/** Changes of access, written in the transaction that makes them and read by every node. */
export interface AuthzLog {
  /** Writes the changes; call it last in the transaction. Returns the last seq. */
  append(tx: Tx, changes: readonly AuthzChange[]): Promise<number>;
  /** Entries after `seq`, in order. */
  after(seq: number, limit: number): Promise<readonly AuthzEntry[]>;
  /** Entries of the last `ms`, in order, and the newest seq of all. */
  recent(ms: number): Promise<{ readonly entries: readonly AuthzEntry[]; readonly head: number }>;
  /** Called after a transaction with changes was committed in this process, with its last seq. */
  onCommit(listener: (seq: number) => void): void;
}

/** True when a change of access touches somebody's connection. */
export function concerns(
  entry: AuthzEntry,
  who: { readonly userId: string; readonly projectId: string | null; readonly sessionId: string },
): boolean {
  switch (entry.kind) {
    case "session":
      return who.sessionId === entry.subject;
    case "user":
      return who.userId === entry.subject;
    case "membership":
      return who.userId === entry.subject && who.projectId === entry.projectId;
    case "project":
      return who.projectId === entry.subject;
  }
}

/** The log over the `Database` port. */
export function createAuthzLog(deps: { database: Database }): AuthzLog {
  const { database } = deps;
  const listeners: ((seq: number) => void)[] = [];
  const read = async (rows: Promise<AuthzTables["authz_log"][]>): Promise<AuthzEntry[]> =>
    (await rows).map((row) => ({
      seq: Number(row.seq),
      kind: row.kind as AuthzEntry["kind"],
      subject: row.subject,
      projectId: row.project_id,
      reason: row.reason,
      createdAt: row.created_at.getTime(),
    }));
  return {
    async append(tx, changes) {
      if (changes.length === 0) return 0;
      const t = tx.tables<AuthzTables>();
      await raw`select pg_advisory_xact_lock(${WRITER_LOCK})`.execute(t);
      const rows = await raw<{ seq: number }>`
        insert into authz_log (kind, subject, project_id, reason)
        select * from unnest(
          ${changes.map((c) => c.kind)}::text[], ${changes.map((c) => c.subject)}::uuid[],
          ${changes.map((c) => c.projectId)}::uuid[], ${changes.map((c) => c.reason)}::text[])
        returning seq`.execute(t);
      const seq = Math.max(...rows.rows.map((row) => Number(row.seq)));
      tx.afterCommit(() => {
        for (const listener of listeners) listener(seq);
      });
      return seq;
    },
    after: (seq, limit) =>
      read(
        database
          .tables<AuthzTables>()
          .selectFrom("authz_log")
          .selectAll()
          .where("seq", ">", seq)
          .orderBy("seq")
          .limit(limit)
          .execute(),
      ),
    async recent(ms) {
      const t = database.tables<AuthzTables>();
      const head = await t
        .selectFrom("authz_log")
        .select((q) => q.fn.max("seq").as("head"))
        .executeTakeFirst();
      const since = raw<Date>`now() - make_interval(secs => ${ms / 1000})`;
      const entries = await read(
        t
          .selectFrom("authz_log")
          .selectAll()
          .where("created_at", ">", since)
          .where("seq", "<=", head?.head ?? 0)
          .orderBy("seq")
          .execute(),
      );
      return { entries, head: Number(head?.head ?? 0) };
    },
    onCommit(listener) {
      listeners.push(listener);
    },
  };
}
