import { existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { z } from "zod";
import { AppError } from "../../src/errors.js";
import type { dataResult } from "../../src/jobs/processing/payload.js";
import type { Job } from "../../src/jobs/schema.js";
import { createToolRunner, type ToolRunner } from "../../src/jobs/tools/tool-runner.js";
import { createJobApp, eventually, type JobApp, pointersOf } from "../kit/job-app.js";
import type { TestUser } from "../kit/project-app.js";

type Result = z.output<typeof dataResult>;

let app: JobApp;
let ada: TestUser;
let tools: ToolRunner;
const workspaceFiles = new Map<string, string>();

beforeAll(async () => {
  tools = createToolRunner({ slots: 1 });
  app = await createJobApp({
    tools,
    runningPerUser: 10,
    async workspaceFile(actor, workspaceId, path) {
      const text = workspaceFiles.get(`${actor} ${workspaceId} ${path}`);
      if (text === undefined) throw new AppError("not_found");
      return Buffer.from(text);
    },
  });
  await app.worker();
  ada = await app.user();
});
afterAll(() => app.close());

const SALES = "city,amount,day\nOslo,10.5,2026-01-01\nBergen,20,2026-01-02\nOslo,4.5,2026-01-03\n";
const csv = (text = SALES) => ({ format: "csv", text });

async function submit(payload: Record<string, unknown>, more: Record<string, unknown> = {}): Promise<Job> {
  const answer = await app.call("POST", "/jobs", {
    as: ada,
    body: { type: "data_processing", payload, ...more },
  });
  if (answer.status !== 202) throw new Error(answer.text);
  return answer.body.job;
}

async function run(payload: Record<string, unknown>, more: Record<string, unknown> = {}) {
  const { id } = await submit(payload, more);
  await Promise.race([app.event("job_completed", id), app.event("job_failed", id)]);
  const job = await app.read(ada, id);
  return { job, result: job.result as Result };
}

const query = async (sql: string, more: Record<string, unknown> = {}) =>
  (await run({ source: csv(), query: sql, ...more })).result;

const artifact = async (job: Job, name: string) => app.fetch(`/jobs/${job.id}/artifacts/${name}`, ada);

describe("data_processing", () => {
  it("[JOB80] a query over CSV gives columns, first rows, how many there are and how long it took; all rows are an artifact", async () => {
    const { job, result } = await run({
      source: csv(),
      query: "select city, sum(amount) as total, count(*) as n from data group by city order by city",
    });
    expect(job).toMatchObject({ status: "completed", attempt: 1, progress: 100 });
    expect(result).toEqual({
      status: "ok",
      columns: [
        { name: "city", type: "VARCHAR" },
        { name: "total", type: "DOUBLE" },
        { name: "n", type: "BIGINT" },
      ],
      rows: [
        ["Bergen", 20, 1],
        ["Oslo", 15, 2],
      ],
      rowCount: 2,
      artifact: "rows.json",
      timing: {
        loadMs: expect.any(Number),
        queryMs: expect.any(Number),
        writeMs: expect.any(Number),
        totalMs: expect.any(Number),
      },
    });
    expect(await (await artifact(job, "rows.json")).json()).toEqual([
      { city: "Bergen", total: 20, n: 1 },
      { city: "Oslo", total: 15, n: 2 },
    ]);
  });

  it("[JOB81] JSON and Parquet go in, JSON, CSV and Parquet come out, and one job's artifact is another's source", async () => {
    const made = await run({
      source: { format: "json", text: '[{"a":1,"b":"x"},{"a":9007199254740993,"b":null}]' },
      query: "from data",
      output: "parquet",
    });
    expect(made.result.rows).toEqual([
      [1, "x"],
      ["9007199254740993", null],
    ]);
    const parquet = Buffer.from(await (await artifact(made.job, "rows.parquet")).arrayBuffer());
    expect(parquet.subarray(0, 4).toString()).toBe("PAR1");
    const steps = [{ filter: [{ column: "b", op: "=", value: "x" }] }];
    for (const source of [
      { format: "parquet", base64: parquet.toString("base64") },
      { format: "parquet", artifact: { jobId: made.job.id, name: "rows.parquet" } },
    ]) {
      const { job, result } = await run({ source, steps, output: "csv" });
      expect(result).toMatchObject({ status: "ok", rows: [[1, "x"]], artifact: "rows.csv" });
      expect(await (await artifact(job, "rows.csv")).text()).toBe("a,b\n1,x\n");
    }
    const lines = await run({
      source: { format: "json", text: '{"a":1}\n{"a":2}\n' },
      query: "select sum(a) s from data",
    });
    expect(lines.result.rows).toEqual([[3]]);
  });

  it("[JOB82] steps do what their names say, in order, with names and values taken as they are", async () => {
    const odd = 'we"ird; drop table data--';
    const { result } = await run({
      source: csv(`"we""ird; drop table data--",n\n"a'b",1\n"a'b",2\nc,5\nd,\n`),
      tables: { names: csv("key,label\na'b,first\nc,second\n") },
      steps: [
        {
          filter: [
            { column: "n", op: "not_null" },
            { column: odd, op: "in", value: ["a'b", "c"] },
          ],
        },
        {
          group: {
            by: [odd],
            aggregates: [
              { fn: "sum", column: "n", as: "sum" },
              { fn: "count", as: "rows" },
              { fn: "count_distinct", column: "n", as: "different" },
            ],
          },
        },
        { join: { table: "names", on: [{ left: odd, right: "key" }] } },
        { select: [{ column: "label", as: "name" }, "sum", "rows", "different"] },
        { sort: [{ column: "sum", descending: true }] },
        { limit: 1 },
      ],
    });
    expect(result).toMatchObject({ status: "ok", rows: [["second", 5, 1, 1]] });
    expect(result.columns?.map(({ name }) => name)).toEqual(["name", "sum", "rows", "different"]);
    const wrong = await run({ source: csv(), steps: [{ limit: 2 }, { select: ["nowhere"] }] });
    expect(wrong.result).toMatchObject({
      status: "sql_error",
      error: { step: 1, message: expect.stringContaining("nowhere") },
    });
  });

  it("[JOB83] wrong SQL is a completed job that says what and where, and is not tried again", async () => {
    const { job, result } = await run({ source: csv(), query: "select city,\n  amout\nfrom data" });
    expect(job).toMatchObject({ status: "completed", attempt: 1, error: null, artifacts: [] });
    expect(result).toMatchObject({ status: "sql_error", error: { line: 2, column: 3 } });
    expect(result.error?.message).toMatch(/amout/);
    expect(await query("selec 1")).toMatchObject({ status: "sql_error", error: { line: 1, column: 1 } });
    expect(await query("select\n cast(city as int) from data")).toMatchObject({
      status: "sql_error",
      error: { message: expect.stringContaining("Oslo"), line: 2 },
    });
    for (const nothing of ["", "-- nothing", ";"].slice(1))
      expect([nothing, (await query(nothing)).status]).toEqual([nothing, "sql_error"]);
    for (const fine of [
      "select 1 as a; ",
      "select 1 as a -- one",
      "with t as (select 1 a) from t",
      "summarize data",
      "describe data",
      "show tables",
    ])
      expect([fine, (await query(fine)).status]).toEqual([fine, "ok"]);
  });

  it.each([
    ["rows of another length", "a,b,c\n1,2,3\n4,5\n6,7,8\n", 3],
    ["a quote that is not closed", 'a,b\n1,"x\n2,y\n', 2],
    ["a letter", "Dear sir,\nthis is a letter, with some, commas\nand a line\n", 2],
    ["a page", "<!doctype html>\n<html><body>a,b</body></html>", 1],
    ["JSON", '[{"a":1},{"a":2}]', 1],
    ["nothing but space", " \n \n", 1],
  ])(
    "[JOB84] what is no CSV – %s – is told, with its line, and no row is passed over",
    async (_name, text, line) => {
      const { job, result } = await run({ source: csv(text), query: "from data" });
      expect(job).toMatchObject({ status: "completed", attempt: 1 });
      expect(result).toMatchObject({ status: "invalid_source", error: { table: "data", line } });
      expect(result.error?.message).toMatch(/^This is no CSV: /);
      expect(result.error?.message).not.toMatch(/read_csv|in-data|\/tmp/);
    },
  );

  it("[JOB85] so are JSON and Parquet that are none, and files and artifacts that are not there", async () => {
    const parquet = Buffer.from("PAR1 or so").toString("base64");
    for (const [source, message] of [
      [{ format: "json", text: '{"a":' }, /^This is no JSON: /],
      [{ format: "json", text: "hello" }, /^This is no JSON: /],
      [{ format: "parquet", base64: parquet }, /^This is no Parquet: /],
      [
        { format: "csv", artifact: { jobId: "00000000-0000-7000-8000-000000000000", name: "a.csv" } },
        /artifact/,
      ],
    ] as const) {
      const { result } = await run({ source, query: "from data" });
      expect(result).toMatchObject({
        status: "invalid_source",
        error: { message: expect.stringMatching(message) },
      });
    }
    const second = await run({ source: csv(), tables: { more: csv("a,b\n1\n") }, query: "from more" });
    expect(second.result).toMatchObject({ status: "invalid_source", error: { table: "more", line: 2 } });
  });

  it("[JOB86] a file of the workspace is read with the rights of the job's owner; without a workspace it is refused", async () => {
    const projectId = await app.projects.project(ada);
    const made = await app.projects.call("POST", `/projects/${projectId}/workspaces`, {
      as: ada,
      body: { name: "Space", settings: {} },
    });
    const workspaceId = made.body.workspace.id;
    workspaceFiles.set(`${ada.id} ${workspaceId} in/sales.csv`, SALES);
    const source = { format: "csv", file: "in/sales.csv" };
    const { result } = await run({ source, query: "select count(*) n from data" }, { workspaceId });
    expect(result).toMatchObject({ status: "ok", rows: [[3]] });
    const missing = await run(
      { source: { ...source, file: "other.csv" }, query: "from data" },
      { workspaceId },
    );
    expect(missing.result).toMatchObject({ status: "invalid_source", error: { table: "data" } });
    const eve = await app.user();
    const foreign = await app.call("POST", "/jobs", {
      as: eve,
      body: {
        type: "data_processing",
        payload: {
          source: { format: "csv", artifact: { jobId: missing.job.id, name: "rows.json" } },
          query: "from data",
        },
      },
    });
    await app.event("job_completed", foreign.body.job.id);
    expect((await app.read(eve, foreign.body.job.id)).result).toMatchObject({ status: "invalid_source" });
    const refused = await app.call("POST", "/jobs", {
      as: ada,
      body: { type: "data_processing", payload: { source, query: "from data" } },
    });
    expect([refused.status, pointersOf(refused)]).toEqual([400, ["/payload/source/file"]]);
  });

  it.each([
    ["no query and no steps", {}, "/payload/query"],
    ["both", { query: "from data", steps: [{ limit: 1 }] }, "/payload/steps"],
    [
      "two sources in one",
      { source: { format: "csv", text: "a", file: "b" }, query: "q" },
      "/payload/source/file",
    ],
    ["an unknown format", { source: { format: "xls", text: "a" }, query: "q" }, "/payload/source/format"],
    ["a table called data", { tables: { DATA: csv() }, query: "q" }, "/payload/tables/DATA"],
    ["a table's name that is none", { tables: { "a b": csv() }, query: "q" }, "/payload/tables/a b"],
    [
      "a join with nothing",
      { steps: [{ join: { table: "x", on: [{ left: "a", right: "a" }] } }] },
      "/payload/steps/0/join/table",
    ],
    ["limits over the most", { query: "q", limits: { memoryBytes: 2 ** 40 } }, "/payload/limits/memoryBytes"],
    ["NUL in the query", { query: "select '\0'" }, "/payload/query"],
  ])("[JOB87] %s is 400 with its place", async (_name, payload, pointer) => {
    const body = { type: "data_processing", payload: { source: csv(), ...payload } };
    const answer = await app.call("POST", "/jobs", { as: ada, body });
    expect([answer.status, pointersOf(answer)[0]]).toEqual([400, pointer]);
  });

  it("[JOB88] a query without end, or over its memory or disk, is stopped and its result says by what", async () => {
    const limits = { wallMs: 1_500, memoryBytes: 64 * 1024 * 1024 };
    for (const endless of [
      "select count(*) from generate_series(1, 100000000000)",
      "with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t",
    ])
      expect([endless, (await query(endless, { limits })).status]).toEqual([
        endless,
        expect.stringMatching(/^(wall_time|memory|disk)_limit$/),
      ]);
    const large = "select string_agg(repeat('x', 1000000), '') s from generate_series(1, 2000)";
    expect((await query(large, { limits: { ...limits, wallMs: 30_000 } })).status).toBe("memory_limit");
    // Long as JSON, where each row names its column, and short in memory.
    const output = `select i as "${"x".repeat(100)}" from generate_series(1, 1000000) t(i)`;
    expect(await query(output, { limits: { wallMs: 60_000 } })).toMatchObject({ status: "output_limit" });
    // The one place there is free again.
    expect((await query("from data")).status).toBe("ok");
  });

  it("[JOB89] cancelling ends the process, and no process and no file is left", async () => {
    const job = await submit({
      source: csv(),
      query: "select count(*) from generate_series(1, 100000000000)",
    });
    await eventually(async () =>
      expect((await app.read(ada, job.id)).progressMessage).toBe("running the query"),
    );
    await app.call("POST", `/jobs/${job.id}/cancel`, { as: ada });
    expect((await query("from data")).status).toBe("ok");
    await eventually(() =>
      expect(readdirSync(tmpdir()).filter((name) => name.startsWith("atelier-tool-"))).toEqual([]),
    );
    if (existsSync("/proc/self/task")) {
      const { processesUnder } = await import("../../src/jobs/sandbox/process-tree.js");
      await eventually(() => expect(processesUnder(process.pid).filter(isTool)).toEqual([]));
    }
  });
});

function isTool(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/cwd/`).some((name) => name.startsWith("in-"));
  } catch {
    return false;
  }
}

describe("hostile SQL", () => {
  it.each([
    ["copy data to 'x.csv'", /disabled/],
    ["copy data to 'rows.json'", /SELECT/],
    ["copy (select 1) to '/tmp/atelier-planted.csv'", /disabled/],
    ["select * from read_csv('/etc/passwd')", /disabled/],
    ["select * from read_text('/etc/passwd')", /disabled/],
    ["select * from read_blob('/proc/self/environ')", /disabled/],
    ["select * from glob('/*')", /disabled/],
    ["select * from '/etc/passwd'", /does not exist/],
    ["select * from 'https://example.com/a.csv'", /.+/],
    ["select * from read_parquet('s3://bucket/a.parquet')", /.+/],
    ["attach '/tmp/x.db' as x", /SELECT/],
    ["install httpfs", /SELECT/],
    ["load httpfs", /SELECT/],
    ["pragma database_list; pragma version", /one SELECT/],
    ["set enable_external_access = true", /SELECT/],
    ["reset lock_configuration", /SELECT/],
    ["select 1; copy data to 'x.csv'", /one SELECT/],
    ["create table x as select 1", /SELECT/],
    ["drop table data", /SELECT/],
    ["delete from data", /SELECT/],
    ["insert into data values (1, 2, now())", /SELECT/],
    ["export database '/tmp/x'", /disabled/],
    ["create macro f() as 1", /SELECT/],
    ["explain analyze select 1", /SELECT/],
    ["call pragma_version()", /SELECT/],
    ["select getenv('HOME')", /getenv/],
    ["select ?", /arameter/],
    ["select * from query('copy data to ''x.csv''')", /.+/],
    ["select 1) ; copy data to 'x.csv' ; select (1", /.+/],
  ])("[JOB90] %s does nothing", async (sql, message) => {
    const result = await query(sql);
    expect(result).toMatchObject({ status: "sql_error", error: { message: expect.stringMatching(message) } });
    expect(existsSync("/tmp/atelier-planted.csv")).toBe(false);
  });

  it("[JOB91] what a query can learn of the process holds no path, no secret and nothing of the machine", async () => {
    const fenced = (await tools.isolation()).startsWith("bubblewrap");
    const own = fenced ? "/work/" : /[^"[]*atelier-tool-\w+\//g;
    process.env["ATELIER_CANARY"] = "canary-5f1d";
    try {
      for (const sql of [
        "select * from duckdb_settings()",
        "select * from duckdb_databases()",
        "select * from pragma_database_list",
        "select * from duckdb_secrets()",
        "select * from duckdb_temporary_files()",
        "select current_setting('temp_directory') t, current_setting('home_directory') h",
      ]) {
        // A fenced process sees its own folder as /work; one that is not fenced sees the folder's real name.
        const text = JSON.stringify(await query(sql)).replaceAll(own, "");
        expect([sql, /canary|atelier-tool|\/root|\/home\/|\/tmp\//.exec(text)?.[0]]).toEqual([
          sql,
          undefined,
        ]);
      }
    } finally {
      delete process.env["ATELIER_CANARY"];
    }
  });

  it("[JOB92] deeply nested and very long queries and sources end with a status, and the next one runs", async () => {
    const limits = { wallMs: 3_000 };
    const deep = `select ${"(".repeat(5_000)}1${")".repeat(5_000)}`;
    for (const sql of [deep, `select ${Array.from({ length: 1_500 }, (_n, i) => `${i} as c${i}`).join(",")}`])
      expect((await run({ source: csv(), query: sql, limits })).job.status).toBe("completed");
    const text = "[".repeat(3_000) + "]".repeat(3_000);
    const nested = await run({ source: { format: "json", text }, query: "from data", limits });
    expect(nested.job).toMatchObject({ status: "completed", attempt: 1 });
    expect((await query("from data")).status).toBe("ok");
  });
});
