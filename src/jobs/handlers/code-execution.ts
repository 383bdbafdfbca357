import { z } from "zod";
import { AppError } from "../../errors.js";
import type { Sql } from "../../platform/database/database.js";
import { defineJobType, type JobContext, type JobType } from "../job-type.js";
import type { Languages } from "../languages.js";
import { findLanguage, LANGUAGES } from "../sandbox/languages.js";
import { LIMIT_BOUNDS, REQUEST_LIMITS } from "../sandbox/limits.js";
import { checkProgram, isProgramPath } from "../sandbox/program.js";
import type { LanguageCapability, RunEvent, RunRequest, RunResult, Sandbox } from "../sandbox/sandbox.js";

const { minimum, maximum } = LIMIT_BOUNDS;
/** Output is part of the result, which is kept in the job's row. */
const MAX_OUTPUT_BYTES = 256 * 1024;
/** Waiting for a free slot of the sandbox included; the program's own limits are far below. */
const TIME_LIMIT_MS = 5 * 60_000;

const NAMES = LANGUAGES.map(({ id, aliases }) =>
  aliases.length === 0 ? id : `${id} (${aliases.join(", ")})`,
);

const limit = (least: number, most: number, description: string) =>
  z.int().min(least).max(most).optional().meta({ description });

const payloadSchema = z
  .strictObject({
    language: z
      .string()
      .min(1)
      .max(40)
      .meta({
        description: `An id or alias of \`GET /languages\`, which says what runs here: ${NAMES.join(", ")}.`,
        examples: LANGUAGES.map(({ id }) => id),
      }),
    code: z.string().min(1).optional().meta({ description: "The program, when it is one file." }),
    files: z
      .record(z.string(), z.string())
      .optional()
      .meta({ description: "The program's files: relative path to source text; instead of `code`." }),
    entry: z.string().optional().meta({ description: "The file of `files` to start with." }),
    stdin: z.string().optional(),
    args: z.array(z.string()).max(REQUEST_LIMITS.args).optional(),
    limits: z
      .strictObject({
        cpuMs: limit(minimum.cpuMs, maximum.cpuMs, "CPU time in milliseconds."),
        wallMs: limit(minimum.wallMs, maximum.wallMs, "Time from start to end in milliseconds."),
        memoryBytes: limit(minimum.memoryBytes, maximum.memoryBytes, "Memory of the program."),
        outputBytes: limit(minimum.outputBytes, MAX_OUTPUT_BYTES, "Standard output and error together."),
        diskBytes: limit(minimum.diskBytes, maximum.diskBytes, "What the program may write to files."),
      })
      .optional(),
  })
  .superRefine((payload, context) => {
    const fault = (path: string[], message: string) => context.addIssue({ code: "custom", path, message });
    const { code, files, entry } = payload;
    const sourceBytes = bytesOf(files ? Object.values(files) : [code ?? ""]);
    if (sourceBytes > REQUEST_LIMITS.sourceBytes) {
      fault([files ? "files" : "code"], `must have at most ${REQUEST_LIMITS.sourceBytes} bytes of source`);
    }
    if (bytesOf([payload.stdin ?? ""]) > REQUEST_LIMITS.stdinBytes) {
      fault(["stdin"], `must have at most ${REQUEST_LIMITS.stdinBytes} bytes`);
    }
    if (bytesOf(payload.args ?? []) > REQUEST_LIMITS.argBytes) {
      fault(["args"], `must have at most ${REQUEST_LIMITS.argBytes} bytes`);
    }
    if (files === undefined) {
      if (code === undefined) fault(["code"], "give code, or files and entry");
      if (entry !== undefined) fault(["entry"], "goes with files");
      return;
    }
    if (code !== undefined) fault(["code"], "give code or files, not both");
    const paths = Object.keys(files);
    if (paths.length > REQUEST_LIMITS.files)
      fault(["files"], `must have at most ${REQUEST_LIMITS.files} files`);
    for (const path of paths.filter((name) => !isProgramPath(name)).slice(0, 20)) {
      fault(["files", path.slice(0, 100)], "is not a relative path without .. and control characters");
    }
    if (entry === undefined || !Object.hasOwn(files, entry)) fault(["entry"], "must be one of the files");
  });

type Payload = z.output<typeof payloadSchema>;

const resultSchema = z.strictObject({
  status: z.enum([
    "ok",
    "nonzero_exit",
    "runtime_error",
    "compile_error",
    "cpu_time_limit",
    "wall_time_limit",
    "memory_limit",
    "output_limit",
    "disk_limit",
    "unsettled_await",
    "cancelled",
  ]),
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  durationMs: z.number(),
  cpuMs: z.number().nullable(),
  peakMemoryBytes: z.number().nullable(),
  stdout: z.string(),
  stderr: z.string(),
  truncated: z.boolean().meta({ description: "True when output beyond the limit is missing." }),
  error: z
    .strictObject({
      kind: z.string(),
      message: z.string(),
      file: z.string().optional(),
      line: z.int().optional(),
      column: z.int().optional(),
      stack: z.string().optional(),
    })
    .optional(),
  engine: z.strictObject({
    id: z.string(),
    version: z.string(),
    isolation: z.enum(["wasm", "wasm+os", "native+os"]),
  }),
});

/**
 * `code_execution`: runs a program in the sandbox. A program that fails is a completed job with a result.
 *
 * @param deps.sandbox none in a process that runs no jobs.
 */
export function createCodeExecution(deps: {
  enabled: boolean;
  sandbox: Pick<Sandbox, "run" | "capabilities"> | undefined;
  languages: Pick<Languages, "list">;
}): JobType {
  const { enabled, sandbox, languages } = deps;
  return defineJobType({
    name: "code_execution",
    description:
      "Runs a program in the sandbox: no network, no files but its own, bounded time, memory and output.",
    enabled,
    payload: payloadSchema,
    result: resultSchema,
    attempts: 3,
    timeLimitMs: TIME_LIMIT_MS,
    async check(sql, payload) {
      await checkLanguage(languages, sql, payload.language);
      const definition = findLanguage(payload.language);
      if (definition) checkBounds(requestOf(payload, definition.extension));
    },
    async run(context, payload) {
      if (!sandbox) throw new Error("this process has no sandbox");
      const extension = findByName(await sandbox.capabilities(), payload.language)?.extension;
      const request = requestOf(payload, extension ?? "txt");
      const result = await follow(sandbox.run({ ...request, signal: context.signal }), context);
      return { status: result.status, result: kept(result) };
    },
  });
}

async function checkLanguage(languages: Pick<Languages, "list">, sql: Sql, asked: string): Promise<void> {
  const known = await languages.list(sql);
  const language = findByName(known, asked);
  // Before the first worker has ever started, only the names can be checked.
  if (language?.available || (known.length === 0 && findLanguage(asked))) return;
  const message = language?.reason ?? "The sandbox does not run this language here.";
  throw new AppError("unsupported_language", {
    errors: [{ pointer: "/payload/language", code: "unsupported_language", message }],
    extensions: { available: known.filter(({ available }) => available).map(({ id }) => id) },
  });
}

function findByName(known: readonly LanguageCapability[], asked: string): LanguageCapability | undefined {
  const name = asked.toLowerCase();
  return known.find(({ id, aliases }) => id === name || aliases.includes(name));
}

/** What only holds for the language at hand, such as a single file. */
function checkBounds(request: RunRequest): void {
  try {
    checkProgram(request);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "validation_failed") throw error;
    throw new AppError(error.code, {
      errors: error.errors?.map((fault) => ({ ...fault, pointer: `/payload${fault.pointer}` })),
      cause: error,
    });
  }
}

function requestOf(payload: Payload, extension: string): RunRequest {
  const { language, code, files, entry, stdin, args, limits } = payload;
  const name = `main.${extension}`;
  return {
    language,
    files: files ?? { [name]: code ?? "" },
    entry: entry ?? name,
    ...(stdin === undefined ? {} : { stdin }),
    ...(args === undefined ? {} : { args }),
    limits: { ...limits, outputBytes: limits?.outputBytes ?? MAX_OUTPUT_BYTES },
  };
}

async function follow(events: AsyncIterable<RunEvent>, context: JobContext): Promise<RunResult> {
  for await (const event of events) {
    switch (event.type) {
      case "phase":
        context.progress(event.phase === "run" ? 10 : 0, event.phase);
        break;
      case "stdout":
      case "stderr":
        context.log(event.type, event.data);
        break;
      case "result":
        return event.result;
    }
  }
  throw new Error("the sandbox ended without a result");
}

/** Exactly what is documented of a result. */
function kept(result: RunResult): z.input<typeof resultSchema> {
  const { error, engine } = result;
  return {
    status: result.status,
    exitCode: result.exitCode,
    signal: result.signal,
    durationMs: result.durationMs,
    cpuMs: result.cpuMs,
    peakMemoryBytes: result.peakMemoryBytes,
    stdout: result.stdout,
    stderr: result.stderr,
    truncated: result.truncated,
    ...(error === undefined
      ? {}
      : {
          error: {
            kind: error.kind,
            message: error.message,
            ...(error.file === undefined ? {} : { file: error.file }),
            ...(error.line === undefined ? {} : { line: error.line }),
            ...(error.column === undefined ? {} : { column: error.column }),
            ...(error.stack === undefined ? {} : { stack: error.stack }),
          },
        }),
    engine: { id: engine.id, version: engine.version, isolation: engine.isolation },
  };
}

function bytesOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}
