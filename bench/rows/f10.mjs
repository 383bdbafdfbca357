import { fileURLToPath } from "node:url";
import { register, SOCKETS_PER_USER, startAtelier } from "../kit/atelier.mjs";
import { openFilesLimit, residentBytes, sleep, startHelper } from "../kit/process.mjs";
import { using } from "../kit/rounds.mjs";

const SOCKETS = 20_000;
const PROJECTS = 20;
const USERS = 10;
const HOLDERS = 2;
/** Files the server has open besides its sockets. */
const OTHER_FILES = 150;
const HOLD_MS = 3_000;
const HOLDER = fileURLToPath(new URL("../kit/holder.mjs", import.meta.url));

export const row = {
  id: "F10",
  title: "20,000 sockets held by one node: resident memory",
  goal: "20,000 in ≤ 600 MB",
  method:
    "Sockets of 10 accounts in 20 projects, from several loopback addresses; then one event per project must reach every socket. Where the system allows a process fewer open files, as many sockets as it allows are held, and the memory is scaled up to 20,000.",

  async run() {
    const sockets = Math.min(SOCKETS, USERS * SOCKETS_PER_USER, openFilesLimit() - OTHER_FILES);
    return using([startAtelier], async (atelier) => {
      const { tokens, projectIds } = await register(atelier.api, { users: USERS, projects: PROJECTS });
      const before = residentBytes(atelier.pid);
      const share = Math.floor(sockets / HOLDERS);
      const holders = Array.from({ length: HOLDERS }, (_, index) =>
        hold({
          port: atelier.wsPort,
          tokens,
          projectIds,
          count: share,
          addresses: [2 + index * 2, 3 + index * 2],
        }),
      );
      try {
        await Promise.all(holders.map((holder) => holder.next("held")));
        await sleep(HOLD_MS);
        const after = residentBytes(atelier.pid);
        for (const holder of holders) holder.child.send("speak");
        const reached = (await Promise.all(holders.map((holder) => holder.next("reached")))).reduce(
          (a, b) => a + b,
          0,
        );
        const held = share * HOLDERS;
        if (reached < held) throw new Error(`an event reached ${reached} of ${held} sockets`);
        return [
          { what: "sockets held, all reached", unit: "", ours: [held], peers: [] },
          {
            what: held < SOCKETS ? `memory, scaled from ${held.toLocaleString("en")} to 20,000` : "memory",
            unit: "MB",
            ours: [(before + ((after - before) * SOCKETS) / held) / 1e6],
            peers: [],
            met: (median) => median.ours <= 600,
          },
        ];
      } finally {
        for (const { child } of holders) child.kill("SIGKILL");
      }
    });
  },
};

/** A process that holds sockets; `next(type)` resolves with the value of its next message of that type. */
function hold(settings) {
  const child = startHelper(HOLDER, [JSON.stringify(settings)]);
  const next = (type) =>
    new Promise((resolve, reject) => {
      child.on("message", (message) => {
        if (message.type === type) resolve(message.value);
        if (message.type === "failed") reject(new Error(message.value));
      });
      child.on("exit", () => reject(new Error("a process that held sockets ended")));
    });
  return { child, next };
}
