// Rows as a person reads them: columns of equal width under their names.

const ROWS_TO_MEASURE = 500;
const WIDEST = 60;

/**
 * @param {readonly string[]} names
 * @param {(text: string) => void} print
 */
export function createTable(names, print) {
  const widths = names.map((name) => lengthOf(name));
  /** @type {string[][] | undefined} the rows that wait for the widths */
  let waiting = [];

  /** @param {readonly string[]} cells */
  function line(cells) {
    const padded = cells.map(
      (cell, at) => cell + " ".repeat(Math.max((widths[at] ?? 0) - lengthOf(cell), 0)),
    );
    print(`${padded.join("  ").trimEnd()}\n`);
  }

  function begin() {
    const rows = waiting ?? [];
    waiting = undefined;
    for (const row of rows)
      row.forEach((cell, at) => {
        widths[at] = Math.max(widths[at] ?? 0, Math.min(lengthOf(cell), WIDEST));
      });
    line(names);
    line(widths.map((width) => "-".repeat(Math.max(width, 1))));
    for (const row of rows) line(row);
  }

  return {
    /** @param {string[]} cells */
    add(cells) {
      if (waiting === undefined) return line(cells);
      waiting.push(cells);
      if (waiting.length === ROWS_TO_MEASURE) begin();
    },
    end() {
      if (waiting !== undefined) begin();
    },
  };
}

/** @param {string} text */
function lengthOf(text) {
  return Array.from(text).length;
}

/** A value on one line. @param {string} text */
export function oneLine(text) {
  return text.replace(/[\\\p{Cc}]/gu, (character) =>
    character === "\\"
      ? character
      : (ESCAPES[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`),
  );
}

/** @type {Record<string, string>} */
const ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
