// Loads a source into a table.
import { createReadStream } from "node:fs";

/** A source that is not what it says it is. */
export class SourceFault extends Error {
  /** @param {string} message @param {number} [line] of the source, from 1 */
  constructor(message, line) {
    super(message);
    this.line = line;
    this.table = "";
  }
}

const DELIMITERS = [",", ";", "\t", "|"];

/**
 * @param {import("@duckdb/node-api").DuckDBConnection} connection
 * @param {string} table a plain identifier
 * @param {{format: "csv" | "json" | "parquet", delimiter?: string, header?: boolean}} source
 * @param {string} file
 */
export async function loadSource(connection, table, source, file) {
  if (source.format === "parquet") return load(connection, table, `read_parquet('${file}')`, "Parquet");
  if (source.format === "json") {
    await checkText(file, "JSON");
    return load(connection, table, `read_json('${file}', sample_size = -1, maximum_depth = 20)`, "JSON");
  }
  const first = await checkText(file, "CSV");
  const delimiter = source.delimiter ?? likelyDelimiter(first);
  // Nothing is left to be guessed that could pass lines over.
  const options = [
    `delim = '${delimiter.replaceAll("'", "''")}'`,
    `header = ${source.header ?? true}`,
    `quote = '"', escape = '"', comment = '', skip = 0, sample_size = -1`,
    "strict_mode = true, null_padding = false, ignore_errors = false",
  ];
  try {
    await load(connection, table, `read_csv('${file}', ${options.join(", ")})`, "CSV");
  } catch (error) {
    throw (await firstOddRecord(file, delimiter)) ?? error;
  }
}

/**
 * @param {import("@duckdb/node-api").DuckDBConnection} connection
 * @param {string} table
 * @param {string} reader
 * @param {string} name
 */
async function load(connection, table, reader, name) {
  try {
    await connection.run(`create table "${table}" as select * from ${reader}`);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    if (!/^(Invalid Input|Conversion|IO|Serialization|TProtocol|Parser)/i.test(text)) throw error;
    const line = /on Line: (\d+)/i.exec(text)?.[1];
    const record = /Malformed JSON .*?(at byte \d+ in record\/value \d+: [^\n]*?)\.?\s*(\n|$)/.exec(
      text,
    )?.[1];
    const plain =
      record ??
      text.split("\n").find((each) => !/^CSV Error on Line|^Invalid Input Error: (CSV )?Error/.test(each));
    const reason = (plain ?? text)
      .replace(/^[\w ]+ Error: /, "")
      .replaceAll(/ ?(in )?file "[^"]*",?/gi, "")
      .replaceAll(/'?in-\w+\.(csv|json|parquet)'?/g, "the file");
    throw new SourceFault(
      `This is no ${name}: ${reason.trim()}`,
      line === undefined ? undefined : Number(line),
    );
  }
}

/**
 * The beginning of a text; refuses what is no text in UTF-8.
 * @param {string} file
 * @param {string} name
 */
async function checkText(file, name) {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line = 1;
  let start = "";
  /** @param {Uint8Array} [chunk] */
  const decode = (chunk) => {
    try {
      return chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode();
    } catch {
      throw new SourceFault(`This is no ${name}: it is not text in UTF-8.`, line);
    }
  };
  for await (const chunk of createReadStream(file)) {
    const text = decode(chunk);
    if (chunk.includes(0)) throw new SourceFault(`This is no ${name}: it holds NUL characters.`, line);
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) line += 1;
    if (start.length < 65_536) start += text;
  }
  decode();
  if (start.trim() === "") throw new SourceFault(`This is no ${name}: it is empty.`, 1);
  const looksLike = /^\s*<(!doctype|html|\?xml)/i.test(start) ? "markup" : undefined;
  if (looksLike) throw new SourceFault(`This is no ${name}: it is ${looksLike}.`, 1);
  if (name === "CSV" && /^\s*[[{]\s*["{[]/.test(start))
    throw new SourceFault("This is no CSV: it looks like JSON.", 1);
  return start;
}

/** @param {string} text */
function likelyDelimiter(text) {
  const header = /^(?:"(?:[^"]|"")*"|[^\r\n"])*/.exec(text)?.[0].replaceAll(/"(?:[^"]|"")*"/g, "") ?? "";
  const counts = DELIMITERS.map((each) => header.split(each).length);
  return DELIMITERS[counts.indexOf(Math.max(...counts))] ?? ",";
}

/**
 * The first record with another number of fields than the first, or a quote that is never closed.
 * @param {string} file
 * @param {string} delimiter
 */
async function firstOddRecord(file, delimiter) {
  let [line, recordLine, fields, expected, quoted, empty, fieldStart] = [1, 1, 1, 0, false, true, true];
  for await (const chunk of createReadStream(file, { encoding: "utf8" })) {
    for (const character of chunk) {
      if (character === "\n") line += 1;
      if (quoted) {
        if (character === '"') quoted = false;
        continue;
      }
      if (character === '"' && (fieldStart || !empty)) quoted = true;
      if (character === delimiter) fields += 1;
      if (character !== "\n") {
        if (character !== "\r") empty = false;
        continue;
      }
      const fault = odd();
      if (fault) return fault;
      [recordLine, fields, empty, fieldStart] = [line, 1, true, true];
    }
  }
  if (quoted) return new SourceFault("This is no CSV: a quote is never closed.", recordLine);
  return odd();

  function odd() {
    if (empty) return undefined;
    expected ||= fields;
    if (fields === expected) return undefined;
    return new SourceFault(
      `This is no CSV: ${fields} fields where the first line has ${expected}.`,
      recordLine,
    );
  }
}
