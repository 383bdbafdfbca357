import { complete, Fanout } from "../kit/fanout.mjs";
import { using } from "../kit/rounds.mjs";
import { atelierTarget, bareWsTarget, fillRoom, socketIoTarget } from "../kit/targets.mjs";

const RECEIVERS = 200;
const OUTSTANDING = 50;
const SECONDS = 1.5;

export const row = {
  id: "F1",
  title: "burst fan-out to 200, server CPU per delivery",
  goal: "≤ 1.4 µs, ≥ 8× Socket.IO",
  method:
    "One sender keeps 50 events of 200 bytes under way to 200 receivers in one room. CPU time of the server's process divided by events received.",

  async run(rounds) {
    const starts = [
      () => atelierTarget(),
      () => socketIoTarget(),
      () => bareWsTarget({ mode: "naive" }),
      () => bareWsTarget({ mode: "framed" }),
    ];
    return using(starts, async (...targets) => {
      const sides = [];
      for (const target of targets) sides.push(new Fanout(await fillRoom(target, RECEIVERS)));
      const measure = async (side) =>
        complete(side.target.name, await side.closedLoop({ outstanding: OUTSTANDING, seconds: SECONDS }))
          .cpuPerDelivery;
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
          met: (median, ratio) => median.ours <= 1.4 && ratio >= 8,
        },
      ];
    });
  },
};
