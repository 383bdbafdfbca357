import { z } from "zod";

/** A user with open sockets. */
export const presentUser = z
  .strictObject({ userId: z.uuid(), name: z.string(), connections: z.number().int().positive() })
  .meta({ id: "PresentUser" });

/** Body of the presence list. */
export const presenceList = z.strictObject({ presence: z.array(presentUser) });
