import { credentials, readMetric, register, startAtelier } from "../kit/atelier.mjs";
import { quantile, sleep } from "../kit/process.mjs";
import { using } from "../kit/rounds.mjs";

const LOGINS = 300;
const ACCOUNTS = 20;
const WAVES = 5;
const PROBE_MS = 10;
const LAG = "nodejs_eventloop_lag_p99_seconds";

export const row = {
  id: "H2",
  title: "event loop while 300 logins arrive at once, p99",
  goal: "≤ 50 ms",
  method:
    "300 POST /auth/login at once, hashes at their full cost of 10 rounds. Lag is the server's own p99 over the wave (its 10 ms sampling interval is in it); GET /health is asked every 10 ms from outside. Logins beyond what the hash queue takes are answered 503 with Retry-After.",

  async run(rounds) {
    return using([() => startAtelier({ env: { BCRYPT_ROUNDS: "10" } })], async (atelier) => {
      await register(atelier.api, { users: ACCOUNTS, projects: 0 });
      const results = await rounds.interleave(["wave"], () => wave(atelier), WAVES);
      const waves = results.get("wave");
      const line = (what, measure, limit) => ({
        what,
        unit: "ms",
        ours: waves.map(measure),
        met: (median) => median.ours <= limit,
      });
      const share = (status) =>
        waves.reduce((sum, { statuses }) => sum + (statuses[status] ?? 0), 0) / waves.length;
      return [
        line("lag", ({ lag }) => lag, 50),
        line("GET /health", ({ health }) => health, 50),
        { what: "signed in / refused with 503, of 300", unit: "", text: `${share(200)} / ${share(503)}` },
        { what: "the whole wave", unit: "s", ours: waves.map(({ seconds }) => seconds) },
      ];
    });
  },
};

async function wave({ httpPort }) {
  const base = `http://127.0.0.1:${httpPort}`;
  // Reading the metrics begins a new histogram.
  await readMetric(httpPort, LAG);
  const statuses = {};
  const latencies = [];
  let going = true;
  const probing = (async () => {
    while (going) {
      const asked = performance.now();
      await (await fetch(`${base}/health`)).text();
      latencies.push(performance.now() - asked);
      await sleep(PROBE_MS);
    }
  })();
  const started = performance.now();
  await Promise.all(
    Array.from({ length: LOGINS }, async (_, index) => {
      const response = await fetch(`${base}/api/v1/auth/login`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(credentials(index % ACCOUNTS)),
      });
      await response.text();
      statuses[response.status] = (statuses[response.status] ?? 0) + 1;
    }),
  );
  const seconds = (performance.now() - started) / 1_000;
  const lag = (await readMetric(httpPort, LAG)) * 1_000;
  going = false;
  await probing;
  return { lag, health: quantile(latencies, 0.99), statuses, seconds };
}
