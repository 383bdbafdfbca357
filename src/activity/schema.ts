import { z } from "zod";
import { idSchema } from "../projects/schema.js";

/** Path of a project's activity. */
export const activityParams = z.strictObject({ projectId: idSchema });

const instant = z.iso.datetime({ offset: true });

/** Filters of the activity list. */
export const activityQuery = z.object({
  type: z
    .string()
    .regex(/^[\w.-]{1,64}$/)
    .optional()
    .meta({ description: "Only this event type, for example `member_added`." }),
  userId: idSchema.optional().meta({ description: "Only what this user did." }),
  since: instant.optional().meta({ description: "From this moment on (inclusive)." }),
  until: instant.optional().meta({ description: "Before this moment (exclusive)." }),
});

/** One line of the log as it is shown. */
export const activityBody = z
  .strictObject({
    id: z.uuid(),
    type: z.string(),
    projectId: z.uuid(),
    userId: z.uuid().nullable(),
    payload: z.record(z.string(), z.unknown()),
    timestamp: z.iso.datetime(),
  })
  .meta({ id: "Activity" });

/** Body of the list. */
export const activityList = z.strictObject({
  activity: z.array(activityBody),
  nextCursor: z.string().nullable(),
});

/** What a cursor of the list holds. */
export const activityPosition = z.strictObject({ createdAt: z.number(), id: z.uuid() });
