import { createDatabase, register, startAtelier } from "../kit/atelier.mjs";
import { requestsPerSecond } from "../kit/http-load.mjs";
import { using } from "../kit/rounds.mjs";
import { startPeer } from "../kit/targets.mjs";

const CONNECTIONS = 32;
const SECONDS = 2;

export const row = {
  id: "H1",
  title: "authenticated GET /projects/:id, requests/s",
  goal: "≥ 0.75× bare Express with the same SQL",
  method:
    "32 kept-alive connections, one request at a time on each. Both ask the same PostgreSQL the same statement over a pool of 20; bare Express sends the row as it is, without token, limits, headers, validation, log or metrics.",

  async run(rounds) {
    const database = await createDatabase();
    return using([() => startAtelier({ database })], async (atelier) => {
      const { tokens, projectIds } = await register(atelier.api, { users: 1 });
      const { user } = await atelier.api("GET", "/auth/me", { token: tokens[0] });
      const path = `/api/v1/projects/${projectIds[0]}`;
      return using(
        [() => startPeer("bare-express.mjs", { ...database, USER_ID: user.id })],
        async (express) => {
          const sides = [
            { port: atelier.httpPort, path, headers: { Authorization: `Bearer ${tokens[0]}` } },
            { port: express.port, path },
          ];
          const measure = (side) =>
            requestsPerSecond({ ...side, connections: CONNECTIONS, seconds: SECONDS });
          for (const side of sides) await measure(side);
          const results = await rounds.interleave(sides, measure);
          return [
            {
              unit: "/s",
              ours: results.get(sides[0]),
              peers: [{ name: "bare Express", values: results.get(sides[1]) }],
              ratio: (median) => median.ours / median.peers[0],
              met: (_median, ratio) => ratio >= 0.75,
            },
          ];
        },
      );
    });
  },
};
