import { Fanout } from "../kit/fanout.mjs";
import { sleep } from "../kit/process.mjs";
import { using } from "../kit/rounds.mjs";
import { atelierTarget, fillRoom, socketIoTarget } from "../kit/targets.mjs";

const RECEIVERS = 200;
const P99_MS = 100;
const SECONDS = 1.2;
const STEP = 1.12;
const CEILING = 20_000;

export const row = {
  id: "F4",
  title: "most deliveries/s to 200 with p99 ≤ 100 ms",
  goal: "≥ 300 k/s",
  method:
    "Events of 200 bytes are sent at a fixed rate whatever the server does; the rate is searched upwards and downwards in steps of 12 % for the highest at which everything arrives and the p99 of ten receivers stays within 100 ms.",

  async run(rounds) {
    return using([() => atelierTarget(), () => socketIoTarget()], async (...targets) => {
      const sides = [];
      for (const target of targets)
        sides.push({ fanout: new Fanout(await fillRoom(target, RECEIVERS)), rate: 250 });
      for (const side of sides) await approach(side);
      const results = await rounds.interleave(sides, search);
      for (const side of sides) side.fanout.close();
      const [ours, peer] = sides.map((side) => ({
        name: side.fanout.target.name,
        values: results.get(side).map((rate) => (rate * RECEIVERS) / 1_000),
      }));
      return [
        {
          unit: "k/s",
          ours: ours.values,
          peers: [peer],
          ratio: (median) => median.ours / median.peers[0],
          met: (median) => median.ours >= 300,
        },
      ];
    });
  },
};

async function holds({ fanout }, rate) {
  const { p99, missing, unacked } = await fanout.openLoop({ rate, seconds: SECONDS });
  // A server that was overrun first works off what is left.
  if (missing > 0 || unacked > 0) await sleep(1_000);
  return p99 <= P99_MS && missing === 0 && unacked === 0;
}

/** Warms the server up, and finds the region. */
async function approach(side) {
  while (side.rate < CEILING && (await holds(side, side.rate * 1.5))) side.rate *= 1.5;
}

/** The highest rate that holds, near the one found before. */
async function search(side) {
  if (await holds(side, side.rate)) {
    for (let tries = 0; tries < 3 && side.rate < CEILING && (await holds(side, side.rate * STEP)); tries += 1)
      side.rate *= STEP;
  } else {
    for (let tries = 0; tries < 5; tries += 1) {
      side.rate /= STEP;
      if (await holds(side, side.rate)) break;
    }
  }
  return side.rate;
}
