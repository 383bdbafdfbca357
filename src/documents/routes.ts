import { z } from "zod";
import { defineRoute, type Route } from "../http/route.js";
import type { FileLimits } from "./file-changes.js";
import type { WriteFile } from "./file-writer.js";
import { fileParams, filePosition, fileSchema, filesParams, MAX_TEXT_BYTES, moveBody } from "./schema.js";
import type { FileService } from "./service.js";

const tag = "Files";
const fileReply = z.strictObject({ file: fileSchema });

/** Headers with which no browser runs, shows or sniffs a content that anybody may have written. */
function inert(path: string): Record<string, string> {
  const name = path.split("/").at(-1) ?? "file";
  // RFC 6266: a plain name for old clients, the real one for the rest.
  const plain = name.replaceAll(/[^\w.-]/g, "_");
  const full = encodeURIComponent(name).replaceAll(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return {
    "Content-Disposition": `attachment; filename="${plain}"; filename*=UTF-8''${full}`,
    "Content-Security-Policy": "default-src 'none';frame-ancestors 'none';sandbox",
  };
}

/** `/workspaces/:workspaceId/files` and `/workspaces/:workspaceId/moves`. */
export function fileRoutes(deps: {
  files: FileService;
  write: WriteFile;
  limits: FileLimits;
  basePath: string;
}): readonly Route[] {
  const { files, write, limits, basePath } = deps;
  return [
    defineRoute(
      {
        method: "get",
        path: "/workspaces/:workspaceId/files",
        operationId: "listFiles",
        tag,
        summary: "List the files of a workspace, by path",
        auth: "user",
        params: filesParams,
        list: { position: filePosition },
        replies: {
          200: {
            description: "One page.",
            body: z.strictObject({ files: z.array(fileSchema), nextCursor: z.string().nullable() }),
          },
        },
        problems: ["not_found"],
      },
      async ({ principal, params, page }) => ({
        status: 200,
        body: await files.list(principal.userId, params.workspaceId, page),
      }),
    ),
    defineRoute(
      {
        method: "get",
        path: "/workspaces/:workspaceId/files/*path",
        operationId: "readFile",
        tag,
        summary: "Read a file",
        description:
          "A text comes as it is at this moment, with the edits of everybody who has it open, as `text/plain`. A binary file comes with the type it was sent with, always as an attachment; parts of it can be asked for with `Range`.",
        auth: "user",
        params: fileParams,
        conditional: true,
        replies: { 200: { description: "The content.", bytes: "*/*", ranges: true } },
        problems: ["not_found"],
      },
      async ({ principal, params }) => {
        const { file, content } = await files.read(principal.userId, params.workspaceId, params.path);
        return { status: 200, version: file.version, headers: inert(file.path), raw: content };
      },
    ),
    defineRoute(
      {
        method: "put",
        path: "/workspaces/:workspaceId/files/*path",
        operationId: "writeFile",
        tag,
        summary: "Create or replace a file",
        description: `The body is the content. \`text/*\`, JSON and other source types are text in UTF-8 of at most ${MAX_TEXT_BYTES} bytes: whoever has the file open sees the difference appear in place, and their own edits meanwhile are kept. Every other type is binary, of at most ${limits.fileBytes} bytes. Without a Content-Type the content decides. A file can change its kind: editors of a text that becomes binary are closed, and its history goes.`,
        auth: "user",
        params: fileParams,
        upload: { limit: Math.max(limits.fileBytes, MAX_TEXT_BYTES), mediaType: "*/*" },
        conditional: true,
        replies: {
          200: { description: "The file as it is now.", body: fileReply },
          201: { description: "The new file.", body: fileReply },
        },
        problems: [
          "forbidden",
          "not_found",
          "conflict",
          "workspace_full",
          "unprocessable",
          "unsupported_media_type",
        ],
      },
      async ({ principal, params, upload, ifMatch }) => {
        const { workspaceId, path } = params;
        const { file, created } = await write(principal.userId, workspaceId, path, upload, ifMatch);
        if (!created) return { status: 200, version: file.version, body: { file } };
        const name = path.split("/").map(encodeURIComponent).join("/");
        return {
          status: 201,
          version: file.version,
          headers: { Location: `${basePath}/workspaces/${workspaceId}/files/${name}` },
          body: { file },
        };
      },
    ),
    defineRoute(
      {
        method: "delete",
        path: "/workspaces/:workspaceId/files/*path",
        operationId: "deleteFile",
        tag,
        summary: "Delete a file, or a folder with all below it",
        auth: "user",
        params: fileParams,
        conditional: true,
        replies: {
          204: { description: "It is gone; editors that had it, or a file below it, open are closed." },
        },
        problems: ["forbidden", "not_found"],
      },
      async ({ principal, params, ifMatch }) => {
        await files.delete(principal.userId, params.workspaceId, params.path, ifMatch);
        return { status: 204 };
      },
    ),
    defineRoute(
      {
        method: "post",
        path: "/workspaces/:workspaceId/moves",
        operationId: "moveFiles",
        tag,
        summary: "Move a file, or a folder with all below it",
        description: "What is open stays open under its new path.",
        auth: "user",
        params: filesParams,
        body: moveBody,
        replies: {
          200: { description: "The files that moved.", body: z.strictObject({ files: z.array(fileSchema) }) },
        },
        problems: ["forbidden", "not_found", "conflict", "unprocessable"],
      },
      async ({ principal, params, body }) => ({
        status: 200,
        body: { files: await files.move(principal.userId, params.workspaceId, body.from, body.to) },
      }),
    ),
  ];
}
