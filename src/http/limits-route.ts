import { z } from "zod";
import type { RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";
import { defineRoute, type Route } from "./route.js";

const policyBody = z
  .strictObject({
    name: z.string(),
    limit: z.number().int().meta({ description: "Points per window; 0 means the policy is off." }),
    windowSeconds: z.number(),
  })
  .meta({ id: "RateLimitPolicy" });

/** `GET /limits`: the rate-limit policies in force. */
export function createLimitsRoute(mode: "tiered" | "strict", policies: readonly RateLimitPolicy[]): Route {
  const limits = policies.map(({ name, limit, windowMs }) => ({
    name,
    limit,
    windowSeconds: windowMs / 1_000,
  }));
  return defineRoute(
    {
      method: "get",
      path: "/limits",
      operationId: "listLimits",
      tag: "Operations",
      summary: "The rate limits in force",
      auth: "user",
      replies: {
        200: {
          description: "Every policy.",
          body: z.strictObject({ mode: z.enum(["tiered", "strict"]), limits: z.array(policyBody) }),
        },
      },
    },
    async () => ({ status: 200, body: { mode, limits } }),
  );
}
