/** One replacement in a text: at `index` (in UTF-16 units of the old text), `remove` units go and `insert` comes. */
export interface Change {
  readonly index: number;
  readonly remove: number;
  readonly insert: string;
}

/** Differing lines beyond which the middle is replaced as one piece: the search costs their square. */
const MAX_EDITS = 400;

/** The changes that make `before` into `after`, by lines first and then within them, from the end to the beginning. */
export function diffText(before: string, after: string): readonly Change[] {
  if (before === after) return [];
  const a = linesOf(before);
  const b = linesOf(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end])
    end += 1;
  const middleA = a.slice(start, a.length - end);
  const middleB = b.slice(start, b.length - end);
  const offset = lengthOf(a.slice(0, start));
  const changes = hunks(middleA, middleB).map(({ from, to, lines }) =>
    trimmed(offset + lengthOf(middleA.slice(0, from)), middleA.slice(from, to).join(""), lines.join("")),
  );
  return changes.reverse();
}

function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function lengthOf(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + line.length, 0);
}

interface Hunk {
  readonly from: number;
  to: number;
  readonly lines: string[];
}

/** Myers' greedy search ("An O(ND) Difference Algorithm", 1986) over lines. */
function hunks(a: readonly string[], b: readonly string[]): Hunk[] {
  const whole = [{ from: 0, to: a.length, lines: [...b] }];
  if (a.length === 0 || b.length === 0) return whole;
  const furthest = new Map<number, number>([[1, 0]]);
  const trace: Map<number, number>[] = [];
  for (let d = 0; d <= Math.min(a.length + b.length, MAX_EDITS); d++) {
    trace.push(new Map(furthest));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && at(furthest, k - 1) < at(furthest, k + 1));
      let x = down ? at(furthest, k + 1) : at(furthest, k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      furthest.set(k, x);
      if (x >= a.length && x - k >= b.length) return walkBack(a, b, trace);
    }
  }
  return whole;
}

function at(furthest: ReadonlyMap<number, number>, k: number): number {
  return furthest.get(k) ?? -1;
}

function walkBack(a: readonly string[], b: readonly string[], trace: readonly Map<number, number>[]): Hunk[] {
  const steps: { readonly x: number; readonly line: string | undefined }[] = [];
  let x = a.length;
  let y = b.length;
  for (let d = trace.length - 1; d > 0; d--) {
    const furthest = trace[d] ?? new Map<number, number>();
    const k = x - y;
    const down = k === -d || (k !== d && at(furthest, k - 1) < at(furthest, k + 1));
    const previousX = at(furthest, down ? k + 1 : k - 1);
    const previousY = previousX - (down ? k + 1 : k - 1);
    steps.push(down ? { x: previousX, line: b[previousY] } : { x: previousX, line: undefined });
    x = previousX;
    y = previousY;
  }
  const found: Hunk[] = [];
  for (const step of steps.reverse()) {
    const last = found.at(-1);
    const hunk = last && last.to === step.x ? last : { from: step.x, to: step.x, lines: [] };
    if (hunk !== last) found.push(hunk);
    if (step.line === undefined) hunk.to += 1;
    else hunk.lines.push(step.line);
  }
  return found;
}

/** Without what both sides begin and end with, but never through the middle of a surrogate pair. */
function trimmed(index: number, before: string, after: string): Change {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start += 1;
  if (isHigh(before.charCodeAt(start - 1))) start -= 1;
  let end = 0;
  while (end < most - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1;
  if (end > 0 && isLow(before.charCodeAt(before.length - end))) end -= 1;
  return {
    index: index + start,
    remove: before.length - start - end,
    insert: after.slice(start, after.length - end),
  };
}

const isHigh = (unit: number) => unit >= 0xd800 && unit <= 0xdbff;
const isLow = (unit: number) => unit >= 0xdc00 && unit <= 0xdfff;
