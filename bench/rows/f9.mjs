import { createDatabase, register, startAtelier } from "../kit/atelier.mjs";
import { cpuMicros, residentBytes, sleep } from "../kit/process.mjs";
import { atelierTarget, bareWsTarget, socketIoTarget } from "../kit/targets.mjs";
import { connectMany } from "../kit/ws-client.mjs";

const SOCKETS = 4_000;
const IN_FLIGHT = 200;
/** After the last connect, so that what a connect leaves to be done counts too. */
const SETTLE_MS = 500;

export const row = {
  id: "F9",
  title: "connect, token and access check: per connection",
  goal: "≤ 300 µs CPU, ≤ 10 kB idle",
  method:
    "4,000 sockets of 20 accounts into one project, 200 at a time, each time on a fresh process. CPU time until half a second after the last first frame; memory is the growth of the resident set by then. The peers check nothing.",

  async run(rounds) {
    const database = await createDatabase();
    const first = await startAtelier({ database });
    const people = await register(first.api);
    await first.stop();
    const sides = [
      async () => atelierTarget({ server: await startAtelier({ database }), people }),
      () => socketIoTarget(),
      () => bareWsTarget(),
    ];
    const names = [];
    const results = await rounds.interleave(sides, async (start) => {
      const target = await start();
      try {
        if (names.length < sides.length) names.push(target.name);
        return await storm(target);
      } finally {
        await target.stop();
      }
    });
    const of = (measure) =>
      sides.map((side, index) => ({ name: names[index], values: results.get(side).map(measure) }));
    const line = (what, unit, measure, limit) => {
      const [ours, ...peers] = of(measure);
      const ratio = (median) => median.peers[0] / median.ours;
      return { what, unit, ours: ours.values, peers, ratio, met: (median) => median.ours <= limit };
    };
    return [line("CPU", "µs", ({ cpu }) => cpu, 300), line("memory", "kB", ({ memory }) => memory, 10)];
  },
};

async function storm(target) {
  await sleep(200);
  const [cpu, memory] = [cpuMicros(target.pid), residentBytes(target.pid)];
  const clients = await connectMany(SOCKETS, IN_FLIGHT, (index) => target.connect(index));
  await sleep(SETTLE_MS);
  const result = {
    cpu: (cpuMicros(target.pid) - cpu) / SOCKETS,
    memory: (residentBytes(target.pid) - memory) / SOCKETS / 1_000,
  };
  for (const client of clients) client.close();
  return result;
}
