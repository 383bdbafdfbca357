// The thread in which documents are merged and texts compared: work that takes long for a large document, away from the
// event loop that serves everybody. Talks with document-thread.ts.
import { parentPort } from "node:worker_threads";
import { diffArrays } from "diff";
import * as Y from "yjs";

/** @typedef {import("./document-thread.js").DiffLine} DiffLine */
/** @typedef {import("./document-thread.js").TextDiff} TextDiff */
/** @typedef {{ removed?: boolean, added?: boolean, value: string[] }} Part */

const UNCHANGED_AROUND = 3;
// Comparing lines costs the square of what differs: beyond these the differing middle is shown as replaced.
const MAX_EDITS = 2_000;
const MAX_COMPARED_LINES = 100_000;
// Texts of more lines are not even split.
const MAX_LINES = 1_000_000;
const COMPARE_MS = 2_000;
// What is shown is bounded in characters as well as in lines.
const MAX_SHOWN = 2_000_000;

/**
 * One state and one text from a snapshot and the updates after it, which follow each other in `bytes`.
 * @param {{ bytes: ArrayBuffer, lengths: number[], maxTextBytes: number }} input
 * @returns {import("./document-thread.js").Merged}
 */
function merge({ bytes, lengths, maxTextBytes }) {
  const doc = new Y.Doc();
  const content = doc.getText("content");
  doc.transact(() => {
    let at = 0;
    for (const length of lengths) {
      Y.applyUpdate(doc, new Uint8Array(bytes, at, length));
      at += length;
    }
  });
  const state = Y.encodeStateAsUpdate(doc);
  const string = content.toJSON();
  // A unit of UTF-16 takes at least one byte.
  const text = string.length > maxTextBytes ? undefined : new TextEncoder().encode(string);
  doc.destroy();
  return {
    state: compactly(state),
    text: text && text.byteLength <= maxTextBytes ? compactly(text) : undefined,
  };
}

/**
 * Without the unused rest of its buffer, which would be handed over too.
 * @param {Uint8Array} bytes
 */
function compactly(bytes) {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
}

/**
 * What differs between two texts by lines, in hunks with three lines around them.
 * @param {{ before: string, after: string, maxLines: number }} input
 * @returns {TextDiff}
 */
function diff({ before, after, maxLines }) {
  const [removed, added] = [countLines(before), countLines(after)];
  if (before !== after && removed + added > MAX_LINES)
    return { hunks: [], added, removed, truncated: true, coarse: true };
  const [a, b] = before === after ? [[], []] : [linesOf(before), linesOf(after)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const [middleA, middleB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const compared =
    middleA.length + middleB.length > MAX_COMPARED_LINES
      ? undefined
      : diffArrays(middleA, middleB, { maxEditLength: MAX_EDITS, timeout: COMPARE_MS });
  const parts = compared ?? [
    { removed: true, value: middleA },
    { added: true, value: middleB },
  ];
  const shown = createView(a, b, start, maxLines);
  for (const part of parts) shown.add(part);
  return { ...shown.end(), coarse: compared === undefined };
}

/** @param {string} text */
function countLines(text) {
  let count = text === "" || text.endsWith("\n") ? 0 : 1;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}

/** @param {string} text */
function linesOf(text) {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

/**
 * Collects the parts of a comparison of `a` and `b`, which are the same before `start`.
 * @param {readonly string[]} a
 * @param {readonly string[]} b
 * @param {number} start
 * @param {number} maxLines
 */
function createView(a, b, start, maxLines) {
  /** @type {{ lines: DiffLine[] }[]} */
  const hunks = [];
  /** @type {{ lines: DiffLine[] } | undefined} */
  let open;
  let shown = 0;
  let characters = 0;
  let added = 0;
  let removed = 0;
  let truncated = false;
  // Places of the next line on either side, counted from 0.
  let from = start;
  let to = start;

  /**
   * Adds one line to the open hunk, when more may be shown.
   * @param {DiffLine["kind"]} kind
   * @param {string} text
   */
  function show(kind, text) {
    if (truncated || shown >= maxLines || characters + text.length > MAX_SHOWN) {
      truncated = true;
      return;
    }
    shown += 1;
    characters += text.length;
    open?.lines.push({
      kind,
      ...(kind === "added" ? {} : { from: from + 1 }),
      ...(kind === "removed" ? {} : { to: to + 1 }),
      text,
    });
  }

  /** @param {number} count */
  function same(count) {
    for (let i = 0; i < count; i++) {
      show("same", a[from] ?? "");
      from += 1;
      to += 1;
    }
  }

  function begin() {
    const around = Math.min(UNCHANGED_AROUND, from, to);
    from -= around;
    to -= around;
    open = { lines: [] };
    hunks.push(open);
    same(around);
  }

  return {
    /** @param {Part} part */
    add({ added: isAdded, removed: isRemoved, value }) {
      if (value.length === 0) return;
      if (isAdded || isRemoved) {
        if (!open) begin();
        for (const line of value) {
          show(isAdded ? "added" : "removed", line);
          if (isAdded) to += 1;
          else from += 1;
        }
        if (isAdded) added += value.length;
        else removed += value.length;
      } else if (open && value.length <= 2 * UNCHANGED_AROUND) same(value.length);
      else {
        const around = open ? UNCHANGED_AROUND : 0;
        same(around);
        open = undefined;
        from += value.length - around;
        to += value.length - around;
      }
    },
    end() {
      if (open) same(Math.min(UNCHANGED_AROUND, a.length - from, b.length - to));
      return { hunks: hunks.filter(({ lines }) => lines.length > 0), added, removed, truncated };
    },
  };
}

/** @param {{ operation: "merge" | "diff", input: any }} work */
function perform({ operation, input }) {
  if (operation === "diff") return { output: diff(input), transfer: [] };
  const output = merge(input);
  const parts = output.text ? [output.state, output.text] : [output.state];
  return { output, transfer: parts.map(({ buffer }) => /** @type {ArrayBuffer} */ (buffer)) };
}

parentPort?.on("message", ({ id, ...work }) => {
  try {
    const { output, transfer } = perform(work);
    parentPort?.postMessage({ id, output }, transfer);
  } catch (error) {
    parentPort?.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
