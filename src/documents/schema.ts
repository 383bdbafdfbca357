import { z } from "zod";
import { idSchema, timeSchema, versionSchema } from "../projects/schema.js";
import { MAX_PATH, pathFault } from "./file-path.js";

/** Bytes of a text file that is written over HTTP. */
export const MAX_TEXT_BYTES = 4 * 1024 * 1024;

/** Path of a file in its workspace. */
export const pathSchema = z
  .string()
  .superRefine((value, context) => {
    const fault = pathFault(value);
    if (fault !== undefined) context.addIssue({ code: "custom", message: fault });
  })
  .meta({
    maxLength: MAX_PATH,
    description: "Relative path with `/` between names, such as `src/index.ts`.",
  });

export const filesParams = z.strictObject({ workspaceId: idSchema });
export const fileParams = z.strictObject({ workspaceId: idSchema, path: pathSchema });
export const moveBody = z.strictObject({ from: pathSchema, to: pathSchema });

/** Where the list of files stands. */
export const filePosition = z.strictObject({ key: z.string() });

/** A file of a workspace. */
export const fileSchema = z
  .strictObject({
    path: z.string(),
    kind: z.enum(["text", "binary"]),
    size: z.int().min(0).meta({ description: "Bytes; of a text that is being edited, as of a moment ago." }),
    contentType: z
      .string()
      .meta({ description: "Of a binary file the one it was sent with; a text is served as plain text." }),
    version: versionSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: "File" });

export type File = z.output<typeof fileSchema>;
