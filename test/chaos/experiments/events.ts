import { setTimeout as delay } from "node:timers/promises";
import { v7 } from "uuid";
import type { Answer, Person } from "../../kit/api.js";
import { type FollowingClient, findFaults, followProject, settle } from "../../kit/following-client.js";
import { type Chance, createChance } from "../kit/chance.js";
import type { Experiment, Setting } from "../kit/experiment.js";
import { FAULTS } from "../kit/faults.js";
import { type Place, type Site, startSite } from "../kit/site.js";
import { Findings } from "../kit/verdict.js";

const DEFAULT_KILLS = 12;
const FOLLOWERS = 12;
const ROW_WRITERS = 4;
const SETTLE_MS = 40_000;
const TOLD_MS = 10_000;
/** What a client may be answered while things break; anything else is a broken promise. */
const TRY_AGAIN = new Set([409, 503]);

/** Events and rows: what was acknowledged over sockets and HTTP is there once, in order, and told to everybody. */
export const events: Experiment = {
  name: "events",
  title: "messages and writes over HTTP while nodes, Redis and PostgreSQL are killed and connections cut",
  set: "ci",
  limitSeconds: 300,
  async run(setting) {
    // What an acknowledged event stands on must be on disk: `everysec` may forget a second of it, and says so by a resync.
    const site = await startSite({ redis: { persistent: true }, broken: setting.broken });
    const findings = new Findings();
    let whole = false;
    try {
      const run = await openRun(site, setting, findings);
      await run.storm(setting.kills ?? DEFAULT_KILLS);
      await run.check();
      whole = findings.broken.length === 0;
    } finally {
      if (!whole) setting.keepLogs(site.logFolder);
      await site.close(!whole);
    }
    return findings.verdict();
  },
};

async function openRun(site: Site, setting: Setting, findings: Findings) {
  const chance = createChance(setting.random);
  const [first] = site.places as [Place, ...Place[]];
  const places = [...site.places] as [Place, ...Place[]];
  const people = await Promise.all(Array.from({ length: 4 }, (_, i) => first.api.person(`Person ${i}`)));
  const [owner, ...others] = people as [Person, ...Person[]];
  const projectId = await first.api.project(
    owner,
    others.map((person) => [person, "collaborator"] as const),
  );
  const followers: FollowingClient[] = Array.from({ length: FOLLOWERS }, (_, i) =>
    followProject({
      name: `client ${i}`,
      urls:
        i % 2 === 0
          ? site.places.map(({ wsUrl }) => wsUrl)
          : site.places.map(({ wsUrl }) => wsUrl).toReversed(),
      token: people[i % people.length]?.token ?? owner.token,
      projectId,
    }),
  );
  await Promise.all(followers.map((client) => client.until(() => client.connected, "the greeting")));
  /** Ids of workspaces that were answered 201. */
  const created = new Set<string>();
  const statuses = new Map<number, number>();
  let writing = true;

  async function publish(client: FollowingClient, own: Chance): Promise<void> {
    for (let i = 0; writing; i++) {
      await Promise.race([client.send({ i }), untilStopped()]);
      await own.pause(10, 60);
    }
  }

  async function untilStopped(): Promise<void> {
    while (writing) await delay(100);
  }

  /** The same request with the same key until it is answered, at whatever node. */
  async function create(own: Chance): Promise<void> {
    for (let i = 0; writing; i++) {
      const key = v7();
      const name = `Shop ${key}`;
      for (let answered = false; !answered; ) {
        const answer: Answer | undefined = await own
          .pick(places)
          .api.post(`/projects/${projectId}/workspaces`, { name }, owner.token, { "idempotency-key": key })
          .catch(() => undefined);
        if (answer) statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        if (answer?.status === 201) created.add(answer.body.workspace.id as string);
        answered = answer !== undefined && !TRY_AGAIN.has(answer.status);
        if (!answered) await own.pause(50, 200);
        if (!writing && !answered) return;
      }
      await own.pause(20, 100);
    }
  }

  async function every(path: string, of: string): Promise<Record<string, any>[]> {
    const all: Record<string, any>[] = [];
    for (let cursor = ""; ; ) {
      const { status, body } = await first.api.get(`${path}limit=100${cursor}`, owner.token);
      if (status !== 200) throw new Error(`${path} was answered ${status}`);
      all.push(...(body[of] as Record<string, any>[]));
      if (body.nextCursor === null) return all;
      cursor = `&cursor=${encodeURIComponent(String(body.nextCursor))}`;
    }
  }

  return {
    async storm(kills: number): Promise<void> {
      const work = [
        ...followers.map((client) => publish(client, chance.branch())),
        ...Array.from({ length: ROW_WRITERS }, () => create(chance.branch())),
      ];
      let storming = true;
      const faults = (async (own: Chance) => {
        while (storming) {
          await own.pause(800, 3_000);
          await own.pick(FAULTS).make(site, own);
          findings.faults += 1;
        }
      })(chance.branch());
      try {
        const own = chance.branch();
        for (let i = 0; i < kills; i++) {
          await own.pause(1_000, 3_000);
          const place = own.pick(places);
          await place.kill();
          findings.faults += 1;
          await own.pause(0, 1_000);
          await place.start();
        }
        storming = false;
        await faults;
        await Promise.all(site.places.map((place) => place.heal()));
        await delay(2_000);
      } finally {
        storming = false;
        writing = false;
        await Promise.allSettled([...work, faults]);
      }
      findings.fact(`${kills} kills of nodes, ${findings.faults - kills} other faults`);
    },

    async check(): Promise<void> {
      const begun = performance.now();
      await settle(followers, SETTLE_MS);
      const rows = await every(`/projects/${projectId}/workspaces?`, "workspaces");
      const ids = rows.map(({ id }) => id as string);
      const told = (client: FollowingClient) =>
        client.events
          .filter(({ type }) => type === "workspace_created")
          .map(({ payload }) => String(payload.workspaceId));
      await Promise.all(
        followers.map((client) =>
          client
            .until(() => new Set(told(client)).size >= ids.length, "every workspace", TOLD_MS)
            .catch(() => findings.expect(false, `${client.name} was not told of every workspace`)),
        ),
      );
      findings.fact(`everybody has everything after ${((performance.now() - begun) / 1_000).toFixed(1)} s`);

      for (const fault of findFaults(followers))
        findings.count(/missing/.test(fault) ? "LOST" : /twice/.test(fault) ? "DUP" : "REORDER", 1, fault);
      const resyncs = followers.flatMap((client) => client.resyncs.map(({ reason }) => reason));
      findings.expect(resyncs.length === 0, `clients had to begin anew: ${resyncs.join(", ")}`);
      checkOnce("a workspace that was answered 201", [...created], ids);
      for (const client of followers) checkOnce(`what ${client.name} was told`, ids, told(client));
      let log: string[] = [];
      for (const deadline = performance.now() + SETTLE_MS; performance.now() < deadline; await delay(200)) {
        const entries = await every(`/projects/${projectId}/activity?type=workspace_created&`, "activity");
        log = entries.map(({ payload }) => String(payload.workspaceId));
        if (log.length >= ids.length) break;
      }
      checkOnce("the activity log", ids, log);
      const names = rows.map(({ name }) => String(name));
      findings.count("DUP", names.length - new Set(names).size, "a workspace was made twice for one key");
      const acks = followers.reduce((sum, client) => sum + client.acked.size, 0);
      findings.checked += acks + created.size;
      findings.fact(
        `${acks} messages acknowledged, ${created.size} workspaces made, told to ${FOLLOWERS} clients`,
      );
      findings.fact(`answers ${[...statuses].map(([status, times]) => `${status}: ${times}`).join(", ")}`);
      const odd = [...statuses.keys()].filter((status) => status !== 201 && !TRY_AGAIN.has(status));
      findings.expect(odd.length === 0, `writes were answered ${odd.join(", ")}`);
      const final = followers.flatMap(({ closes }) => closes.filter((code) => code >= 4400 && code < 4500));
      findings.expect(final.length === 0, `clients were sent away: ${final.join(", ")}`);
      for (const client of followers) client.close();
    },
  };

  function checkOnce(what: string, wanted: readonly string[], found: readonly string[]): void {
    const set = new Set(found);
    const missing = wanted.filter((id) => !set.has(id));
    findings.count("LOST", missing.length, `${what}: ${missing.slice(0, 3).join(", ")}`);
    findings.count("DUP", found.length - set.size, `${what}: some are there twice`);
  }
}
