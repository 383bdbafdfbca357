import { createRequire } from "node:module";
import { createTable, oneLine } from "./sql-table.mjs";

/** @typedef {import("../engine.d.mts").Outcome} Outcome */
/** @typedef {import("../engine.d.mts").Program} Program */
/** @typedef {import("../engine.d.mts").RunControl} RunControl */
/** @typedef {Record<string, (...args: (number | bigint)[]) => number>} Sqlite */
/** @typedef {{file: string, source: Buffer, at: number}} Place */

const OK = 0;
const ROW = 100;
const DONE = 101;
const BLOB = 4;
const NULL = 5;
const MOST_BLOB_BYTES = 64;
const MOST_NESTED_READS = 16;
// Over a source read as Latin-1, where places are bytes. Comments, blanks and semicolons before a statement:
const BEFORE = /(?:[ \t\r\n\f\v;]|\xEF\xBB\xBF|--[^\n]*(?:\n|$)|\/\*[^]*?(?:\*\/|$))*/y;
const REFUSED = /(?:attach|detach|vacuum\b[^;]*\binto)\b/iy;
const COMMAND = /\.[^\n]*/y;

class Stop extends Error {
  /** @param {Outcome} outcome */
  constructor(outcome) {
    super("The program has ended");
    this.outcome = outcome;
  }
}

/**
 * A fresh SQLite.
 * @param {import("./sql.mjs").Assets} assets
 * @param {string} script
 * @returns {Promise<import("../engine.d.mts").Instance>}
 */
export async function createInstance(assets, script) {
  /** @type {WebAssembly.Memory | undefined} */
  let memory;
  /** @type {Sqlite} */
  const sqlite = await createRequire(script)(script)({
    instantiateWasm(
      /** @type {WebAssembly.Imports} */ imports,
      /** @type {(made: WebAssembly.Instance) => void} */ made,
    ) {
      const instance = new WebAssembly.Instance(assets.module, imports);
      memory = Object.values(instance.exports).find((value) => value instanceof WebAssembly.Memory);
      made(instance);
    },
    print: () => {},
    printErr: () => {},
  });
  const call = (/** @type {string} */ name, /** @type {number[]} */ ...args) => sqlite[name]?.(...args) ?? 0;
  const held = () => memory?.buffer ?? new ArrayBuffer(0);
  let tables = 0;
  const results = allocate(8);
  const database = open();
  call("_sqlite3_exec", database, copy("PRAGMA temp_store = MEMORY"), 0, 0, 0);

  return {
    async run(program, control) {
      control.begin();
      try {
        runFile(program.entry, program, control, 0);
        return control.stopped ?? { status: "ok", exitCode: 0 };
      } catch (error) {
        if (error instanceof Stop) return error.outcome;
        if (control.stopped !== undefined) return control.stopped;
        if (!(error instanceof RangeError || error instanceof WebAssembly.RuntimeError)) throw error;
        return { status: "memory_limit", exitCode: null };
      } finally {
        control.memory(held().byteLength);
      }
    },
  };

  /** @param {string} file @param {Program} program @param {RunControl} control @param {number} depth */
  function runFile(file, program, control, depth) {
    const source = Buffer.from(program.files.get(file) ?? "", "utf8");
    const start = copy(source);
    const text = source.toString("latin1");
    for (let at = 0; ; ) {
      at += matchAt(BEFORE, text, at).length;
      if (at >= source.length) break;
      const place = { file, source, at };
      const command = matchAt(COMMAND, text, at);
      if (command !== "")
        readOther(Buffer.from(command, "latin1").toString("utf8"), place, program, control, depth);
      if (matchAt(REFUSED, text, at) !== "")
        stop(
          "compile_error",
          { kind: "NotAllowed", message: "Other database files cannot be opened or written" },
          place,
        );
      at += command.length || runStatement(start + at, place, control) - (start + at);
    }
    call("_free", start);
  }

  /** @param {string} line @param {Place} place @param {Program} program @param {RunControl} control @param {number} depth */
  function readOther(line, place, program, control, depth) {
    const wanted = /^\.read\s+(?:"([^"]+)"|'([^']+)'|(\S+))\s*$/.exec(line.trimEnd());
    const file = (wanted?.[1] ?? wanted?.[2] ?? wanted?.[3] ?? "").replace(/^\.\//, "");
    const problem =
      wanted === null
        ? "Of the commands that begin with a dot there is .read FILE only"
        : !program.files.has(file)
          ? `There is no file ${file}`
          : depth >= MOST_NESTED_READS
            ? "Files read each other too deeply"
            : undefined;
    if (problem !== undefined) stop("compile_error", { kind: "ReadError", message: problem }, place);
    runFile(file, program, control, depth + 1);
  }

  /** @param {number} at address @param {Place} place @param {RunControl} control @returns {number} where the next one begins */
  function runStatement(at, place, control) {
    if (call("_sqlite3_prepare_v2", database, at, -1, results, results + 4) !== OK)
      fail("compile_error", place);
    const view = new DataView(held());
    const statement = view.getUint32(results, true);
    const next = view.getUint32(results + 4, true);
    if (statement === 0) return next;
    const columns = call("_sqlite3_column_count", statement);
    const names = Array.from({ length: columns }, (_, index) =>
      oneLine(text(call("_sqlite3_column_name", statement, index))),
    );
    let lines = 0;
    const table = createTable(names, (line) => {
      print(lines++ === 0 && tables++ > 0 ? `\n${line}` : line, control);
    });
    for (;;) {
      const code = call("_sqlite3_step", statement);
      control.memory(held().byteLength);
      if (code === ROW) table.add(names.map((_, index) => cell(statement, index)));
      else if (code === DONE) break;
      else fail("runtime_error", place);
      if (control.interrupted())
        throw new Stop(control.stopped ?? { status: "cpu_time_limit", exitCode: null });
    }
    if (columns > 0) table.end();
    call("_sqlite3_finalize", statement);
    return next;
  }

  /** @param {string} line @param {RunControl} control */
  function print(line, control) {
    if (!control.write(1, line))
      throw new Stop(control.stopped ?? { status: "output_limit", exitCode: null });
  }

  /** @param {number} statement @param {number} index */
  function cell(statement, index) {
    const type = call("_sqlite3_column_type", statement, index);
    if (type === NULL) return "NULL";
    if (type !== BLOB) {
      const at = call("_sqlite3_column_text", statement, index);
      return oneLine(text(at, call("_sqlite3_column_bytes", statement, index)));
    }
    const at = call("_sqlite3_column_blob", statement, index);
    const size = call("_sqlite3_column_bytes", statement, index);
    const hex = Buffer.from(held(), at, Math.min(size, MOST_BLOB_BYTES)).toString("hex");
    return size > MOST_BLOB_BYTES ? `x'${hex}…' (${size} bytes)` : `x'${hex}'`;
  }

  /** @param {"compile_error" | "runtime_error"} status @param {Place} place @returns {never} */
  function fail(status, place) {
    const message = text(call("_sqlite3_errmsg", database));
    if (message === "out of memory") throw new Stop({ status: "memory_limit", exitCode: null });
    return stop(status, { kind: "SqlError", message }, place);
  }

  /**
   * @param {"compile_error" | "runtime_error"} status
   * @param {{kind: string, message: string}} error
   * @param {Place} place
   * @returns {never}
   */
  function stop(status, error, { file, source, at }) {
    const lines = source.toString("utf8", 0, at).split("\n");
    const column = (lines.at(-1)?.length ?? 0) + 1;
    throw new Stop({ status, exitCode: 1, error: { ...error, file, line: lines.length, column } });
  }

  function open() {
    const code = call("_sqlite3_open", copy(":memory:"), results);
    if (code !== OK) throw new Error("The database cannot be opened");
    return new DataView(held()).getUint32(results, true);
  }

  /** @param {number} size */
  function allocate(size) {
    const at = call("_malloc", size);
    if (at === 0) throw new Stop({ status: "memory_limit", exitCode: null });
    return at;
  }

  /** @param {string | Buffer} source @returns {number} its address, with a NUL at the end */
  function copy(source) {
    const bytes = Buffer.from(source);
    const at = allocate(bytes.length + 1);
    const target = new Uint8Array(held(), at, bytes.length + 1);
    target.set(bytes);
    target[bytes.length] = 0;
    return at;
  }

  /** @param {number} at @param {number} [size] up to the first NUL without it */
  function text(at, size) {
    if (at === 0) return "";
    const from = new Uint8Array(held(), at);
    return Buffer.from(from.subarray(0, size ?? from.indexOf(0))).toString("utf8");
  }
}

/** What a sticky expression finds there. @param {RegExp} expression @param {string} text @param {number} at */
function matchAt(expression, text, at) {
  expression.lastIndex = at;
  return expression.exec(text)?.[0] ?? "";
}
