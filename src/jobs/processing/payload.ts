import { z } from "zod";
import { idSchema } from "../../projects/schema.js";
import { ARTIFACT_NAME } from "../artifact-schema.js";
import { stepSchema } from "./steps.js";

const MIB = 1024 * 1024;

/** Bounds of `data_processing`: defaults and most. */
export const DATA_LIMITS = {
  wallMs: { least: 100, default: 30_000, most: 120_000 },
  memoryBytes: { least: 64 * MIB, default: 512 * MIB, most: 1024 * MIB },
  /** All sources together. */
  inputBytes: 64 * MIB,
  /** What a query may put aside on disk. */
  tempBytes: 512 * MIB,
  sources: 8,
  queryLength: 20_000,
  steps: 50,
  previewRows: 100,
  previewBytes: 64 * 1024,
} as const;

const textWithoutNul = z.string().regex(/^[^\0]*$/, "must not hold NUL characters");

const sourceSchema = z
  .strictObject({
    format: z.enum(["csv", "json", "parquet"]),
    text: z.string().min(1).optional().meta({ description: "The data itself, for CSV and JSON." }),
    base64: z.base64().optional().meta({ description: "The data itself in Base64, for Parquet." }),
    file: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .meta({ description: "Path of a file in the workspace the job is submitted with." }),
    artifact: z
      .strictObject({ jobId: idSchema, name: z.string().regex(ARTIFACT_NAME) })
      .optional()
      .meta({ description: "A file another job made, of one you may read." }),
    delimiter: z
      .string()
      .regex(/^[^\0\r\n"]$/, "must be one character, and no quote")
      .optional()
      .meta({ description: "Of a CSV; default: what its first line has most of: , ; tab |" }),
    header: z
      .boolean()
      .optional()
      .meta({ description: "Whether the first line of a CSV names the columns; default true." }),
  })
  .superRefine((source, context) => {
    const given = (["text", "base64", "file", "artifact"] as const).filter(
      (each) => source[each] !== undefined,
    );
    const fault = (path: string, message: string) =>
      context.addIssue({ code: "custom", path: [path], message });
    if (given.length !== 1) fault(given[1] ?? "text", "give one of text, base64, file and artifact");
    if (source.format === "parquet" && source.text !== undefined)
      fault("text", "a Parquet file is no text; use base64");
    for (const option of ["delimiter", "header"] as const)
      if (source.format !== "csv" && source[option] !== undefined) fault(option, "goes with CSV");
  });

/** Where data comes from. */
export type DataSource = z.output<typeof sourceSchema>;

const bound = ({ least, most }: { least: number; most: number }, description: string) =>
  z.int().min(least).max(most).optional().meta({ description });

/** Payload of `data_processing`. */
export const dataPayload = z
  .strictObject({
    source: sourceSchema.meta({ description: 'It becomes the table "data".' }),
    tables: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/), sourceSchema)
      .optional()
      .meta({ description: "More tables by name, for joins." }),
    query: textWithoutNul
      .min(1)
      .max(DATA_LIMITS.queryLength)
      .optional()
      .meta({ description: 'One SELECT in the SQL of DuckDB over the table "data" and those of `tables`.' }),
    steps: z
      .array(stepSchema)
      .min(1)
      .max(DATA_LIMITS.steps)
      .optional()
      .meta({ description: "Instead of a query: what happens to the rows, one after the other." }),
    output: z
      .enum(["json", "csv", "parquet"])
      .optional()
      .meta({ description: "Format of the result; default json." }),
    limits: z
      .strictObject({
        wallMs: bound(DATA_LIMITS.wallMs, "Time from start to end in milliseconds."),
        memoryBytes: bound(DATA_LIMITS.memoryBytes, "Memory for the data."),
      })
      .optional(),
  })
  .superRefine((payload, context) => {
    const fault = (path: string[], message: string) => context.addIssue({ code: "custom", path, message });
    if (payload.query !== undefined && payload.steps !== undefined)
      fault(["steps"], "give query or steps, not both");
    if (payload.query === undefined && payload.steps === undefined) fault(["query"], "give query or steps");
    const tables = Object.keys(payload.tables ?? {});
    if (tables.length >= DATA_LIMITS.sources) fault(["tables"], `must be at most ${DATA_LIMITS.sources - 1}`);
    const lower = ["data", ...tables.map((name) => name.toLowerCase())];
    for (const [index, name] of tables.entries())
      if (lower.indexOf(lower[index + 1] ?? "") !== index + 1 || lower[index + 1] === "result")
        fault(["tables", name], "is the name of another table");
    for (const [index, step] of (payload.steps ?? []).entries())
      if ("join" in step && !tables.includes(step.join.table))
        fault(["steps", String(index), "join", "table"], "is none of tables");
  });

/** A checked payload. */
export type DataPayload = z.output<typeof dataPayload>;

/** Result of `data_processing`. */
export const dataResult = z.strictObject({
  status: z
    .enum([
      "ok",
      "invalid_source",
      "sql_error",
      "memory_limit",
      "wall_time_limit",
      "disk_limit",
      "output_limit",
    ])
    .meta({ description: "What is not `ok` fails again when it is tried again as it is." }),
  error: z
    .strictObject({
      message: z.string(),
      table: z.string().optional().meta({ description: "The source it is about." }),
      step: z.int().optional().meta({ description: "Index of the step it is about, from 0." }),
      line: z.int().optional().meta({ description: "Of the source or the query, from 1." }),
      column: z.int().optional().meta({ description: "Of the query, from 1." }),
    })
    .optional(),
  columns: z.array(z.strictObject({ name: z.string(), type: z.string() })).optional(),
  rows: z
    .array(z.array(z.unknown()))
    .optional()
    .meta({ description: "The first rows; numbers that JSON cannot hold exactly are texts." }),
  rowCount: z.int().optional().meta({ description: "Of the whole result." }),
  artifact: z.string().optional().meta({ description: "The artifact with the whole result." }),
  timing: z
    .strictObject({ loadMs: z.int(), queryMs: z.int(), writeMs: z.int(), totalMs: z.int() })
    .optional(),
});
