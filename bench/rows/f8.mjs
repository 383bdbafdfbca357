import { spawnSync } from "node:child_process";
import { createDatabase, register, startAtelier } from "../kit/atelier.mjs";
import { complete, Fanout } from "../kit/fanout.mjs";
import { freePort, LOAD_CORE, startServer } from "../kit/process.mjs";
import { Skipped, using } from "../kit/rounds.mjs";
import { atelierTarget, socketIoTarget } from "../kit/targets.mjs";
import { connectMany } from "../kit/ws-client.mjs";

const RECEIVERS = 50;
const RATE = 200;
const SECONDS = 3;

export const row = {
  id: "F8",
  title: "publish on one node → receive on another through Redis, p99",
  goal: "≤ 0.7× Socket.IO with redis-adapter",
  method:
    "200 events of 200 bytes a second are sent to one node, 50 receivers sit on the other; both nodes on the server's core, one Redis for both products on the core of the load. Atelier numbers and keeps every event in the same step, the adapter only passes it on.",

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
        const sides = [await across(one, other), await across(socketIo, otherSocketIo)];
        const measure = async (side) =>
          complete(side.target.name, await side.openLoop({ rate: RATE, seconds: SECONDS }));
        for (const side of sides) await measure(side);
        const results = await rounds.interleave(sides, measure);
        for (const side of sides) side.close();
        return ["p99", "p50"].map((quantile) => line(quantile, sides, results));
      });
    });
  },
};

function line(quantile, sides, results) {
  const [ours, peer] = sides.map((side) => ({
    name: side.target.name,
    values: results.get(side).map((result) => result[quantile]),
  }));
  return {
    what: quantile,
    unit: "ms",
    ours: ours.values,
    peers: [peer],
    ratio: (median) => median.ours / median.peers[0],
    met: quantile === "p99" ? (_median, ratio) => ratio <= 0.7 : undefined,
  };
}

async function across(one, other) {
  const receivers = await connectMany(RECEIVERS, RECEIVERS, (index) => other.connect(index));
  return new Fanout({ target: other, receivers, sender: await one.connect(RECEIVERS) });
}

function startRedis(port) {
  return startServer({
    command: "redis-server",
    args: [
      "--port",
      port,
      "--bind",
      "127.0.0.1",
      "--save",
      "",
      "--appendonly",
      "no",
      "--maxmemory-policy",
      "noeviction",
    ],
    ready: /Ready to accept connections/,
    core: LOAD_CORE,
  });
}
