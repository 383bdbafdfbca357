import { z } from "zod";
import { idSchema, timeSchema } from "../projects/schema.js";
import { fileSchema, pathSchema } from "./schema.js";

export const versionsParams = z.strictObject({ workspaceId: idSchema });
export const versionParams = z.strictObject({ workspaceId: idSchema, versionId: idSchema });

const HIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\u200B\u200E\u200F\u202A-\u202E\u2060-\u2069\uFEFF]/u;

const label = z
  .string()
  .trim()
  .refine((text) => {
    const { length } = Array.from(text);
    return length >= 1 && length <= 100;
  }, "must have 1 to 100 characters")
  .refine((text) => !HIDDEN.test(text), "must be visible text in one line")
  .meta({ minLength: 1, maxLength: 100, description: "What people call this version." });

export const versionBody = z.strictObject({ path: pathSchema, label: label.nullish() });
/** What cannot be decoded in a query arrives as U+FFFD. */
export const versionsQuery = z.object({
  path: pathSchema.refine((path) => !path.includes("\uFFFD"), "must be UTF-8"),
});

/** With what a version is compared. */
export const diffQuery = z.strictObject({
  against: z
    .union([z.enum(["current", "previous"]), idSchema])
    .optional()
    .meta({
      description:
        "What the version is compared with: `current` (default) for the text as it is now, `previous` for the version before it, or the id of another version of the same file.",
    }),
});

/** Where the list of versions stands. */
export const versionPosition = z.strictObject({ seq: z.int(), id: z.uuid() });

/** A version of a text file. */
export const versionSchema = z
  .strictObject({
    id: z.uuid(),
    path: z.string().meta({ description: "Path of the file as it is now." }),
    kind: z.enum(["automatic", "saved", "before_restore"]).meta({
      description:
        "`automatic` ones are thinned; `saved` ones were asked for and are kept; `before_restore` is what a restore replaced, kept for 30 days.",
    }),
    label: z.string().nullable(),
    size: z.int().min(0).meta({ description: "Bytes of the text." }),
    authors: z.array(z.uuid()).meta({ description: "Ids of those who edited since the version before." }),
    createdBy: z.uuid().nullable().meta({ description: "Who asked for it; null for an automatic one." }),
    createdAt: timeSchema,
  })
  .meta({ id: "FileVersion" });

const line = z.int().min(1);

/** What differs between two texts, by lines. */
export const diffSchema = z
  .strictObject({
    from: z.string().meta({ description: "The base: `current`, the id of a version, or `empty`." }),
    to: z.uuid().meta({ description: "The version." }),
    hunks: z.array(
      z.strictObject({
        lines: z.array(
          z.strictObject({
            kind: z.enum(["same", "removed", "added"]),
            from: line.optional().meta({ description: "Its number in the base; of `same` and `removed`." }),
            to: line.optional().meta({ description: "Its number in the version; of `same` and `added`." }),
            text: z.string().meta({ description: "The line with its line break." }),
          }),
        ),
      }),
    ),
    added: z.int().min(0).meta({ description: "Lines the version has and the base has not, in all." }),
    removed: z.int().min(0).meta({ description: "Lines the base has and the version has not, in all." }),
    truncated: z.boolean().meta({ description: "True when there is more than is shown." }),
    coarse: z.boolean().meta({
      description: "True when too much differs to be compared by lines: it is shown as replaced.",
    }),
  })
  .meta({ id: "FileVersionDiff" });

export const versionReply = z.strictObject({ version: versionSchema });
export const versionContentReply = z.strictObject({ version: versionSchema, content: z.string() });
export const versionListReply = z.strictObject({
  versions: z.array(versionSchema),
  nextCursor: z.string().nullable(),
});
export const diffReply = z.strictObject({ diff: diffSchema });
export const restoreReply = z.strictObject({
  file: fileSchema,
  before: versionSchema
    .nullable()
    .meta({ description: "What was there before, as a version; null when it was the same." }),
});

export type FileVersion = z.output<typeof versionSchema>;
export type FileVersionDiff = z.output<typeof diffSchema>;
