import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { DIST, ROOT, temporaryFolder } from "./kit/atelier.mjs";
import { complete, Fanout } from "./kit/fanout.mjs";
import { keep } from "./kit/report.mjs";
import { atelierTarget, fillRoom } from "./kit/targets.mjs";

const SECONDS = 8;
const TOP = 20;

/** Runs F1's load on a server with V8's profiler on; the functions with the most self time, as Markdown. */
export async function profile() {
  const folder = temporaryFolder();
  const target = await atelierTarget({ nodeArgs: ["--cpu-prof", `--cpu-prof-dir=${folder}`] });
  const fanout = new Fanout(await fillRoom(target, 200));
  await fanout.closedLoop({ outstanding: 50, seconds: 2 });
  const from = monotonicMicros();
  const result = complete("Atelier", await fanout.closedLoop({ outstanding: 50, seconds: SECONDS }));
  const to = monotonicMicros();
  fanout.close();
  await target.stop();
  const file = readdirSync(folder).find((name) => name.endsWith(".cpuprofile"));
  if (!file) throw new Error("the server wrote no profile");
  const { rows, busy } = selfTimes(JSON.parse(readFileSync(path.join(folder, file), "utf8")), from, to);
  const text = [
    `\`npm run bench -- profile\`, ${new Date().toISOString().slice(0, 10)}: ${SECONDS} s of F1's load with V8's sampling profiler on the server`,
    `(${Math.round(result.perSecond / 1_000)} k deliveries/s, ${result.cpuPerDelivery.toFixed(2)} µs each with the profiler's own cost). Shares are of the ${busy.toFixed(1)} s in which the main`,
    "thread was not idle; time in the kernel counts for the function that called it. `writeBuffer` and `writev` are the system calls that hand bytes to the sockets.",
    "",
    "| self time | function | where |",
    "|---|---|---|",
    ...rows
      .slice(0, TOP)
      .map(({ share, name, where }) => `| ${(share * 100).toFixed(1)} % | \`${name}\` | ${where} |`),
  ].join("\n");
  return keep("profile", text);
}

/** V8's profile times are of the same clock. */
function monotonicMicros() {
  return Number(process.hrtime.bigint() / 1_000n);
}

function selfTimes({ nodes, samples, timeDeltas, startTime }, from, to) {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const micros = new Map();
  let busy = 0;
  let at = startTime;
  samples.forEach((id, index) => {
    at += timeDeltas[index];
    const frame = frames.get(id);
    if (at < from || at > to || frame.functionName === "(idle)") return;
    // A sample stands for the time until the next one.
    const time = Math.max(0, timeDeltas[index + 1] ?? 0);
    const key = `${frame.functionName || "(anonymous)"}\n${place(frame)}`;
    micros.set(key, (micros.get(key) ?? 0) + time);
    busy += time;
  });
  const rows = [...micros]
    .sort(([, a], [, b]) => b - a)
    .map(([key, time]) => {
      const [name, where] = key.split("\n");
      return { name, where, share: time / busy };
    });
  return { rows, busy: busy / 1e6 };
}

function place({ url, lineNumber }) {
  if (url === "") return "V8 or native";
  if (url.startsWith("node:")) return `Node.js, ${url.slice(5)}`;
  const file = fileURLToPath(url);
  const inside = file.includes("node_modules/")
    ? file.slice(file.lastIndexOf("node_modules/") + 13)
    : undefined;
  if (inside) return inside;
  const own = file.startsWith(DIST)
    ? path.join("dist", path.relative(DIST, file))
    : path.relative(ROOT, file);
  return `${own}:${lineNumber + 1}`;
}
