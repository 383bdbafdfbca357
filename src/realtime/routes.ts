import { AppError } from "../errors.js";
import { defineRoute, type Route } from "../http/route.js";
import { projectParams } from "../projects/schema.js";
import type { Presence } from "./presence.js";
import { presenceList } from "./schema.js";

/** The HTTP routes of the realtime feature. */
export function createRealtimeRoutes(deps: {
  /** Undefined while the feature is switched off. */
  presence: Presence | undefined;
  /** Throws `not_found` or `forbidden` when the user may not see who is there. */
  requireReader: (userId: string, projectId: string) => Promise<void>;
}): readonly Route[] {
  return [
    defineRoute(
      {
        method: "get",
        path: "/projects/:projectId/presence",
        operationId: "listPresence",
        tag: "Realtime",
        summary: "Who is connected now, on every node",
        auth: "user",
        params: projectParams,
        replies: { 200: { description: "Users with at least one open socket.", body: presenceList } },
        problems: ["not_found", "feature_disabled"],
      },
      async ({ principal, params }) => {
        await deps.requireReader(principal.userId, params.projectId);
        if (!deps.presence) throw new AppError("feature_disabled", { headers: { "Retry-After": "3600" } });
        return { status: 200, body: { presence: [...(await deps.presence.list(params.projectId))] } };
      },
    ),
  ];
}
