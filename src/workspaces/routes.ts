import { z } from "zod";
import { defineRoute, type Route } from "../http/route.js";
import { idPosition, projectParams } from "../projects/schema.js";
import { workspaceBody, workspaceParams, workspacePatchBody, workspaceSchema } from "./schema.js";
import type { WorkspaceService } from "./service.js";

const tag = "Workspaces";
const workspaceReply = z.strictObject({ workspace: workspaceSchema });

/** `/projects/:projectId/workspaces` and `/workspaces/:workspaceId`. */
export function workspaceRoutes(deps: { workspaces: WorkspaceService; basePath: string }): readonly Route[] {
  const { workspaces, basePath } = deps;
  return [
    defineRoute(
      {
        method: "post",
        path: "/projects/:projectId/workspaces",
        operationId: "createWorkspace",
        tag,
        summary: "Create a workspace",
        auth: "user",
        params: projectParams,
        body: workspaceBody,
        idempotent: true,
        replies: { 201: { description: "The new workspace.", body: workspaceReply } },
        problems: ["forbidden", "not_found"],
      },
      async ({ tx, principal, params, body }) => {
        const workspace = await workspaces.create(tx, principal.userId, params.projectId, body);
        return {
          status: 201,
          headers: { Location: `${basePath}/workspaces/${workspace.id}` },
          version: workspace.version,
          body: { workspace },
        };
      },
    ),
    defineRoute(
      {
        method: "get",
        path: "/projects/:projectId/workspaces",
        operationId: "listWorkspaces",
        tag,
        summary: "List the workspaces of a project, newest first",
        auth: "user",
        params: projectParams,
        list: { position: idPosition },
        replies: {
          200: {
            description: "One page.",
            body: z.strictObject({
              workspaces: z.array(workspaceSchema),
              nextCursor: z.string().nullable(),
            }),
          },
        },
        problems: ["not_found"],
      },
      async ({ principal, params, page }) => ({
        status: 200,
        body: await workspaces.list(principal.userId, params.projectId, page),
      }),
    ),
    defineRoute(
      {
        method: "get",
        path: "/workspaces/:workspaceId",
        operationId: "getWorkspace",
        tag,
        summary: "Read a workspace",
        auth: "user",
        params: workspaceParams,
        conditional: true,
        replies: { 200: { description: "The workspace.", body: workspaceReply } },
        problems: ["not_found"],
      },
      async ({ principal, params }) => {
        const workspace = await workspaces.get(principal.userId, params.workspaceId);
        return { status: 200, version: workspace.version, body: { workspace } };
      },
    ),
    defineRoute(
      {
        method: "put",
        path: "/workspaces/:workspaceId",
        operationId: "replaceWorkspace",
        tag,
        summary: "Replace name and settings",
        description: "Settings that are left out become `{}`.",
        auth: "user",
        params: workspaceParams,
        body: workspaceBody,
        conditional: true,
        replies: { 200: { description: "The workspace as it is now.", body: workspaceReply } },
        problems: ["forbidden", "not_found"],
      },
      async ({ principal, params, body, ifMatch }) => {
        const workspace = await workspaces.update(principal.userId, params.workspaceId, body, ifMatch);
        return { status: 200, version: workspace.version, body: { workspace } };
      },
    ),
    defineRoute(
      {
        method: "patch",
        path: "/workspaces/:workspaceId",
        operationId: "updateWorkspace",
        tag,
        summary: "Change name or settings",
        description: "What is left out stays as it is; settings are replaced as a whole.",
        auth: "user",
        params: workspaceParams,
        body: workspacePatchBody,
        conditional: true,
        replies: { 200: { description: "The workspace as it is now.", body: workspaceReply } },
        problems: ["forbidden", "not_found"],
      },
      async ({ principal, params, body, ifMatch }) => {
        const workspace = await workspaces.update(principal.userId, params.workspaceId, body, ifMatch);
        return { status: 200, version: workspace.version, body: { workspace } };
      },
    ),
    defineRoute(
      {
        method: "delete",
        path: "/workspaces/:workspaceId",
        operationId: "deleteWorkspace",
        tag,
        summary: "Delete a workspace with everything in it",
        auth: "user",
        params: workspaceParams,
        conditional: true,
        replies: { 204: { description: "It is gone." } },
        problems: ["forbidden", "not_found"],
      },
      async ({ principal, params, ifMatch }) => {
        await workspaces.delete(principal.userId, params.workspaceId, ifMatch);
        return { status: 204 };
      },
    ),
  ];
}
