import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import path from "node:path";
import { ROOT } from "./atelier.mjs";
import { summary } from "./process.mjs";

const PAGE = path.join(ROOT, "docs", "performance.md");
const HEAD = ["row", "measured", "Atelier", "peers", "ratio", "goal", "", "date"];

/**
 * One line of the table.
 *
 * @typedef {object} Line
 * @property {string} [what] what of the row it is, when the row has several lines
 * @property {string} unit
 * @property {number[]} [ours] one value per repeat
 * @property {string} [text] in place of `ours`
 * @property {{name: string, values: number[]}[]} [peers]
 * @property {(median: {ours: number, peers: number[]}) => number} [ratio]
 * @property {(median: {ours: number, peers: number[]}, ratio: number) => boolean} [met] left out when the line has no goal
 */

/** @param {{id: string, title: string, goal: string}} row @param {Line[]} lines */
export function tableLines(row, lines) {
  return lines.map((line, index) => {
    const peers = line.peers ?? [];
    const median = {
      ours: line.ours ? summary(line.ours).median : Number.NaN,
      peers: peers.map(({ values }) => summary(values).median),
    };
    const ratio = line.ratio?.(median);
    return [
      row.id,
      [index === 0 ? row.title : "", line.what ?? ""].filter(Boolean).join("; "),
      line.text ?? spread(line.ours, line.unit),
      peers.map(({ name, values }) => `${name} ${spread(values, line.unit)}`).join("<br>"),
      ratio === undefined ? "" : `${digits(ratio)}×`,
      index === 0 ? row.goal : "",
      line.met === undefined ? "" : line.met(median, ratio) ? "met" : "missed",
      today(),
    ];
  });
}

/** A row that gave no numbers. */
export function tableNote(row, text) {
  return [[row.id, row.title, text, "", "", row.goal, "not measured", today()]];
}

function today() {
  return new Date().toISOString().slice(0, 10);
}

/** `median [least–most]` and how many there were. */
function spread(values, unit) {
  const { median, min, max } = summary(values);
  const suffix = unit === "" ? "" : ` ${unit}`;
  if (values.length === 1) return `${digits(median)}${suffix}`;
  return `${digits(median)}${suffix} [${digits(min)}–${digits(max)}] n=${values.length}`;
}

function digits(value) {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

/** The table for a terminal. */
export function printTable(lines) {
  const rows = [HEAD.slice(0, -1), ...lines.map((cells) => cells.slice(0, -1))].map((cells) =>
    cells.map((cell) => cell.replaceAll("<br>", ", ")),
  );
  const widths = HEAD.slice(0, -1).map((_, column) => Math.max(...rows.map((cells) => cells[column].length)));
  for (const cells of rows)
    console.log(
      cells
        .map((cell, column) => cell.padEnd(widths[column]))
        .join("  ")
        .trimEnd(),
    );
}

/**
 * Writes docs/performance.md: the new lines in place of those of the same rows, everything else as it was.
 *
 * @param {{rows: readonly object[], lines: string[][], profile?: string, command: string}} given
 */
export function writePage({ rows, lines, profile, command }) {
  const before = existsSync(PAGE) ? readFileSync(PAGE, "utf8") : "";
  const measured = new Set(lines.map(([id]) => id));
  const table = rows.flatMap(({ id }) =>
    measured.has(id) ? lines.filter(([each]) => each === id).map(markdownLine) : linesBefore(before, id),
  );
  writeFileSync(
    PAGE,
    `# Performance

This page is written by \`npm run bench\`. Every number is measured side by side with its peers in one run, on one machine: the server
under test on one core, the load (and PostgreSQL and Redis) on another, all over loopback, in turns (A, B, A, B …). A value is the median of
the turns with the least and the most. The service has everything on that a user would have on: tokens, sequence numbers, history, limits,
activity log, metrics, embedded event log unless Redis is named; the limits' bounds are raised so that the load stays below them. The
times of events travel inside their payload.

${environment(command)}

## Results

${markdownLine(HEAD)}
|${HEAD.map(() => "---").join("|")}|
${table.join("\n")}

## How each row is measured

${rows.map(({ id, method }) => `- **${id}** ${method}`).join("\n")}

## Where the time goes in F1

${profile ?? part(before, "profile") ?? "`npm run bench -- profile` has not been run."}

## Notes

${keep("notes", part(before, "notes") ?? "")}
`,
  );
  return path.relative(process.cwd(), PAGE);
}

/** Text that is found again by `part`. */
export function keep(name, text) {
  return `<!-- ${name}:start -->\n${text.trim()}\n<!-- ${name}:end -->`;
}

function part(page, name) {
  const [start, end] = [`<!-- ${name}:start -->`, `<!-- ${name}:end -->`];
  const [from, to] = [page.indexOf(start), page.indexOf(end)];
  if (from < 0 || to < from) return undefined;
  return name === "profile" ? page.slice(from, to + end.length) : page.slice(from + start.length, to);
}

function markdownLine(cells) {
  return `| ${cells.join(" | ")} |`;
}

function linesBefore(page, id) {
  return page.split("\n").filter((line) => line.startsWith(`| ${id} |`));
}

function environment(command) {
  const [cpu] = cpus();
  const peers = JSON.parse(readFileSync(path.join(ROOT, "bench", "package.json"), "utf8")).devDependencies;
  return [
    `- Machine: ${cpu?.model.trim() ?? "unknown"}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${release()}`,
    `- Versions: Node.js ${process.versions.node}, Atelier ${commit()}, ${Object.entries(peers)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}`,
    `- Last run: ${today()}, \`${command}\`; rows that were not in it carry their own date`,
  ].join("\n");
}

function commit() {
  const { version } = JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8"));
  try {
    const options = { cwd: ROOT, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] };
    return `${version} (${execFileSync("git", ["rev-parse", "--short", "HEAD"], options).trim()})`;
  } catch {
    return version;
  }
}
