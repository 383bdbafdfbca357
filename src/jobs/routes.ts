import { z } from "zod";
import { defineRoute, type Route } from "../http/route.js";
import type { Sql } from "../platform/database/database.js";
import type { RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";
import type { Artifact } from "./artifact-schema.js";
import type { JobEvents } from "./job-events.js";
import type { Languages } from "./languages.js";
import {
  artifactParams,
  type JobSchemas,
  jobLogSchema,
  jobParams,
  jobPosition,
  jobSummarySchema,
  languageSchema,
  logsQuery,
} from "./schema.js";
import type { JobService } from "./service.js";

const tag = "Jobs";
const DEFAULT_LOG_PAGE = 100;

/** `/jobs`, `/jobs/:jobId` and `/languages`. */
export function jobRoutes(deps: {
  jobs: JobService;
  events: JobEvents;
  languages: Languages;
  schemas: JobSchemas;
  database: Sql;
  /** Counts submissions and retries per user. */
  runsPolicy: RateLimitPolicy;
  basePath: string;
}): readonly Route[] {
  const { jobs, schemas, runsPolicy, basePath } = deps;
  const jobReply = z.strictObject({ job: schemas.job });
  const location = (jobId: string) => ({ Location: `${basePath}/jobs/${jobId}` });
  return [
    defineRoute(
      {
        method: "post",
        path: "/jobs",
        operationId: "createJob",
        tag,
        summary: "Submit a job",
        description:
          "The job exists once this is answered, whatever fails afterwards. With a projectId its members see it, and you need a role that may run jobs there, now and when it starts.",
        auth: "user",
        body: schemas.submission,
        idempotent: true,
        limits: [runsPolicy],
        replies: { 202: { description: "The job, waiting.", body: jobReply } },
        problems: [
          "forbidden",
          "not_found",
          "unprocessable",
          "unsupported_language",
          "quota_exceeded",
          "feature_disabled",
        ],
      },
      async ({ tx, principal, body, context }) => {
        const job = await jobs.submit(tx, principal.userId, body, context.requestId);
        return { status: 202, headers: location(job.id), version: job.version, body: { job } };
      },
    ),
    defineRoute(
      {
        method: "get",
        path: "/jobs",
        operationId: "listJobs",
        tag,
        summary: "List jobs, newest first",
        description: "Your own jobs; with projectId all jobs of that project. Without payloads and results.",
        auth: "user",
        query: schemas.listQuery,
        list: { position: jobPosition },
        replies: {
          200: {
            description: "One page.",
            body: z.strictObject({ jobs: z.array(jobSummarySchema), nextCursor: z.string().nullable() }),
          },
        },
        problems: ["not_found"],
      },
      async ({ principal, query, page }) => ({
        status: 200,
        body: await jobs.list(principal.userId, query, page),
      }),
    ),
    defineRoute(
      {
        method: "get",
        path: "/jobs/:jobId",
        operationId: "getJob",
        tag,
        summary: "Read a job: its status, progress and result",
        auth: "user",
        params: jobParams,
        conditional: true,
        replies: { 200: { description: "The job.", body: jobReply } },
        problems: ["not_found"],
      },
      async ({ principal, params }) => {
        const job = await jobs.get(principal.userId, params.jobId);
        return { status: 200, version: job.version, body: { job } };
      },
    ),
    defineRoute(
      {
        method: "post",
        path: "/jobs/:jobId/cancel",
        operationId: "cancelJob",
        tag,
        summary: "Cancel a job",
        description:
          "One that waits never starts; one that runs is stopped and its result refused. A cancelled job stays cancelled.",
        auth: "user",
        params: jobParams,
        replies: { 200: { description: "The job, cancelled.", body: jobReply } },
        problems: ["forbidden", "not_found", "job_not_cancellable"],
      },
      async ({ principal, params }) => {
        const job = await jobs.cancel(principal.userId, params.jobId);
        return { status: 200, version: job.version, body: { job } };
      },
    ),
    defineRoute(
      {
        method: "post",
        path: "/jobs/:jobId/retry",
        operationId: "retryJob",
        tag,
        summary: "Start a failed or cancelled job again",
        description: "The same job waits again, with as many attempts as it had at first.",
        auth: "user",
        params: jobParams,
        idempotent: true,
        limits: [runsPolicy],
        replies: { 202: { description: "The job, waiting.", body: jobReply } },
        problems: ["forbidden", "not_found", "job_not_retryable", "quota_exceeded", "feature_disabled"],
      },
      async ({ tx, principal, params }) => {
        const job = await jobs.retry(tx, principal.userId, params.jobId);
        return { status: 202, headers: location(job.id), version: job.version, body: { job } };
      },
    ),
    defineRoute(
      {
        method: "get",
        path: "/jobs/:jobId/logs",
        operationId: "getJobLogs",
        tag,
        summary: "Read what a job said, from one entry on",
        description:
          "Ask again with `after` set to `nextAfter`; works while the job runs. At most 1 MiB is kept per job.",
        auth: "user",
        params: jobParams,
        query: logsQuery,
        replies: {
          200: {
            description: "Entries in order.",
            body: z.strictObject({
              logs: z.array(jobLogSchema),
              nextAfter: z.int().meta({ description: "`seq` of the last entry given so far." }),
            }),
          },
        },
        problems: ["not_found"],
      },
      async ({ principal, params, query }) => ({
        status: 200,
        body: await jobs.logs(
          principal.userId,
          params.jobId,
          query.after ?? 0,
          query.limit ?? DEFAULT_LOG_PAGE,
        ),
      }),
    ),
    defineRoute(
      {
        method: "get",
        path: "/jobs/:jobId/artifacts/:name",
        operationId: "getJobArtifact",
        tag,
        summary: "Read a file a job made",
        description:
          "The names are in the job's `artifacts`. It comes as a download, with its media type and its SHA-256 in `Content-Digest`.",
        auth: "user",
        params: artifactParams,
        replies: { 200: { description: "The content.", bytes: "*/*" } },
        problems: ["not_found"],
      },
      async ({ principal, params }) => {
        const { artifact, open } = await jobs.artifact(principal.userId, params.jobId, params.name);
        return {
          status: 200,
          headers: downloadHeaders(artifact),
          raw: { contentType: artifact.mediaType, size: artifact.size, open },
        };
      },
    ),
    defineRoute(
      {
        method: "get",
        path: "/jobs/:jobId/events",
        operationId: "followJob",
        tag,
        summary: "Follow a job while it waits and runs",
        description:
          "Server-sent events: `job` (the job, when anything of it changes), `log` (entries, its id is the last one's seq) and at last `end` (the job). With `Last-Event-ID` it goes on after that entry; a client that has had everything gets 204. `closed` says why a stream ends early: `restart` and `token` mean come again.",
        auth: "user",
        params: jobParams,
        replies: {
          200: { description: "The events, until the job has ended.", stream: "text/event-stream" },
          204: { description: "The job has ended, and you have had all of it." },
        },
        problems: ["not_found", "quota_exceeded", "overloaded", "shutting_down"],
      },
      async ({ principal, params, context }) => {
        const stream = await deps.events.open(principal, params.jobId, context.lastEventId);
        return stream ? { status: 200, headers: { "X-Accel-Buffering": "no" }, stream } : { status: 204 };
      },
    ),
    defineRoute(
      {
        method: "get",
        path: "/languages",
        operationId: "listLanguages",
        tag,
        summary: "List the languages code_execution can run here",
        description: "As the workers probed it; a language that is not available says why.",
        auth: "user",
        replies: {
          200: {
            description: "All languages.",
            body: z.strictObject({ languages: z.array(languageSchema) }),
          },
        },
      },
      async () => ({ status: 200, body: { languages: await deps.languages.list(deps.database) } }),
    ),
  ];
}

/** Whatever a program wrote into the file, a browser only saves it. */
function downloadHeaders({ name, sha256 }: Artifact): Record<string, string> {
  return {
    "Content-Disposition": `attachment; filename="${name}"`,
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Content-Digest": `sha-256=:${Buffer.from(sha256, "hex").toString("base64")}:`,
    "Cache-Control": "private, no-cache",
  };
}
