import { inspect } from "./inspect.mjs";

/**
 * printf-like text of console arguments.
 * @param {readonly unknown[]} args
 * @returns {string}
 */
export function format(args) {
  const [first, ...rest] = args;
  const parts = [];
  if (typeof first === "string" && first.includes("%") && rest.length > 0) {
    parts.push(first.replace(/%[sdifjoOc%]/g, (mark) => (mark === "%%" ? "%" : substitute(mark, rest))));
  } else if (args.length > 0) {
    parts.push(plain(first));
  }
  for (const value of rest) parts.push(plain(value));
  return parts.join(" ");
}

/** @param {unknown} value */
function plain(value) {
  return typeof value === "string" ? value : inspect(value);
}

/** @param {string} mark @param {unknown[]} values */
function substitute(mark, values) {
  if (values.length === 0) return mark;
  const value = values.shift();
  switch (mark) {
    case "%s":
      return typeof value === "object" && value !== null ? inspect(value, { depth: 0 }) : plain(value);
    case "%d":
      return typeof value === "bigint"
        ? `${value}n`
        : typeof value === "object"
          ? "NaN"
          : String(Number(value));
    case "%i":
      return typeof value === "bigint" ? `${value}n` : String(Number.parseInt(String(value), 10));
    case "%f":
      return String(Number.parseFloat(String(value)));
    case "%j":
      return JSON.stringify(value) ?? "undefined";
    case "%c":
      return "";
    default:
      return inspect(value, { depth: 4 });
  }
}

/**
 * The `console` of a program.
 * @param {(fd: 1 | 2, text: string) => void} write
 * @param {() => number} now milliseconds
 */
export function createConsole(write, now) {
  let indent = "";
  const counts = new Map();
  const timers = new Map();
  const line = (/** @type {1 | 2} */ fd, /** @type {string} */ text) =>
    write(fd, `${indent === "" ? text : indent + text.replaceAll("\n", `\n${indent}`)}\n`);
  const elapsed = (/** @type {unknown} */ label) => `${(now() - (timers.get(label) ?? now())).toFixed(3)}ms`;
  const out = (/** @type {unknown[]} */ ...args) => line(1, format(args));
  const err = (/** @type {unknown[]} */ ...args) => line(2, format(args));
  return {
    log: out,
    info: out,
    debug: out,
    error: err,
    warn: err,
    trace(/** @type {unknown[]} */ ...args) {
      const stack = (new Error().stack ?? "").split("\n").filter((frame) => !frame.includes("(sandbox:"));
      line(2, `Trace${args.length > 0 ? `: ${format(args)}` : ""}\n${stack.join("\n").trimEnd()}`);
    },
    dir(/** @type {unknown} */ value, /** @type {{depth?: number | null} | undefined} */ options) {
      line(1, inspect(value, options ?? {}));
    },
    assert(/** @type {unknown} */ condition, /** @type {unknown[]} */ ...args) {
      if (!condition) line(2, `Assertion failed${args.length > 0 ? `: ${format(args)}` : ""}`);
    },
    group(/** @type {unknown[]} */ ...args) {
      if (args.length > 0) out(...args);
      indent += "  ";
    },
    groupEnd() {
      indent = indent.slice(0, -2);
    },
    count(label = "default") {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      line(1, `${String(label)}: ${counts.get(label)}`);
    },
    countReset(label = "default") {
      counts.delete(label);
    },
    time(label = "default") {
      timers.set(label, now());
    },
    timeLog(label = "default", /** @type {unknown[]} */ ...args) {
      line(1, [`${String(label)}: ${elapsed(label)}`, ...(args.length > 0 ? [format(args)] : [])].join(" "));
    },
    timeEnd(label = "default") {
      line(1, `${String(label)}: ${elapsed(label)}`);
      timers.delete(label);
    },
    table(/** @type {unknown} */ rows) {
      line(1, table(rows) ?? format([rows]));
    },
  };
}

/** @param {unknown} rows @returns {string | undefined} */
function table(rows) {
  if (typeof rows !== "object" || rows === null) return undefined;
  const entries = Object.entries(rows).slice(0, 1000);
  const keys = [...new Set(entries.flatMap(([, row]) => (isRecord(row) ? Object.keys(row) : [])))];
  const bare = entries.some(([, row]) => !isRecord(row));
  const header = ["(index)", ...keys, ...(bare ? ["Values"] : [])];
  const body = entries.map(([index, row]) => [
    index,
    ...keys.map((key) => (isRecord(row) && Object.hasOwn(row, key) ? inspect(row[key], { depth: 0 }) : "")),
    ...(bare ? [isRecord(row) ? "" : inspect(row, { depth: 0 })] : []),
  ]);
  const widths = header.map(
    (name, i) => Math.max(name.length, ...body.map((cells) => cells[i]?.length ?? 0)) + 2,
  );
  const bar = (/** @type {string} */ left, /** @type {string} */ middle, /** @type {string} */ right) =>
    left + widths.map((width) => "─".repeat(width)).join(middle) + right;
  const row = (/** @type {string[]} */ cells) =>
    `│${cells.map((cell, i) => ` ${cell}`.padEnd(widths[i] ?? 0)).join("│")}│`;
  return [bar("┌", "┬", "┐"), row(header), bar("├", "┼", "┤"), ...body.map(row), bar("└", "┴", "┘")].join(
    "\n",
  );
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
function isRecord(value) {
  return typeof value === "object" && value !== null;
}
