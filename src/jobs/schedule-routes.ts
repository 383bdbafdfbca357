import { z } from "zod";
import { defineRoute, type Route } from "../http/route.js";
import { scheduleParams, schedulePosition, scheduleSchema, schedulesQuery } from "./schedule-schema.js";
import type { ScheduleService } from "./schedule-service.js";

const tag = "Jobs";

/** `/job-schedules`: jobs that repeat. */
export function scheduleRoutes(schedules: ScheduleService): readonly Route[] {
  return [
    defineRoute(
      {
        method: "get",
        path: "/job-schedules",
        operationId: "listJobSchedules",
        tag,
        summary: "List jobs that repeat, newest first",
        description: "Made by a job with `options.cron`. Your own; with projectId all of that project.",
        auth: "user",
        query: schedulesQuery,
        list: { position: schedulePosition },
        replies: {
          200: {
            description: "One page.",
            body: z.strictObject({ schedules: z.array(scheduleSchema), nextCursor: z.string().nullable() }),
          },
        },
        problems: ["not_found"],
      },
      async ({ principal, query, page }) => ({
        status: 200,
        body: await schedules.list(principal.userId, query.projectId, page),
      }),
    ),
    defineRoute(
      {
        method: "delete",
        path: "/job-schedules/:scheduleId",
        operationId: "endJobSchedule",
        tag,
        summary: "End a repetition",
        description: "Its run that waits is cancelled; one that runs comes to its end.",
        auth: "user",
        params: scheduleParams,
        replies: { 204: { description: "It repeats no more." } },
        problems: ["forbidden", "not_found"],
      },
      async ({ principal, params }) => {
        await schedules.end(principal.userId, params.scheduleId);
        return { status: 204 };
      },
    ),
  ];
}
