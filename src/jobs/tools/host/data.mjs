// One run of data_processing: reads the request from the first line of standard input, works in the current folder, says
// progress and result as lines of JSON. Ends when its input ends: with its parent, whatever happened to that.
import { createInterface } from "node:readline";
import { DuckDBInstance, StatementType } from "@duckdb/node-api";
import { loadSource, SourceFault } from "./data-source.mjs";

/**
 * @typedef {{
 *   sources: Readonly<Record<string, {format: "csv" | "json" | "parquet", delimiter?: string, header?: boolean}>>,
 *   query?: string,
 *   steps?: readonly string[],
 *   output: "json" | "csv" | "parquet",
 *   memoryBytes: number, tempBytes: number, threads: number, previewRows: number, previewBytes: number,
 * }} Request
 */

const OUTPUTS = {
  json: "(format json, array true)",
  csv: "(format csv, header true)",
  parquet: "(format parquet)",
};

/** @param {object} message */
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

const input = createInterface({ input: process.stdin });
input.once("close", () => process.exit());
input.once("line", (line) => {
  void main(JSON.parse(line)).then(
    (result) => say({ result }),
    (error) => {
      process.stderr.write(String(error?.message));
      process.exit(1);
    },
  );
});

/** @param {Request} request */
async function main(request) {
  const started = performance.now();
  const database = await DuckDBInstance.create(":memory:");
  const connection = await database.connect();
  const set = (/** @type {string} */ setting) => connection.run(`set ${setting}`);
  await set("autoinstall_known_extensions = false");
  await set("autoload_known_extensions = false");
  await set("allow_community_extensions = false");
  await set(`threads = ${request.threads}`);
  await set(`memory_limit = '${Math.floor(request.memoryBytes / 1024 ** 2)}MiB'`);
  await set("temp_directory = 'tmp'");
  await set(`max_temp_directory_size = '${Math.floor(request.tempBytes / 1024 ** 2)}MiB'`);
  await set("timezone = 'UTC'");
  /** @type {Record<string, number>} */
  const timing = {};
  const phase = async (/** @type {string} */ name, /** @type {() => Promise<any>} */ work) => {
    const from = performance.now();
    try {
      return await work();
    } finally {
      timing[name] = Math.round(performance.now() - from);
    }
  };
  try {
    say({ progress: 10, message: "reading the source" });
    await phase("loadMs", () => loadAll(connection, request.sources));
    const out = `rows.${request.output}`;
    // From here on it reads and writes nothing but the file of the result, and that cannot be changed any more.
    await set(`allowed_paths = ['${out}']`);
    await set("enable_external_access = false");
    await set("lock_configuration = true");
    say({ progress: 40, message: "running the query" });
    await phase("queryMs", () => runQuery(connection, request));
    say({ progress: 80, message: "writing the result" });
    const preview = await readPreview(connection, request);
    await phase("writeMs", () => connection.run(`copy result to '${out}' ${OUTPUTS[request.output]}`));
    return {
      status: "ok",
      ...preview,
      timing: { ...timing, totalMs: Math.round(performance.now() - started) },
    };
  } catch (error) {
    return faultOf(error);
  }
}

/**
 * @param {import("@duckdb/node-api").DuckDBConnection} connection
 * @param {Request["sources"]} sources
 */
async function loadAll(connection, sources) {
  for (const [table, source] of Object.entries(sources)) {
    try {
      await loadSource(connection, table, source, `in-${table}.${source.format}`);
    } catch (error) {
      if (error instanceof SourceFault) error.table = table;
      throw error;
    }
  }
}

/**
 * @param {import("@duckdb/node-api").DuckDBConnection} connection
 * @param {Request} request
 */
async function runQuery(connection, request) {
  if (request.steps) {
    for (const [index, sql] of request.steps.entries()) {
      try {
        await prepare(connection, sql);
      } catch (error) {
        // The parts of a step are ours; only which step it is says something.
        throw Object.assign(new QueryFault(sqlFault(error).message), { step: index });
      }
    }
  }
  const query = request.query ?? request.steps?.at(-1) ?? "from data";
  await prepare(connection, query);
  try {
    await connection.run(`create table result as\n${query}`);
  } catch (error) {
    // SHOW, DESCRIBE and SUMMARIZE are tables only inside a query.
    if (!(error instanceof Error) || !error.message.startsWith("Parser Error")) throw sqlFault(error, 1);
    await connection
      .run(`create table result as select * from (\n${query.replace(/;\s*$/, "")}\n)`)
      .catch((/** @type {unknown} */ inner) => {
        throw sqlFault(inner, 1);
      });
  }
}

/** What is wrong with a query. */
class QueryFault extends Error {
  /** @param {string} message @param {{line?: number, column?: number}} [where] */
  constructor(message, where = {}) {
    super(message);
    this.line = where.line;
    this.column = where.column;
    /** @type {number | undefined} */
    this.step = undefined;
  }
}

/**
 * Lets only a single query through.
 * @param {import("@duckdb/node-api").DuckDBConnection} connection
 * @param {string} sql
 */
async function prepare(connection, sql) {
  let statements;
  try {
    statements = await connection.extractStatements(sql);
  } catch (error) {
    const fault = sqlFault(error);
    throw fault.message === "Error in native callback" ? new QueryFault("There is no statement.") : fault;
  }
  if (statements.count !== 1)
    throw new QueryFault("Give one SELECT statement; a PIVOT needs its values named by IN.");
  let prepared;
  try {
    prepared = await statements.prepare(0);
  } catch (error) {
    throw sqlFault(error);
  }
  try {
    if (prepared.statementType !== StatementType.SELECT)
      throw new QueryFault("Only SELECT statements are run.");
    if (prepared.parameterCount > 0) throw new QueryFault("Parameters are not supported.");
  } finally {
    prepared.destroySync();
  }
}

/**
 * DuckDB's message, without the picture of the place, and the place.
 * @param {unknown} error
 * @param {number} linesBefore lines that were put before the query
 */
function sqlFault(error, linesBefore = 0) {
  if (error instanceof QueryFault) return error;
  const text = error instanceof Error ? error.message : String(error);
  if (/^(Out of Memory|INTERRUPT|Fatal|INTERNAL)/.test(text))
    return error instanceof Error ? error : new Error(text);
  const place = /\n\nLINE (\d+): (.*)\n( *)\^/.exec(text);
  const message = text
    .slice(0, place?.index ?? text.length)
    .replace(/^Failed to extract statements: /, "")
    .split("\n\nPossible")[0]
    ?.trim();
  if (!place) return new QueryFault(message ?? text);
  const [, line = "1", shown = "", indent = ""] = place;
  const column = indent.length - `LINE ${line}: `.length + 1;
  // Of a long line only a part is shown, which says nothing of the column.
  const whole = !shown.startsWith("...");
  return new QueryFault(message ?? text, {
    line: Math.max(1, Number(line) - linesBefore),
    ...(whole ? { column } : {}),
  });
}

/** @param {unknown} error */
function faultOf(error) {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof SourceFault) {
    const { table, line } = error;
    return { status: "invalid_source", error: { message, table, ...(line ? { line } : {}) } };
  }
  if (error instanceof QueryFault) {
    const { line, column, step } = error;
    const where = {
      ...(line ? { line } : {}),
      ...(column ? { column } : {}),
      ...(step === undefined ? {} : { step }),
    };
    return { status: "sql_error", error: { message, ...where } };
  }
  if (/max_temp_directory_size/.test(message)) return { status: "disk_limit" };
  if (/^Out of Memory|could not allocate|bad_alloc/i.test(message)) return { status: "memory_limit" };
  throw error;
}

/**
 * @param {import("@duckdb/node-api").DuckDBConnection} connection
 * @param {Request} request
 */
async function readPreview(connection, request) {
  const count = await connection.runAndReadAll("select count(*) from result");
  const reader = await connection.runAndReadAll(`select * from result limit ${request.previewRows}`);
  const names = reader.columnNames();
  const columns = names.map((name, index) => ({ name, type: String(reader.columnType(index)) }));
  /** @type {unknown[][]} */
  const rows = [];
  let bytes = 0;
  for (const row of reader.getRowsJson()) {
    const plain = row.map((value, index) => plainNumber(value, columns[index]?.type ?? ""));
    bytes += Buffer.byteLength(JSON.stringify(plain));
    if (bytes > request.previewBytes) break;
    rows.push(plain);
  }
  return { columns, rows, rowCount: Number(count.getRowsJson()[0]?.[0] ?? 0) };
}

/**
 * Whole numbers come as text, because not all fit a number of JSON; those that do become one.
 * @param {unknown} value
 * @param {string} type
 */
function plainNumber(value, type) {
  if (typeof value !== "string" || !/^(U?BIGINT|U?HUGEINT|DECIMAL\(\d+,0\))$/.test(type)) return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
