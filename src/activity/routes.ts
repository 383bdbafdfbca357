import { defineRoute, type Route } from "../http/route.js";
import { activityList, activityParams, activityPosition, activityQuery } from "./schema.js";
import type { ActivityStore } from "./store/activity-store.js";

/** The routes of the activity log. */
export function createActivityRoutes(deps: {
  store: ActivityStore;
  /** Throws `not_found` or `forbidden` when the user may not read the project's activity. */
  requireReader: (userId: string, projectId: string) => Promise<void>;
}): readonly Route[] {
  const { store, requireReader } = deps;
  return [
    defineRoute(
      {
        method: "get",
        path: "/projects/:projectId/activity",
        operationId: "listActivity",
        tag: "Activity",
        summary: "What happened in a project, newest first",
        auth: "user",
        params: activityParams,
        query: activityQuery,
        list: { position: activityPosition },
        replies: { 200: { description: "One page of the log.", body: activityList } },
        problems: ["not_found"],
      },
      async ({ principal, params, query, page }) => {
        await requireReader(principal.userId, params.projectId);
        const entries = await store.list({
          projectId: params.projectId,
          ...(query.type === undefined ? {} : { type: query.type }),
          ...(query.userId === undefined ? {} : { userId: query.userId }),
          ...(query.since === undefined ? {} : { since: Date.parse(query.since) }),
          ...(query.until === undefined ? {} : { until: Date.parse(query.until) }),
          ...(page.after === undefined ? {} : { before: page.after }),
          limit: page.limit + 1,
        });
        const shown = entries.slice(0, page.limit);
        const last = shown.at(-1);
        const more = entries.length > page.limit && last !== undefined;
        return {
          status: 200,
          body: {
            activity: shown.map(({ createdAt, ...entry }) => ({
              ...entry,
              timestamp: new Date(createdAt).toISOString(),
            })),
            nextCursor: page.next(more ? { createdAt: last.createdAt, id: last.id } : undefined),
          },
        };
      },
    ),
  ];
}
