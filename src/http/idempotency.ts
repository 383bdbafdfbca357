import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { sql as raw } from "kysely";
import { AppError } from "../errors.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Tx } from "../platform/database/database.js";
import type { AnyReply } from "./route.js";

/** Table behind `Idempotency-Key`. */
interface IdempotencyTables {
  idempotency_keys: { scope: string; request_hash: string; reply: Buffer; expires_at: Date };
}

/** How long a reply is kept. */
const KEEP_MS = 24 * 3_600_000;

/** A reply, and whether it is the stored one of an earlier request. */
export interface IdempotentReply {
  readonly reply: AnyReply;
  readonly replayed: boolean;
}

/** Runs effects once per key. */
export interface Idempotency {
  /**
   * Runs `effect` in one transaction; with a key, its reply is kept in the same transaction and given again to a repeat.
   *
   * @param key scope of the key (user, route, key), or undefined when the client sent none.
   * @param request what must be equal in a repeat (path and body).
   * @throws AppError `idempotency_in_progress` while the first one runs, `idempotency_key_reused` for another request.
   */
  run(
    key: readonly string[] | undefined,
    request: unknown,
    effect: (tx: Tx) => Promise<AnyReply>,
  ): Promise<IdempotentReply>;
  /** Forgets replies that have expired, at most `limit`. */
  prune(limit: number): Promise<void>;
}

/**
 * Idempotency over the `idempotency_keys` table. A transaction-scoped advisory lock marks a key in progress, so a killed
 * process leaves nothing behind. Replies may hold invitation links, so they are stored encrypted (AES-256-GCM).
 *
 * @param key 32 bytes.
 */
export function createIdempotency(deps: { database: Database; clock: Clock; key: Buffer }): Idempotency {
  const { database, clock } = deps;
  return {
    async run(key, request, effect) {
      if (key === undefined) {
        return { reply: await database.transaction((tx) => effect(tx)), replayed: false };
      }
      const scope = digest(key.join("\n"));
      const requestHash = digest(JSON.stringify(request));
      return database.transaction(async (tx) => {
        const rows = tx.tables<IdempotencyTables>();
        const lock = await raw<{
          free: boolean;
        }>`select pg_try_advisory_xact_lock(hashtextextended(${scope}, 7)) as free`.execute(rows);
        if (!lock.rows[0]?.free)
          throw new AppError("idempotency_in_progress", { headers: { "Retry-After": "1" } });
        const stored = await rows
          .selectFrom("idempotency_keys")
          .select(["request_hash", "reply"])
          .where("scope", "=", scope)
          .where("expires_at", ">", new Date(clock.now()))
          .executeTakeFirst();
        if (stored) {
          if (stored.request_hash !== requestHash) throw new AppError("idempotency_key_reused");
          return { reply: open(deps.key, scope, stored.reply), replayed: true };
        }
        const reply = await effect(tx);
        const values = {
          request_hash: requestHash,
          reply: seal(deps.key, scope, reply),
          expires_at: new Date(clock.now() + KEEP_MS),
        };
        await rows
          .insertInto("idempotency_keys")
          .values({ scope, ...values })
          .onConflict((conflict) => conflict.column("scope").doUpdateSet(values))
          .execute();
        return { reply, replayed: false };
      });
    },
    async prune(limit) {
      const rows = database.tables<IdempotencyTables>();
      const expired = rows
        .selectFrom("idempotency_keys")
        .select("scope")
        .where("expires_at", "<", new Date(clock.now()))
        .limit(limit);
      await rows.deleteFrom("idempotency_keys").where("scope", "in", expired).execute();
    },
  };
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

function seal(key: Buffer, scope: string, reply: AnyReply): Buffer {
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from(scope));
  const body = Buffer.concat([cipher.update(JSON.stringify(reply), "utf8"), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), body]);
}

function open(key: Buffer, scope: string, sealed: Buffer): AnyReply {
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12)).setAAD(Buffer.from(scope));
  decipher.setAuthTag(sealed.subarray(12, 28));
  const body = Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()]);
  return JSON.parse(body.toString("utf8")) as AnyReply;
}
