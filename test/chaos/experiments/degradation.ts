import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findTestMongo } from "../../kit/mongo.js";
import type { Experiment } from "../kit/experiment.js";
import { closeScene, openScene, PROBES, type Scene } from "../kit/probes.js";
import { type Place, type Site, startSite } from "../kit/site.js";
import { Findings } from "../kit/verdict.js";

const PAGE = new URL("../../../docs/operations.md", import.meta.url);
const BEGIN = "<!-- npm run chaos -- --experiment=degradation: begin -->";
const END = "<!-- npm run chaos -- --experiment=degradation: end -->";
const READY_MS = 30_000;
/** What no probe answers when everything is there. */
const REFUSED = /: (?:[45]\d\d|nack|waits|closed|no answer)/;

/** A state of the stores, by the name of its column. */
interface State {
  readonly name: string;
  readonly place: Place;
  /** Takes something away and waits until the node knows. */
  leave(): Promise<void>;
  comeBack(): Promise<void>;
  /** False for what never comes back. */
  readonly passes: boolean;
}

/** The published table of what works while a part is away, asked cell by cell. */
export const degradation: Experiment = {
  name: "degradation",
  title: "takes each store away and compares what is answered with the table in docs/operations.md",
  set: "ci",
  limitSeconds: 240,
  async run(setting) {
    // One folder: binary files are kept on the disk of these nodes.
    const folder = mkdtempSync(path.join(tmpdir(), "atelier-blobs-"));
    const site = await startSite({ nodes: 1, mongo: findTestMongo().available, env: { DATA_DIR: folder } });
    const findings = new Findings();
    try {
      const measured = new Map<string, string[]>();
      const [main] = site.places as [Place];
      for (const state of await statesOf(site, main)) {
        setting.say(state.name);
        measured.set(state.name, await measure(state, main, findings));
        findings.faults += 1;
      }
      compare(measured, setting.write, findings);
    } finally {
      if (findings.broken.length > 0) setting.keepLogs(site.logFolder);
      await site.close(findings.broken.length > 0);
      rmSync(folder, { recursive: true, force: true });
    }
    return findings.verdict();
  },
};

async function statesOf(site: Site, main: Place): Promise<State[]> {
  const nowhere = "http://127.0.0.1:9";
  const withoutBlobs = await site.place({
    S3_BUCKET: "atelier",
    S3_ENDPOINT: nowhere,
    S3_REGION: "us-east-1",
    S3_ACCESS_KEY_ID: "nobody",
    S3_SECRET_ACCESS_KEY: "nothing",
    S3_FORCE_PATH_STYLE: "true",
  });
  const withoutMail = await site.place({ SMTP_URL: "smtp://127.0.0.1:9" });
  await Promise.all([withoutBlobs.start(), withoutMail.start()]);
  const nothing = () => Promise.resolve();
  const redisStops = () => site.redis.stop("SIGKILL");
  const states: State[] = [
    { name: "nothing", place: main, leave: nothing, comeBack: nothing, passes: true },
    {
      name: "Redis",
      place: main,
      leave: () => redisStops().then(() => says(main, "degraded", "redis")),
      comeBack: () => site.redis.restart(),
      passes: true,
    },
    {
      name: "PostgreSQL",
      place: main,
      leave: () =>
        site.postgres.stop("immediate").then(() => says(main, "reason", "the access log cannot be read")),
      comeBack: () => site.postgres.start(),
      passes: true,
    },
    { name: "S3", place: withoutBlobs, leave: nothing, comeBack: nothing, passes: false },
    { name: "SMTP", place: withoutMail, leave: nothing, comeBack: nothing, passes: false },
  ];
  const { mongo } = main;
  if (mongo)
    states.splice(3, 0, {
      name: "MongoDB",
      place: main,
      leave: () => mongo.stop().then(() => says(main, "degraded", "mongodb")),
      comeBack: () => mongo.restore(),
      passes: true,
    });
  return states;
}

/** Waits until `/readyz` says so. */
async function says(place: Place, member: string, text: string): Promise<void> {
  for (const deadline = performance.now() + READY_MS; performance.now() < deadline; await delay(100)) {
    const body = (await (await fetch(`${place.httpUrl}/readyz`)).json()) as Record<string, unknown>;
    if (String(body[member]).includes(text)) return;
  }
  throw new Error(`${place.name} did not say that ${text}`);
}

/** Asks every probe at once, so that none profits from what the one before has learnt. */
const ask = (scene: Scene) => Promise.all(PROBES.map((probe) => probe.ask(scene)));

async function measure(state: State, main: Place, findings: Findings): Promise<string[]> {
  const scene = await openScene(state.place, main);
  try {
    await state.leave();
    const answers = await ask(scene);
    findings.checked += answers.length;
    await state.comeBack();
    if (!state.passes) return answers;
    // Nothing has to be restarted: what was refused works by itself.
    const begun = performance.now();
    let refused = ["nothing asked yet"];
    while (refused.length > 0 && performance.now() - begun < READY_MS) {
      await delay(500);
      const again = await ask(scene);
      refused = PROBES.map(({ name }, i) => `${name}: ${again[i] ?? ""}`).filter((line) =>
        REFUSED.test(line),
      );
    }
    findings.expect(refused.length === 0, `after ${state.name} was back: ${refused.join("; ")}`);
    const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
    findings.fact(`after ${state.name} was back everything worked again within ${seconds} s`);
    return answers;
  } finally {
    closeScene(scene);
  }
}

/** What was measured against what is published; with `--write` the page is written instead. */
function compare(measured: ReadonlyMap<string, readonly string[]>, write: boolean, findings: Findings): void {
  const page = readFileSync(PAGE, "utf8");
  const [before, rest] = page.split(BEGIN);
  const [table, after] = (rest ?? "").split(END);
  if (before === undefined || table === undefined || after === undefined)
    throw new Error("docs/operations.md has no place for the table");
  const columns = [...measured.keys()];
  if (write) {
    const lines = [
      ["away", ...columns],
      ["---", ...columns.map(() => "---")],
      ...PROBES.map(({ name }, i) => [name, ...columns.map((column) => measured.get(column)?.[i] ?? "")]),
    ];
    const text = lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
    writeFileSync(PAGE, `${before}${BEGIN}\n\n${text}\n\n${END}${after}`);
    findings.fact("docs/operations.md was written");
    return;
  }
  const rows = table
    .trim()
    .split("\n")
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const head = rows[0] ?? [];
  for (const [column, answers] of measured) {
    const at = head.indexOf(column);
    findings.expect(at > 0, `the table has no column ${column}`);
    PROBES.forEach(({ name }, i) => {
      const published = rows.find(([first]) => first === name)?.[at];
      findings.expect(
        published === answers[i],
        `${name} without ${column}: ${answers[i] ?? ""}, published is ${published ?? "nothing"}`,
      );
    });
  }
}
