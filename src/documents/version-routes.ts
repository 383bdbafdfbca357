import { defineRoute, type Route } from "../http/route.js";
import {
  diffQuery,
  diffReply,
  restoreReply,
  versionBody,
  versionContentReply,
  versionListReply,
  versionParams,
  versionPosition,
  versionReply,
  versionsParams,
  versionsQuery,
} from "./version-schema.js";
import type { VersionService } from "./version-service.js";

const tag = "Versions";

/** `/workspaces/:workspaceId/versions`. */
export function versionRoutes(deps: { versions: VersionService; basePath: string }): readonly Route[] {
  const { versions, basePath } = deps;
  return [
    defineRoute(
      {
        method: "get",
        path: "/workspaces/:workspaceId/versions",
        operationId: "listVersions",
        tag,
        summary: "List the versions of a text file, newest first",
        auth: "user",
        params: versionsParams,
        query: versionsQuery,
        list: { position: versionPosition },
        replies: { 200: { description: "One page.", body: versionListReply } },
        problems: ["not_found", "unprocessable"],
      },
      async ({ principal, params, query, page }) => ({
        status: 200,
        body: await versions.list(principal.userId, params.workspaceId, query.path, page),
      }),
    ),
    defineRoute(
      {
        method: "post",
        path: "/workspaces/:workspaceId/versions",
        operationId: "saveVersion",
        tag,
        summary: "Save the text of a file as a version, with a label",
        description:
          "It holds every edit that was acknowledged before, and is kept until its file is deleted.",
        auth: "user",
        params: versionsParams,
        body: versionBody,
        idempotent: true,
        replies: { 201: { description: "The new version.", body: versionReply } },
        problems: ["forbidden", "not_found", "quota_exceeded", "unprocessable"],
      },
      async ({ tx, principal, params, body }) => {
        const { workspaceId } = params;
        const { path, label } = body;
        const version = await versions.save(tx, principal.userId, workspaceId, path, label ?? undefined);
        return {
          status: 201,
          headers: { Location: `${basePath}/workspaces/${workspaceId}/versions/${version.id}` },
          body: { version },
        };
      },
    ),
    defineRoute(
      {
        method: "get",
        path: "/workspaces/:workspaceId/versions/:versionId",
        operationId: "readVersion",
        tag,
        summary: "Read a version",
        auth: "user",
        params: versionParams,
        replies: { 200: { description: "The version and its text.", body: versionContentReply } },
        problems: ["not_found"],
      },
      async ({ principal, params }) => ({
        status: 200,
        body: await versions.read(principal.userId, params.workspaceId, params.versionId),
      }),
    ),
    defineRoute(
      {
        method: "get",
        path: "/workspaces/:workspaceId/versions/:versionId/diff",
        operationId: "diffVersion",
        tag,
        summary: "Compare a version by lines",
        description:
          "From `against` to the version: against `current` it shows what restoring it would change, against `previous` what changed with it. Hunks have three lines around them; at most 5,000 lines are shown.",
        auth: "user",
        params: versionParams,
        query: diffQuery,
        replies: { 200: { description: "What differs.", body: diffReply } },
        problems: ["not_found"],
      },
      async ({ principal, params, query }) => {
        const { workspaceId, versionId } = params;
        const against = query.against ?? "current";
        return {
          status: 200,
          body: { diff: await versions.diff(principal.userId, workspaceId, versionId, against) },
        };
      },
    ),
    defineRoute(
      {
        method: "post",
        path: "/workspaces/:workspaceId/versions/:versionId/restore",
        operationId: "restoreVersion",
        tag,
        summary: "Make the text of a file what it was",
        description:
          "A change like any other: open editors see it at once, and what people type meanwhile is kept. What it replaces becomes a version, so a restore can be undone by another.",
        auth: "user",
        params: versionParams,
        replies: { 200: { description: "The file as it is now.", body: restoreReply } },
        problems: ["forbidden", "not_found"],
      },
      async ({ principal, params }) => {
        const restored = await versions.restore(principal.userId, params.workspaceId, params.versionId);
        return { status: 200, version: restored.file.version, body: restored };
      },
    ),
  ];
}
