import { spawnSync } from "node:child_process";
import { createDatabase, register, startAtelier } from "../kit/atelier.mjs";
import { complete, Fanout } from "../kit/fanout.mjs";
import { freePort, LOAD_CORE, startServer } from "../kit/process.mjs";
import { Skipped, using } from "../kit/rounds.mjs";
import { atelierTarget, socketIoTarget } from "../kit/targets.mjs";
import { connectMany } from "../kit/ws-client.mjs";

const RATE = 200;
const SECONDS = 1.8;
/** Receivers on the other node: few, so that there is next to nothing to gather, and a load of 40,000 deliveries/s. */
const [FEW, MANY] = [50, 200];

export const row = {
  id: "F8",
  title: "publish on one node → receive on another through Redis",
  goal: "p99 ≤ 0.7× Socket.IO with redis-adapter",
  method:
    "200 events of 200 bytes a second are sent to one node, the receivers sit on the other; both nodes on the server's core, one Redis for both products on the core of the load. Atelier numbers and keeps every event in the same step, the adapter only passes it on. The goal is for 200 receivers (40,000 deliveries/s); with 50 both nodes are mostly idle.",

  async run(rounds) {
    if (spawnSync("redis-server", ["--version"]).status !== 0) throw new Skipped("no redis-server on PATH");
    const redisPort = String(await freePort());
    return using([() => startRedis(redisPort)], async () => {
      const database = await createDatabase();
      const env = { REDIS_HOST: "127.0.0.1", REDIS_PORT: redisPort, POSTGRES_POOL_MAX: "10" };
      const starts = [
        () => startAtelier({ database, env }),
        () => startAtelier({ database, env }),
        () => socketIoTarget({ env: { REDIS_PORT: redisPort } }),
        () => socketIoTarget({ env: { REDIS_PORT: redisPort } }),
      ];
      return using(starts, async (oneServer, otherServer, socketIo, otherSocketIo) => {
        const people = await register(oneServer.api);
        const one = await atelierTarget({ server: oneServer, people });
        const other = await atelierTarget({ server: otherServer, people });
        const pairs = [await pair(one, other), await pair(socketIo, otherSocketIo)];
        const few = await measure(rounds, pairs, FEW);
        const many = await measure(rounds, pairs, MANY);
        for (const { sender, receivers } of pairs)
          for (const client of [sender, ...receivers]) client.close();
        return [
          { ...line(`p99, ${MANY} receivers`, many, "p99"), met: (_median, ratio) => ratio <= 0.7 },
          line(`p50, ${MANY} receivers`, many, "p50"),
          line(`p99, ${FEW} receivers`, few, "p99"),
          line(`p50, ${FEW} receivers`, few, "p50"),
        ];
      });
    });
  },
};

async function pair(one, other) {
  return { other, sender: await one.connect(MANY), receivers: [] };
}

/** Fills both rooms up to `count` receivers and measures them in turn. */
async function measure(rounds, pairs, count) {
  const sides = [];
  for (const each of pairs) {
    const more = count - each.receivers.length;
    each.receivers.push(...(await connectMany(more, more, (index) => each.other.connect(index))));
    sides.push(new Fanout({ target: each.other, receivers: each.receivers, sender: each.sender }));
  }
  const load = async (side) =>
    complete(side.target.name, await side.openLoop({ rate: RATE, seconds: SECONDS }));
  for (const side of sides) await load(side);
  const results = await rounds.interleave(sides, load);
  return sides.map((side) => ({ name: side.target.name, results: results.get(side) }));
}

function line(what, sides, quantile) {
  const [ours, ...peers] = sides.map(({ name, results }) => ({
    name,
    values: results.map((result) => result[quantile]),
  }));
  return { what, unit: "ms", ours: ours.values, peers, ratio: (median) => median.ours / median.peers[0] };
}

function startRedis(port) {
  const quiet = ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"];
  return startServer({
    command: "redis-server",
    args: ["--port", port, "--bind", "127.0.0.1", ...quiet],
    ready: /Ready to accept connections/,
    core: LOAD_CORE,
  });
}
