import { availableParallelism } from "node:os";
import type { Readable } from "node:stream";
import type { z } from "zod";
import { AppError } from "../../errors.js";
import { ARTIFACT_LIMITS } from "../artifacts.js";
import { defineJobType, type JobContext, type JobOutcome, type JobType } from "../job-type.js";
import { DATA_LIMITS, type DataPayload, dataPayload, dataResult } from "../processing/payload.js";
import { type DataFiles, openSource, SourceMissing } from "../processing/sources.js";
import { compileSteps } from "../processing/steps.js";
import type { Tool } from "../tools/tool-launch.js";
import type { ToolOutcome, ToolRunner } from "../tools/tool-runner.js";
import type { ToolInput } from "../tools/work-folder.js";

type Result = z.input<typeof dataResult>;

const MIB = 1024 * 1024;
const TOOL: Tool = { script: "data.mjs", packages: ["@duckdb/node-api"], addons: true, heapBytes: 256 * MIB };
/** Waiting for a free place included. */
const TIME_LIMIT_MS = 5 * 60_000;
/** Beyond the memory of the data: code, and what DuckDB does not count. */
const MEMORY_SLACK_BYTES = 256 * MIB;
const MEDIA_TYPES = {
  json: "application/json",
  csv: "text/csv; charset=utf-8",
  parquet: "application/vnd.apache.parquet",
} as const;

const toolResult = dataResult.omit({ artifact: true });

/** `data_processing`: SQL or steps over tables of data, in DuckDB in a process of its own. */
export function createDataProcessing(deps: { tools: ToolRunner | undefined; files: DataFiles }): JobType {
  const { tools, files } = deps;
  return defineJobType({
    name: "data_processing",
    description:
      "Runs a SELECT, or steps, over CSV, JSON or Parquet. The result has the columns and the first rows; all rows are in an artifact. A query that is wrong or goes beyond its limits is a completed job whose result says so.",
    enabled: true,
    payload: dataPayload,
    result: dataResult,
    attempts: 3,
    timeLimitMs: TIME_LIMIT_MS,
    check: async (_sql, payload, { workspaceId }) => checkFiles(payload, workspaceId),
    async run(context, payload) {
      if (!tools) throw new Error("this process has no tools");
      const sources = { data: payload.source, ...payload.tables };
      let inputs: ToolInput[];
      try {
        inputs = await openInputs(files, context, sources);
      } catch (error) {
        if (!(error instanceof SourceMissing)) throw error;
        return outcome({ status: "invalid_source", error: { message: error.message, table: error.table } });
      }
      const limits = {
        wallMs: payload.limits?.wallMs ?? DATA_LIMITS.wallMs.default,
        memoryBytes: payload.limits?.memoryBytes ?? DATA_LIMITS.memoryBytes.default,
      };
      const run = {
        tool: TOOL,
        request: requestOf(payload, sources, limits.memoryBytes),
        inputs,
        limits: {
          wallMs: limits.wallMs,
          memoryBytes: limits.memoryBytes + MEMORY_SLACK_BYTES,
          diskBytes: DATA_LIMITS.inputBytes + DATA_LIMITS.tempBytes + 2 * ARTIFACT_LIMITS.bytes,
          inputBytes: DATA_LIMITS.inputBytes,
        },
        signal: context.signal,
        progress: (percent: number, message: string) => context.progress(percent, message),
      };
      try {
        return await tools.run(run, (ended) => keep(ended, context, payload.output ?? "json"));
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== "payload_too_large") throw error;
        return outcome({ status: "invalid_source", error: { message: error.message } });
      }
    },
  });
}

/** A file needs a workspace to be in. */
function checkFiles(payload: DataPayload, workspaceId: string | null): void {
  if (workspaceId !== null) return;
  const message = "goes with the workspaceId of the submission";
  const pointers = [
    ...(payload.source.file === undefined ? [] : ["/payload/source/file"]),
    ...Object.entries(payload.tables ?? {})
      .filter(([, source]) => source.file !== undefined)
      .map(([name]) => `/payload/tables/${name}/file`),
  ];
  if (pointers.length === 0) return;
  throw new AppError("validation_failed", {
    errors: pointers.map((pointer) => ({ pointer, code: "custom", message })),
  });
}

async function openInputs(
  files: DataFiles,
  context: JobContext,
  sources: Readonly<Record<string, DataPayload["source"]>>,
): Promise<ToolInput[]> {
  const inputs: ToolInput[] = [];
  try {
    for (const [table, source] of Object.entries(sources))
      inputs.push({
        name: `in-${table}.${source.format}`,
        content: await openSource(files, context, table, source),
      });
    return inputs;
  } catch (error) {
    for (const { content } of inputs) if (isStream(content)) content.destroy();
    throw error;
  }
}

function isStream(content: ToolInput["content"]): content is Readable {
  return typeof content === "object" && "destroy" in content;
}

function requestOf(
  payload: DataPayload,
  sources: Readonly<Record<string, DataPayload["source"]>>,
  memoryBytes: number,
): unknown {
  return {
    sources: Object.fromEntries(
      Object.entries(sources).map(([table, { format, delimiter, header }]) => [
        table,
        {
          format,
          ...(delimiter === undefined ? {} : { delimiter }),
          ...(header === undefined ? {} : { header }),
        },
      ]),
    ),
    ...(payload.query === undefined ? {} : { query: payload.query }),
    ...(payload.steps === undefined ? {} : { steps: compileSteps(payload.steps) }),
    output: payload.output ?? "json",
    memoryBytes,
    tempBytes: DATA_LIMITS.tempBytes,
    threads: Math.min(availableParallelism(), 4),
    previewRows: DATA_LIMITS.previewRows,
    previewBytes: DATA_LIMITS.previewBytes,
  };
}

async function keep(
  ended: ToolOutcome,
  context: JobContext,
  format: keyof typeof MEDIA_TYPES,
): Promise<JobOutcome<Result>> {
  if (ended.kind === "limit") return outcome({ status: ended.limit });
  const result = toolResult.parse(ended.result);
  if (result.status !== "ok") return outcome(result);
  const name = `rows.${format}`;
  const file = await ended.output(name);
  if (!file) throw new Error("the tool left no result");
  if (file.size > ARTIFACT_LIMITS.bytes) {
    file.content.destroy();
    const message = `The result has ${file.size} bytes; ${ARTIFACT_LIMITS.bytes} are the most.`;
    return outcome({ status: "output_limit", error: { message } });
  }
  context.progress(90, "keeping the result");
  await context.artifact(name, file.content, MEDIA_TYPES[format]);
  return outcome({ ...result, artifact: name });
}

const EXPLAINED: Partial<Record<Result["status"], string>> = {
  memory_limit: "The query needs more memory than it may have.",
  wall_time_limit: "The query took longer than it may.",
  disk_limit: "The query puts more aside on disk than it may.",
};

function outcome(result: Result): JobOutcome<Result> {
  const message = EXPLAINED[result.status];
  return {
    status: result.status,
    result: result.error || message === undefined ? result : { ...result, error: { message } },
  };
}
