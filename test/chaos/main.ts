import { randomOf } from "../kit/random.js";
import { degradation } from "./experiments/degradation.js";
import { documents } from "./experiments/documents.js";
import { events } from "./experiments/events.js";
import { BREAKAGES, type BreakName } from "./kit/breakage.js";
import type { Experiment } from "./kit/experiment.js";
import { type Outcome, printTable } from "./kit/table.js";
import { holds } from "./kit/verdict.js";

const EXPERIMENTS: readonly Experiment[] = [documents, events, degradation];
const USAGE = `npm run chaos -- [--set=ci|nightly|all] [--experiment=name,…] [--seed=n] [--kills=n] [--write] [--broken=${Object.keys(BREAKAGES).join("|")}]`;

const options = new Map(
  process.argv.slice(2).map((word) => {
    const [, name, value = ""] = /^--([a-z]+)=(.+)$/.exec(word) ?? [];
    return [name ?? word, value] as const;
  }),
);
const KNOWN = new Set(["set", "experiment", "seed", "kills", "broken", "--write"]);
const say = (text: string) => void process.stdout.write(`${text}\n`);

function refuse(reason: string): never {
  say(
    `${reason}\n${USAGE}\nExperiments: ${EXPERIMENTS.map(({ name, set }) => `${name} (${set})`).join(", ")}`,
  );
  process.exit(2);
}

function choose(): Experiment[] {
  const names = options.get("experiment")?.split(",");
  const unknown = names?.find((name) => !EXPERIMENTS.some((each) => each.name === name));
  if (unknown !== undefined) refuse(`There is no experiment ${unknown}.`);
  if (names) return EXPERIMENTS.filter(({ name }) => names.includes(name));
  if (broken) return EXPERIMENTS.filter(({ name }) => name === BREAKAGES[broken].experiment);
  const set = options.get("set") ?? "ci";
  if (!["ci", "nightly", "all"].includes(set)) refuse(`There is no set ${set}.`);
  return EXPERIMENTS.filter((each) => set === "all" || each.set === set);
}

function number(name: string): number | undefined {
  const text = options.get(name);
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) refuse(`--${name} is a number.`);
  return Number(text);
}

async function carryOut(experiment: Experiment): Promise<Outcome> {
  const { name, title, limitSeconds } = experiment;
  const missing = experiment.missing?.();
  if (missing !== undefined) return { name, skipped: missing, seconds: 0 };
  say(`\n${name}: ${title} (seed ${seed})`);
  const begun = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`it did not end within ${limitSeconds} s`)),
      limitSeconds * 1_000,
    );
  });
  const setting = {
    random: randomOf(seed),
    seed,
    kills: number("kills"),
    broken,
    write: options.has("--write"),
    say: (text: string) => say(`  ${text}`),
    keepLogs: (folder: string) => say(`  the logs of the nodes are in ${folder}`),
  };
  try {
    const verdict = await Promise.race([experiment.run(setting), late]);
    for (const fact of verdict.facts) say(`  ${fact}`);
    for (const each of verdict.broken) say(`  !!! ${each}`);
    return { name, verdict, seconds: (performance.now() - begun) / 1_000 };
  } catch (error) {
    say(`  !!! ${(error as Error).stack}`);
    return { name, failure: (error as Error).message, seconds: (performance.now() - begun) / 1_000 };
  } finally {
    clearTimeout(timer);
  }
}

/** An honest build has to hold; one with a defect has to be found out, by the count that belongs to the defect. */
function expected({ verdict, skipped }: Outcome): boolean {
  if (skipped !== undefined) return true;
  if (!verdict) return false;
  return broken ? verdict.counts[BREAKAGES[broken].count] > 0 : holds(verdict);
}

// Every provider and every server that was started waits for the end of this process.
process.setMaxListeners(0);
for (const name of options.keys()) if (!KNOWN.has(name)) refuse(`${name} is not an option.`);
const broken = options.get("broken") as BreakName | undefined;
if (broken !== undefined && !Object.hasOwn(BREAKAGES, broken)) refuse(`There is no defect ${broken}.`);
const seed = number("seed") ?? Math.floor(Math.random() * 2 ** 31);
const outcomes: Outcome[] = [];
for (const experiment of choose()) outcomes.push(await carryOut(experiment));
printTable(outcomes, say);
const failed = outcomes.filter((outcome) => !expected(outcome));
if (broken !== undefined) {
  const { count } = BREAKAGES[broken];
  say(
    failed.length === 0
      ? `The defect ${broken} was found out: ${count} is not 0.`
      : `The defect ${broken} was NOT found out: the checker does not see ${count}.`,
  );
} else if (failed.length > 0)
  say(`Failed: ${failed.map(({ name }) => name).join(", ")}. Again with --seed=${seed}`);
else say(`Everything that was promised held. Seed ${seed}`);
// Sockets of unmodified providers may still be waiting to reconnect.
process.exit(failed.length > 0 ? 1 : 0);
