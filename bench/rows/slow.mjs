import { readMetric } from "../kit/atelier.mjs";
import { complete, Fanout } from "../kit/fanout.mjs";
import { residentBytes, sleep } from "../kit/process.mjs";
import { using } from "../kit/rounds.mjs";
import { atelierTarget, fillRoom } from "../kit/targets.mjs";

const RECEIVERS = 100;
const OUTSTANDING = 50;
const SECONDS = 2.5;
/** Large enough that what the kernel takes for a reader that hangs, some megabytes, is full within a run. */
const PAYLOAD_BYTES = 1_000;
const HARD_BOUND_MB = 4.2;

export const row = {
  id: "SLOW",
  title: "one reader beside 100 hangs, at full load",
  goal: "others' p99 within 20 %, memory bounded",
  method:
    "50 events of 1,000 bytes are kept under way to 100 receivers, which is full load; in every other run one more client connects and never reads. Pairs of runs without and with it are compared. Queued is the server's own gauge at the end of a run with it (bounds: 256 KiB, then fed from the log; 4 MiB, then closed).",

  async run(rounds) {
    return using([() => atelierTarget()], async (target) => {
      const fanout = new Fanout({ ...(await fillRoom(target, RECEIVERS)), payloadBytes: PAYLOAD_BYTES });
      await load(fanout);
      const [alone, beside] = ["alone", "beside a reader that hangs"];
      const results = await rounds.interleave([alone, beside], async (side) => {
        if (side === alone) return { ...(await load(fanout)), resident: residentBytes(target.pid) };
        const hanging = await target.connect(RECEIVERS + 1);
        hanging.pause();
        const result = await load(fanout);
        const queued = await readMetric(target.httpPort, "socket_queued_bytes");
        const resident = residentBytes(target.pid);
        hanging.close();
        await sleep(200);
        return { ...result, queued, resident };
      });
      fanout.close();
      const without = results.get(alone);
      const pairs = results.get(beside).map((result, index) => ({ result, without: without[index] }));
      return [
        {
          what: "others' p99, with : without it",
          unit: "×",
          ours: pairs.map((pair) => pair.result.p99 / pair.without.p99),
          met: (median) => median.ours <= 1.2,
        },
        {
          what: "queued for it",
          unit: "MB",
          ours: pairs.map(({ result }) => result.queued / 1e6),
          met: (median) => median.ours <= HARD_BOUND_MB,
        },
        {
          what: "resident memory, with − without it",
          unit: "MB",
          ours: pairs.map((pair) => (pair.result.resident - pair.without.resident) / 1e6),
        },
      ];
    });
  },
};

async function load(fanout) {
  return complete("Atelier", await fanout.closedLoop({ outstanding: OUTSTANDING, seconds: SECONDS }));
}
