import { timingSafeEqual } from "node:crypto";
import express, { type Request, type Response, type Router } from "express";
import { z } from "zod";
import { AppError } from "../errors.js";
import type { Clock } from "../platform/clock.js";
import type { PlainOperation } from "./openapi.js";

/** What the operations' routes answer from. */
export interface HealthDeps {
  readonly clock: Clock;
  /** When the process started, in ms since the Unix epoch. */
  readonly startedAt: number;
  /** Stores by name; each rejects when its store does not answer. */
  readonly pings: Readonly<Record<string, () => Promise<void>>>;
  /** Why no traffic should come for reasons of this process, or undefined. */
  readonly refusing: () => string | undefined;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** Bearer token `/metrics` asks for; without one only this machine may read it in production. */
  readonly metricsToken: string | undefined;
  readonly production: boolean;
}

const PING_MS = 1_500;

const check = z.enum(["ok", "unavailable"]);

/** What the document says of these routes. */
export const HEALTH_OPERATIONS: readonly PlainOperation[] = [
  {
    path: "/health",
    operationId: "getHealth",
    summary: "Whether the process answers, since when",
    mediaType: "application/json",
    schema: z.strictObject({
      status: z.literal("ok"),
      timestamp: z.iso.datetime(),
      uptime: z.int().meta({ description: "Seconds." }),
    }),
  },
  {
    path: "/livez",
    operationId: "getLiveness",
    summary: "Am I alive? When this fails, restart the process",
    mediaType: "application/json",
    schema: z.strictObject({ status: z.literal("ok") }),
  },
  {
    path: "/readyz",
    operationId: "getReadiness",
    summary: "Send me traffic? 503 with `reason` and `checks` when not",
    mediaType: "application/json",
    schema: z.strictObject({
      status: z.enum(["ready", "degraded"]),
      degraded: z.array(z.string()).meta({ description: "Stores that are away." }),
      checks: z.record(z.string(), check),
    }),
    problems: ["dependency_unavailable", "shutting_down"],
  },
  {
    path: "/metrics",
    operationId: "getMetrics",
    summary: "Metrics for Prometheus",
    mediaType: "text/plain",
    schema: z.string(),
    problems: ["not_found"],
  },
];

/** `/health`, `/livez` (am I alive), `/readyz` (send me traffic, and why not), `/metrics` (Prometheus). */
export function createHealthRouter(deps: HealthDeps): Router {
  const router = express.Router();
  router.get("/health", (_request, response) => {
    const now = deps.clock.now();
    response.json({
      status: "ok",
      timestamp: new Date(now).toISOString(),
      uptime: Math.floor((now - deps.startedAt) / 1_000),
    });
  });
  router.get("/livez", (_request, response) => {
    response.json({ status: "ok" });
  });
  router.get("/readyz", async (_request, response) => {
    const checks = Object.fromEntries(
      await Promise.all(
        Object.entries(deps.pings).map(async ([name, ping]) => [name, await answer(ping)] as const),
      ),
    );
    const refusing = deps.refusing();
    const degraded = Object.keys(checks).filter((name) => checks[name] !== "ok");
    // Without the database nothing can be served; without another store the rest can.
    const ready = refusing === undefined && checks.database === "ok";
    if (!ready) {
      throw new AppError(refusing === "stopping" ? "shutting_down" : "dependency_unavailable", {
        detail: refusing === undefined ? "The database does not answer." : `No traffic now: ${refusing}.`,
        headers: { "Retry-After": "2" },
        extensions: { reason: refusing ?? "the database does not answer", degraded, checks },
      });
    }
    response.json({ status: degraded.length > 0 ? "degraded" : "ready", degraded, checks });
  });
  router.get("/metrics", async (request, response) => {
    if (!mayReadMetrics(request, deps)) throw new AppError("not_found");
    await sendMetrics(response, deps);
  });
  return router;
}

async function answer(ping: () => Promise<void>): Promise<"ok" | "unavailable"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error("no answer")), PING_MS);
  });
  try {
    await Promise.race([ping(), late]);
    return "ok";
  } catch {
    return "unavailable";
  } finally {
    clearTimeout(timer);
  }
}

function mayReadMetrics(request: Request, { metricsToken, production }: HealthDeps): boolean {
  if (metricsToken === undefined) return !production || isLoopback(request.socket.remoteAddress);
  const given = Buffer.from(request.get("authorization") ?? "");
  const wanted = Buffer.from(`Bearer ${metricsToken}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function isLoopback(address: string | undefined): boolean {
  return address === "::1" || /^(::ffff:)?127\./.test(address ?? "");
}

async function sendMetrics(response: Response, deps: HealthDeps): Promise<void> {
  const { contentType, text } = await deps.metrics();
  response.setHeader("Content-Type", contentType);
  response.end(text);
}
