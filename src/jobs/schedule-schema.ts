import { z } from "zod";
import { idSchema, timeSchema } from "../projects/schema.js";

/** A repetition in replies. */
export const scheduleSchema = z
  .strictObject({
    id: z.uuid(),
    type: z.string(),
    cron: z.string(),
    timeZone: z.string(),
    ownerId: z.uuid(),
    projectId: z.uuid().nullable(),
    workspaceId: z.uuid().nullable(),
    priority: z.int(),
    maxAttempts: z.int(),
    jobId: z.uuid().nullable().meta({ description: "Its run that waits or runs." }),
    nextRunAt: timeSchema.nullable().meta({ description: "When that run starts; null while it runs." }),
    endedReason: z.enum(["cancelled", "forbidden"]).nullable().meta({
      description: "Why it repeats no more; `forbidden`: its owner may not run jobs there any more.",
    }),
    createdAt: timeSchema,
    endedAt: timeSchema.nullable(),
  })
  .meta({ id: "JobSchedule" });

/** A repetition in replies. */
export type JobSchedule = z.output<typeof scheduleSchema>;

export const scheduleParams = z.strictObject({ scheduleId: idSchema });

/** Where a list of repetitions stands: they are ordered by id, newest first. */
export const schedulePosition = z.strictObject({ id: z.uuid() });

/** Query of `GET /job-schedules`. */
export const schedulesQuery = z.strictObject({
  projectId: idSchema.optional().meta({ description: "All of this project, not only your own." }),
});
