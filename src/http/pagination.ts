import { createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { AppError } from "../errors.js";

/** Query members every list takes. */
export const pageQuery = z.object({
  limit: z
    .string()
    .regex(/^\d{1,3}$/, "must be a whole number from 1 to 100")
    .transform(Number)
    .refine((value) => value >= 1 && value <= 100, "must be a whole number from 1 to 100")
    .optional()
    .meta({ description: "Rows per page, 1–100; default 50." }),
  cursor: z.string().min(1).max(1_000).optional().meta({ description: "`nextCursor` of the page before." }),
});

/** Rows per page when the client names none. */
export const DEFAULT_PAGE_SIZE = 50;

/** Makes and reads opaque cursors. */
export interface Cursors {
  /** A cursor for `position`, usable only with the same `scope` (route, filter, sort, user). */
  encode(scope: string, position: unknown): string;
  /** @throws AppError `invalid_cursor` for one that was forged or made for another scope. */
  decode<T>(scope: string, cursor: string, position: z.ZodType<T>): T;
}

/** Cursors signed with `key`: the position in clear, its scope only in the signature. */
export function createCursors(key: Buffer): Cursors {
  const sign = (scope: string, payload: string) =>
    createHmac("sha256", key).update(`cursor\n${scope}\n${payload}`).digest().subarray(0, 12);
  return {
    encode(scope, position) {
      const payload = Buffer.from(JSON.stringify(position)).toString("base64url");
      return `${payload}.${sign(scope, payload).toString("base64url")}`;
    },
    decode(scope, cursor, schema) {
      const refuse = () =>
        new AppError("invalid_cursor", {
          errors: [
            { pointer: "?cursor", code: "invalid_cursor", message: "Start the list again without a cursor." },
          ],
        });
      const [payload = "", mac = "", rest] = cursor.split(".");
      const given = Buffer.from(mac, "base64url");
      const wanted = sign(scope, payload);
      if (rest !== undefined || given.length !== wanted.length || !timingSafeEqual(given, wanted))
        throw refuse();
      const parsed = schema.safeParse(JSON.parse(Buffer.from(payload, "base64url").toString("utf8")));
      if (!parsed.success) throw refuse();
      return parsed.data;
    },
  };
}
