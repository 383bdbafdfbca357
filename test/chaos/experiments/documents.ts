import { setTimeout as delay } from "node:timers/promises";
import * as Y from "yjs";
import type { Person } from "../../kit/api.js";
import { PACKAGES } from "../../kit/editors.js";
import { type Chance, createChance } from "../kit/chance.js";
import { fingerprint, type Rebuilt, rebuild, wordsTwice } from "../kit/document-check.js";
import type { Experiment, Setting } from "../kit/experiment.js";
import { FAULTS } from "../kit/faults.js";
import { Ledger } from "../kit/ledger.js";
import { type Place, type Site, startSite } from "../kit/site.js";
import { openTab, type Tab } from "../kit/tab.js";
import { Findings } from "../kit/verdict.js";

const DEFAULT_KILLS = 50;
const DOCUMENTS = 6;
const WRITERS = 18;
const VIEWERS = 4;
const DEMOTIONS = 5;
/** After everything works again all replicas are to be equal within this time. */
const SETTLE_MS = 40_000;

/** The one experiment every other promise of documents stands on. */
export const documents: Experiment = {
  name: "documents",
  title: "real editors type while nodes, Redis and PostgreSQL are killed and connections cut",
  set: "ci",
  limitSeconds: 420,
  async run(setting) {
    const site = await startSite({ broken: setting.broken });
    const findings = new Findings();
    let whole = false;
    try {
      const run = await openRun(site, setting, findings);
      await run.storm(setting.kills ?? DEFAULT_KILLS);
      await run.settle();
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
  const people = await Promise.all(
    Array.from({ length: 4 + DEMOTIONS }, (_, i) => first.api.person(`Person ${i}`)),
  );
  const [owner, writer, other, viewer, ...demoted] = people as [Person, Person, Person, Person, ...Person[]];
  const projectId = await first.api.project(owner, [
    [writer, "collaborator"],
    [other, "collaborator"],
    [viewer, "viewer"],
    ...demoted.map((person) => [person, "collaborator"] as const),
  ]);
  const made = await first.api.post(`/projects/${projectId}/workspaces`, { name: "Engine" }, owner.token);
  const workspaceId = made.body.workspace.id as string;
  const paths = Array.from({ length: DOCUMENTS }, (_, i) => `chaos/${i}.md`);
  const ledgers = new Map(paths.map((path) => [path, new Ledger()]));
  for (const path of paths) {
    const { status } = await first.api.request("PUT", `/workspaces/${workspaceId}/files/${path}`, {
      token: owner.token,
      raw: "",
      headers: { "content-type": "text/plain" },
    });
    if (status !== 201) throw new Error(`PUT was answered ${status}`);
  }

  const tabs = new Set<Tab>();
  /** Client ids of tabs that may not write: none of them may be in any log. */
  const silent = new Set<number>();
  const close = { codes: new Map<number, number>() };
  let typing = true;

  function open(index: number, place: Place, person: Person, path: string): Tab {
    const ledger = ledgers.get(path) as Ledger;
    const name = PACKAGES[index % PACKAGES.length] ?? "y-websocket 3";
    return openTab({ name, place, person, workspaceId, path, ledger });
  }

  /** A writer's tab, and another one in its place whenever it crashes. */
  async function write(index: number, own: Chance): Promise<void> {
    while (typing) {
      const path = paths[index % DOCUMENTS] ?? "";
      const tab = open(
        index + own.between(0, 5),
        own.pick(placesOf(site)),
        own.pick([owner, writer, other]),
        path,
      );
      tabs.add(tab);
      while (typing && tabs.has(tab)) {
        // What it has is worth nothing to the others before it has theirs.
        if (tab.editor.provider.synced || tab.doc.store.clients.size > 0) tab.edit(own.random);
        await own.pause(20, 160);
      }
    }
  }

  /** A viewer's editor, that types like one who may. */
  function view(index: number): Tab {
    const place = placesOf(site)[index % site.places.length] ?? first;
    const tab = open(index, place, viewer, paths[index % DOCUMENTS] ?? "");
    silent.add(tab.doc.clientID);
    return tab;
  }

  function crash(place: Place): void {
    for (const tab of tabs) {
      if (tab.target.place !== place) continue;
      tabs.delete(tab);
      note(tab);
      tab.crash();
    }
  }

  function note(tab: Tab): void {
    for (const code of tab.tap.closes) close.codes.set(code, (close.codes.get(code) ?? 0) + 1);
  }

  /** Takes the right to write from somebody; what they type after the answer must go nowhere. */
  async function demote(person: Person, own: Chance): Promise<void> {
    const body = { role: "viewer" };
    const path = `/projects/${projectId}/members/${person.id}`;
    const place = own.pick(placesOf(site));
    const before = open(
      own.between(0, 5),
      own.pick(placesOf(site)),
      person,
      own.pick(["chaos/0.md", "chaos/1.md"]),
    );
    await delay(300);
    before.edit(own.random);
    const answer = await place.api.request("PUT", path, { token: owner.token, body }).catch(() => undefined);
    before.crash();
    if (answer?.status !== 200) return;
    const after = open(own.between(0, 5), own.pick(placesOf(site)), person, "chaos/0.md");
    silent.add(after.doc.clientID);
    for (let i = 0; i < 10; i++) {
      after.edit(own.random);
      await delay(100);
    }
    after.close();
  }

  async function kill(place: Place, own: Chance): Promise<void> {
    const dice = own.random();
    if (dice < 0.4) {
      // What is acknowledged now, while COMMIT takes long, is acknowledged too early.
      place.postgres.slow(own.between(20, 150));
      await own.pause(50, 400);
    }
    await place.kill();
    // A power cut takes the clients with it: what only they had is gone.
    if (dice < 0.7) crash(place);
    place.postgres.slow(0);
    await own.pause(0, 500);
    await place.start();
  }

  return {
    /** Everybody types while nodes are killed so many times and one fault follows the other. */
    async storm(kills: number): Promise<void> {
      const watching = Array.from({ length: VIEWERS }, (_, i) => view(i));
      const writing = Array.from({ length: WRITERS }, (_, i) => write(i, chance.branch()));
      let storming = true;
      const idle = (async (own: Chance) => {
        while (typing) {
          for (const tab of watching) tab.edit(own.random);
          await own.pause(100, 300);
        }
      })(chance.branch());
      const faults = (async (own: Chance) => {
        const seen = new Map<string, number>();
        while (storming) {
          await own.pause(800, 3_000);
          const fault = own.pick(FAULTS);
          await fault.make(site, own);
          findings.faults += 1;
          seen.set(fault.name, (seen.get(fault.name) ?? 0) + 1);
        }
        findings.fact([...seen].map(([name, times]) => `${name} (${times})`).join(", "));
      })(chance.branch());
      const demotions = (async (own: Chance) => {
        for (const person of demoted) {
          await own.pause(1_000, 5_000);
          if (storming) await demote(person, own);
        }
      })(chance.branch());
      let begun = 0;
      const killings = site.places.map(async (place) => {
        const own = chance.branch();
        while (begun < kills) {
          begun += 1;
          if (begun % 10 === 0) setting.say(`${begun} of ${kills} kills`);
          await own.pause(500, 2_500);
          await kill(place, own);
          findings.faults += 1;
        }
      });
      try {
        await Promise.all(killings);
        storming = false;
        await Promise.all([faults, demotions]);
        // No kill comes any more to cover up what pub/sub has lost.
        for (const place of site.places) place.redis.stall();
        await delay(1_500);
        await Promise.all(site.places.map((place) => place.heal()));
        await delay(500);
      } finally {
        storming = false;
        typing = false;
        begun = kills;
        await Promise.allSettled([...writing, ...killings, idle, faults, demotions]);
      }
      for (const tab of watching) {
        note(tab);
        tab.close();
      }
      findings.fact(`${kills} kills of nodes`);
    },

    /** Waits until everybody has everything, then looks for what is missing. */
    async settle(): Promise<void> {
      const begun = performance.now();
      const late: Tab[] = site.places.flatMap((place, at) =>
        paths.map((path, i) => open(i + at * 3, place, owner, path)),
      );
      const replicas = [...tabs, ...late];
      let rebuilt: Rebuilt[] = [];
      let different: string[] = ["not looked yet"];
      while (different.length > 0 && performance.now() - begun < SETTLE_MS) {
        await delay(250);
        rebuilt = await rebuild(site.database, workspaceId);
        different = differences(replicas, rebuilt);
      }
      const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
      findings.count("DIVERGED", different.length, different.slice(0, 3).join("; "));
      if (different.length === 0)
        findings.fact(`${replicas.length} replicas and ${paths.length} logs equal after ${seconds} s`);
      // Only now: a node that is asked for a file looks into the log first.
      const misread = await misreads(rebuilt);
      findings.count("DIVERGED", misread.length, misread.slice(0, 3).join("; "));
      let waiting = 0;
      for (const { path, doc, clients, rows } of rebuilt) {
        const ledger = ledgers.get(path);
        if (!ledger) continue;
        findings.checked += ledger.size;
        const missing = ledger.missingIn(doc);
        findings.count("LOST", missing.length, `${path}: ${missing.slice(0, 3).join(", ")}`);
        const twice = wordsTwice(doc.getText("content").toJSON());
        findings.count("DUP", twice.length, `${path}: ${twice.slice(0, 3).join(", ")}`);
        const ghosts = [...clients].filter((client) => silent.has(client));
        findings.count("GHOST", ghosts.length, `${path}: edits of clients ${ghosts.join(", ")}`);
        if (doc.store.pendingStructs) waiting += 1;
        findings.fact(
          `${path}: ${ledger.updates} acks, ${doc.getText("content").length} characters, ${rows} rows`,
        );
      }
      for (const tab of replicas) {
        note(tab);
        tab.close();
      }
      if (waiting > 0) findings.fact(`${waiting} documents hold edits whose predecessors never came`);
      findings.fact(`closes ${[...close.codes].map(([code, times]) => `${code}: ${times}`).join(", ")}`);
      const final = [...close.codes.keys()].filter((code) => code >= 4400 && code < 4500 && code !== 4429);
      findings.expect(final.length === 0, `editors were sent away for good: ${final.join(", ")}`);
    },
  };

  /** Editors that are not as the log has it. */
  function differences(replicas: readonly Tab[], rebuilt: readonly Rebuilt[]): string[] {
    const different: string[] = [];
    for (const { path, doc } of rebuilt) {
      const print = fingerprint(doc);
      const text = doc.getText("content").toJSON();
      for (const { target, doc: replica, editor } of replicas) {
        if (target.path !== path || (fingerprint(replica) === print && editor.text.toJSON() === text))
          continue;
        different.push(`${path}: ${target.name} at ${target.place.name} ${vectors(replica, doc)}`);
      }
    }
    return different;
  }

  /** Documents HTTP reads differently at some node. */
  async function misreads(rebuilt: readonly Rebuilt[]): Promise<string[]> {
    const wrong: string[] = [];
    for (const { path, doc } of rebuilt) {
      for (const { name, api } of site.places) {
        const { status, body } = await api.get(`/workspaces/${workspaceId}/files/${path}`, owner.token);
        const text = (body as unknown as string | undefined) ?? "";
        if (status !== 200 || text !== doc.getText("content").toJSON())
          wrong.push(`${path}: HTTP at ${name} (${status})`);
      }
    }
    return wrong;
  }
}

/** Where two documents differ, in short. */
function vectors(replica: Y.Doc, log: Y.Doc): string {
  const [a, b] = [replica, log].map((doc) => Y.decodeStateVector(Y.encodeStateVector(doc))) as [
    Map<number, number>,
    Map<number, number>,
  ];
  const clients = [...new Set([...a.keys(), ...b.keys()])].filter(
    (client) => a.get(client) !== b.get(client),
  );
  const some = clients
    .slice(0, 3)
    .map((client) => `${client}: ${a.get(client) ?? 0} here, ${b.get(client) ?? 0} in the log`);
  return some.length > 0 ? some.join(", ") : "differs in deletions";
}

function placesOf(site: Site): [Place, ...Place[]] {
  return [...site.places] as [Place, ...Place[]];
}
