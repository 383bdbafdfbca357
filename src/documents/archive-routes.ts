import { PassThrough } from "node:stream";
import { z } from "zod";
import { AppError } from "../errors.js";
import { defineRoute, type Route } from "../http/route.js";
import type { Database } from "../platform/database/database.js";
import type { RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";
import type { WorkspaceAccess } from "../workspaces/access.js";
import type { ImportArchive } from "./archive-import.js";
import type { WriteArchive } from "./archive-writer.js";
import type { FileLimits } from "./file-changes.js";
import { filesParams } from "./schema.js";

const tag = "Files";
const ZIP = "application/zip";
const ZIP_TYPES = new Set([ZIP, "application/x-zip-compressed", "application/octet-stream"]);

/** Archives read and compress everything there is, so they have a limit of their own; 0 is none. */
export function archivePolicy(limit: number): RateLimitPolicy {
  return { name: "archives", limit, windowMs: 15 * 60_000 };
}

const importSchema = z
  .strictObject({
    created: z.int().min(0),
    replaced: z.int().min(0).meta({ description: "Files that had another content." }),
    unchanged: z.int().min(0).meta({ description: "Files that had this content already." }),
  })
  .meta({ id: "Import" });

/** `/workspaces/:workspaceId/archive`. */
export function archiveRoutes(deps: {
  database: Database;
  access: WorkspaceAccess;
  write: WriteArchive;
  take: ImportArchive;
  limits: FileLimits;
  policy: RateLimitPolicy;
}): readonly Route[] {
  const { database, access, write, take, limits, policy } = deps;
  return [
    defineRoute(
      {
        method: "get",
        path: "/workspaces/:workspaceId/archive",
        operationId: "exportArchive",
        tag,
        summary: "Download all files of a workspace as a zip",
        description:
          "Streamed while it is made: texts as they are when their turn comes, binary files as they were stored. A download that breaks off is not a complete zip.",
        auth: "user",
        params: filesParams,
        limits: [policy],
        replies: { 200: { description: "The archive.", bytes: ZIP } },
        problems: ["not_found"],
      },
      async ({ principal: { userId }, params: { workspaceId } }) => {
        await access.require(database, userId, workspaceId, "file.read");
        const raw = {
          contentType: ZIP,
          async open() {
            const output = new PassThrough();
            // Its failure arrives where the stream is read.
            void write(userId, workspaceId, output).catch((error: unknown) =>
              output.destroy(error instanceof Error ? error : new Error("no archive", { cause: error })),
            );
            return output;
          },
        };
        const headers = { "Content-Disposition": `attachment; filename="workspace-${workspaceId}.zip"` };
        return { status: 200, headers, raw };
      },
    ),
    defineRoute(
      {
        method: "post",
        path: "/workspaces/:workspaceId/archive",
        operationId: "importArchive",
        tag,
        summary: "Take the files of a zip into a workspace, all or none",
        description: `The body is a zip of at most ${limits.archiveBytes} bytes with at most ${limits.workspaceFiles} files of at most ${limits.fileBytes} bytes each and ${limits.workspaceBytes} together. A file with a path there is already replaces that file – whoever has the text open sees the difference appear – and everything else stays. UTF-8 without NUL becomes a live text, anything else a binary file. Links, encrypted entries, paths that leave the workspace, are absolute or differ in case only, broken and overly compressed contents are refused; then nothing has changed. Folders without files are passed over.`,
        auth: "user",
        params: filesParams,
        upload: { limit: limits.archiveBytes, mediaType: ZIP },
        limits: [policy],
        replies: {
          200: { description: "What it did.", body: z.strictObject({ import: importSchema }) },
        },
        problems: [
          "forbidden",
          "not_found",
          "conflict",
          "invalid_archive",
          "workspace_full",
          "unsupported_media_type",
        ],
      },
      async ({ principal, params, upload }) => {
        const type = (upload.contentType.split(";")[0] ?? "").trim().toLowerCase();
        if (!ZIP_TYPES.has(type))
          throw new AppError("unsupported_media_type", { detail: "Send a zip as application/zip." });
        const { content, confirm } = upload;
        const done = await take(principal.userId, params.workspaceId, content, confirm);
        return { status: 200, body: { import: done } };
      },
    ),
  ];
}
