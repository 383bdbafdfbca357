import { z } from "zod";
import { defineRoute, type Route } from "../http/route.js";
import { fileParams, filePosition, fileSchema, filesParams, MAX_TEXT_BYTES, moveBody } from "./schema.js";
import type { FileService } from "./service.js";

const tag = "Files";
const fileReply = z.strictObject({ file: fileSchema });

/** `/workspaces/:workspaceId/files` and `/workspaces/:workspaceId/moves`. */
export function fileRoutes(deps: { files: FileService; basePath: string }): readonly Route[] {
  const { files, basePath } = deps;
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
        description: "The text as it is at this moment, with the edits of everybody who has it open.",
        auth: "user",
        params: fileParams,
        conditional: true,
        replies: { 200: { description: "The content.", bytes: "text/plain" } },
        problems: ["not_found"],
      },
      async ({ principal, params }) => {
        const { file, content } = await files.read(principal.userId, params.workspaceId, params.path);
        return { status: 200, version: file.version, raw: content };
      },
    ),
    defineRoute(
      {
        method: "put",
        path: "/workspaces/:workspaceId/files/*path",
        operationId: "writeFile",
        tag,
        summary: "Create or replace a text file",
        description:
          "The body is the content, as `text/*`, JSON or another source type in UTF-8. Whoever has the file open sees the difference appear in place; their own edits meanwhile are kept.",
        auth: "user",
        params: fileParams,
        raw: { limit: MAX_TEXT_BYTES },
        conditional: true,
        replies: {
          200: { description: "The file as it is now.", body: fileReply },
          201: { description: "The new file.", body: fileReply },
        },
        problems: [
          "forbidden",
          "not_found",
          "conflict",
          "quota_exceeded",
          "unprocessable",
          "unsupported_media_type",
        ],
      },
      async ({ principal, params, raw, ifMatch }) => {
        const { workspaceId, path } = params;
        const { file, created } = await files.write(principal.userId, workspaceId, path, raw, ifMatch);
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
        summary: "Delete a file",
        auth: "user",
        params: fileParams,
        conditional: true,
        replies: { 204: { description: "It is gone; editors that had it open are closed." } },
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
