import { complete, Fanout } from "../kit/fanout.mjs";
import { using } from "../kit/rounds.mjs";
import { atelierTarget, bareWsTarget, fillRoom, socketIoTarget } from "../kit/targets.mjs";

const RECEIVERS = 1_000;
const RATE = 20;
const SECONDS = 2;

export const row = {
  id: "F2",
  title: "sparse fan-out to 1,000, server CPU per recipient",
  goal: "≤ 10 µs",
  method:
    "20 events of 200 bytes a second to 1,000 receivers, so that there is nothing to gather. All CPU time of the process counts, its own housekeeping too. “Framed” is the floor: one frame, one write per receiver, and nothing else.",

  async run(rounds) {
    const starts = [() => atelierTarget(), () => socketIoTarget(), () => bareWsTarget({ mode: "framed" })];
    return using(starts, async (...targets) => {
      const sides = [];
      for (const target of targets) sides.push(new Fanout(await fillRoom(target, RECEIVERS)));
      const measure = async (side) =>
        complete(side.target.name, await side.openLoop({ rate: RATE, seconds: SECONDS })).cpuPerDelivery;
      for (const side of sides) await measure(side);
      const results = await rounds.interleave(sides, measure);
      for (const side of sides) side.close();
      const [ours, ...peers] = sides.map((side) => ({ name: side.target.name, values: results.get(side) }));
      return [
        {
          unit: "µs",
          ours: ours.values,
          peers,
          ratio: (median) => median.peers[0] / median.ours,
          met: (median) => median.ours <= 10,
        },
      ];
    });
  },
};
