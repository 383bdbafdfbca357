import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { createMemoryPresenceRegistry } from "../../src/platform/presence/memory.js";
import type { PresenceEntry, PresenceRegistry } from "../../src/platform/presence/presence-registry.js";
import { createRedisPresenceRegistry } from "../../src/platform/presence/redis.js";
import { createRedis } from "../../src/platform/redis/redis.js";
import { describeAdapter, failureOf, until } from "../kit/adapters.js";
import { missingRedisServer, type RedisTarget, redisKinds, startTestRedis } from "../kit/redis.js";

/** The registry as two nodes see it, and how time passes for it. */
interface Nodes {
  readonly a: PresenceRegistry;
  readonly b: PresenceRegistry;
  readonly elapse: (ms: number) => Promise<void>;
}

const LONG = 60_000;
const GRACE = 200;
const OVER = 260;

let projects = 0;
/** A project nobody used before. */
function fresh(): string {
  projects += 1;
  return `project-${projects}`;
}

let connections = 0;
function entry(userId: string, name = userId): PresenceEntry {
  connections += 1;
  return { sessionId: `session-${connections}`, userId, nodeId: "node-1", name, connectedAt: connections };
}

function contract(open: () => Promise<Nodes>): void {
  let a: PresenceRegistry;
  let b: PresenceRegistry;
  let elapse: Nodes["elapse"];
  beforeAll(async () => {
    ({ a, b, elapse } = await open());
  });
  afterAll(async () => {
    await a.close();
    await b.close();
  });

  it("[PR1] of 20 concurrent enters of one user on two nodes exactly one has joined", async () => {
    const project = fresh();
    const entries = Array.from({ length: 20 }, () => entry("ada"));
    const answers = await Promise.all(entries.map((one, i) => (i % 2 ? a : b).enter(project, one, LONG)));
    expect(answers.filter(({ joined }) => joined)).toHaveLength(1);
    expect(await b.enter(project, entry("bob"), LONG)).toEqual({ joined: true });
    expect(await b.enter(fresh(), entry("ada"), LONG)).toEqual({ joined: true });
  });

  it("[PR2] every node lists the live connections, oldest first, unchanged", async () => {
    const project = fresh();
    const entries = [entry("ada", 'Ada "é 漢字 🎁\n'), entry("bob"), entry("ada")];
    for (const one of [...entries].reverse()) await a.enter(project, one, LONG);
    expect(await b.list(project)).toEqual(entries);
    expect(await b.list(fresh())).toEqual([]);
  });

  it("[PR3] a connection that left is not listed, and within its grace its user has not gone", async () => {
    const project = fresh();
    const [first, second] = [entry("ada"), entry("ada")];
    await a.enter(project, first, LONG);
    await a.leave(project, first.sessionId, LONG);
    expect(await b.list(project)).toEqual([]);
    expect(await b.sweep(project)).toEqual({ gone: [] });
    expect(await b.enter(project, second, LONG)).toEqual({ joined: false });
    expect(await a.list(project)).toEqual([second]);
  });

  it("[PR4] after the grace a user with nothing left has gone, one with a connection has not", async () => {
    const project = fresh();
    const [ada, bob, bobAgain] = [entry("ada"), entry("bob"), entry("bob")];
    for (const one of [ada, bob, bobAgain]) await a.enter(project, one, LONG);
    await a.leave(project, ada.sessionId, GRACE);
    await a.leave(project, bob.sessionId, GRACE);
    await elapse(OVER);
    expect(await b.sweep(project)).toEqual({ gone: ["ada"] });
    expect(await a.sweep(project)).toEqual({ gone: [] });
    expect(await a.list(project)).toEqual([bobAgain]);
    expect(await a.enter(project, entry("ada"), LONG)).toEqual({ joined: true });
  });

  it("[PR4] a second leave does not prolong the grace, and an unknown session is ignored", async () => {
    const project = fresh();
    const ada = entry("ada");
    await a.enter(project, ada, LONG);
    await a.leave(project, ada.sessionId, GRACE);
    await a.leave(project, ada.sessionId, LONG);
    await a.leave(project, "unknown", GRACE);
    await elapse(OVER);
    expect(await b.sweep(project)).toEqual({ gone: ["ada"] });
  });

  it("[PR5] of 20 concurrent sweeps on two nodes exactly one gets a user who has gone", async () => {
    const project = fresh();
    for (const userId of ["ada", "bob", "bob"]) {
      const one = entry(userId);
      await a.enter(project, one, LONG);
      await a.leave(project, one.sessionId, 0);
    }
    await elapse(5);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? a : b).sweep(project)));
    expect(answers.flatMap(({ gone }) => gone).sort()).toEqual(["ada", "bob"]);
  });

  it("[PR6] the connections of a dead node end with their time to live, renewed ones stay", async () => {
    const project = fresh();
    const [dead, alive] = [entry("ada"), entry("bob")];
    await a.enter(project, dead, GRACE);
    await b.enter(project, alive, GRACE);
    await b.renew(project, [alive], LONG);
    await elapse(OVER);
    expect(await b.list(project)).toEqual([alive]);
    expect(await b.sweep(project)).toEqual({ gone: ["ada"] });
  });

  it("[PR7] joined and gone alternate: who expired but was not swept has not joined anew", async () => {
    const project = fresh();
    expect(await a.enter(project, entry("ada"), GRACE)).toEqual({ joined: true });
    await elapse(OVER);
    const again = entry("ada");
    expect(await b.enter(project, again, LONG)).toEqual({ joined: false });
    expect(await b.sweep(project)).toEqual({ gone: [] });
    expect(await b.list(project)).toEqual([again]);
  });

  it("[PR8] renewing enters what the store forgot, but leaves alone what has left", async () => {
    const project = fresh();
    const [known, left, unknown] = [entry("ada"), entry("bob"), entry("cleo")];
    await a.enter(project, known, LONG);
    await a.enter(project, left, LONG);
    await a.leave(project, left.sessionId, GRACE);
    await a.renew(project, [known, left, unknown], LONG);
    await a.renew(project, [], LONG);
    expect(await b.list(project)).toEqual([known, unknown]);
    await elapse(OVER);
    expect(await b.sweep(project)).toEqual({ gone: ["bob"] });
    expect(await b.enter(project, entry("cleo"), LONG)).toEqual({ joined: false });
  });

  it("[PR8] a session that enters again after leaving is back", async () => {
    const project = fresh();
    const ada = entry("ada");
    await a.enter(project, ada, LONG);
    await a.leave(project, ada.sessionId, GRACE);
    expect(await a.enter(project, ada, LONG)).toEqual({ joined: false });
    await elapse(OVER);
    expect(await b.sweep(project)).toEqual({ gone: [] });
    expect(await b.list(project)).toEqual([ada]);
  });

  it("[PR9] projects names those with entries, until they were swept empty", async () => {
    const [one, two] = [fresh(), fresh()];
    const ada = entry("ada");
    await a.enter(one, ada, LONG);
    await a.renew(two, [entry("bob")], LONG);
    expect(await b.projects()).toEqual(expect.arrayContaining([one, two]));
    await a.leave(one, ada.sessionId, 0);
    await elapse(5);
    expect(await b.projects()).toContain(one);
    await b.sweep(one);
    await b.sweep(two);
    expect(await b.projects()).toContain(two);
    expect(await b.projects()).not.toContain(one);
  });

  it("[PR9] a project that is swept empty while somebody enters is still named", async () => {
    for (let round = 0; round < 20; round += 1) {
      const project = fresh();
      const ada = entry("ada");
      await a.enter(project, ada, LONG);
      await a.leave(project, ada.sessionId, 0);
      await elapse(2);
      await Promise.all([b.sweep(project), a.enter(project, entry("bob"), LONG)]);
      expect(await a.projects()).toContain(project);
    }
  });
}

describeAdapter("presence in memory", undefined, () => {
  contract(async () => {
    let now = 1_700_000_000_000;
    const registry = createMemoryPresenceRegistry({ clock: { now: () => now } });
    return {
      a: registry,
      b: registry,
      async elapse(ms) {
        now += ms;
      },
    };
  });
});

for (const kind of redisKinds()) {
  describeAdapter(`presence on ${kind.name}`, kind.missing, () => {
    let target: RedisTarget;
    beforeAll(async () => {
      target = await kind.open();
    });
    afterAll(() => target.close());

    contract(async () => ({
      a: createRedisPresenceRegistry({ redis: target.connect() }),
      b: createRedisPresenceRegistry({ redis: target.connect() }),
      elapse: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    }));

    it("[PR10] after Redis was flushed the next renewal brings everybody back", async () => {
      const registry = createRedisPresenceRegistry({ redis: target.connect() });
      const project = fresh();
      const entries = Array.from({ length: 600 }, (_, i) => entry(`user-${i}`));
      for (const one of entries) await registry.enter(project, one, LONG);
      await target.flush();
      expect(await registry.list(project)).toEqual([]);
      await registry.renew(project, entries, LONG);
      expect(await registry.list(project)).toEqual(entries);
      expect(await registry.projects()).toContain(project);
      expect(await registry.enter(project, entry("user-7"), LONG)).toEqual({ joined: false });
    });

    it("[PR11] nothing of a project stays in Redis when it was swept empty", async () => {
      const redis = target.connect({ keyPrefix: `atelier-test-${randomUUID()}:` });
      const registry = createRedisPresenceRegistry({ redis });
      const entries = [entry("ada"), entry("ada"), entry("bob")];
      for (const one of entries) await registry.enter("p", one, LONG);
      for (const one of entries) await registry.leave("p", one.sessionId, 0);
      await until(async () => (await registry.sweep("p")).gone.includes("bob"));
      expect(await redis.commands.run((client) => client.keys(redis.key("*")))).toEqual([]);
    });
  });
}

describeAdapter("presence while Redis is away", missingRedisServer(), () => {
  it("[PR12] every call fails within 2 s, and goes on by itself afterwards", async () => {
    const server = await startTestRedis();
    const redis = createRedis({ url: server.url, onError: () => undefined });
    const registry = createRedisPresenceRegistry({ redis });
    const ada = entry("ada");
    await registry.enter("p", ada, LONG);
    await server.stop("SIGKILL");
    const calls = [
      registry.enter("p", ada, LONG),
      registry.renew("p", [ada], LONG),
      registry.leave("p", ada.sessionId, 0),
      registry.sweep("p"),
      registry.list("p"),
      registry.projects(),
    ];
    for (const failure of await Promise.all(calls.map(failureOf))) {
      expect(failure.code).toBe("dependency_unavailable");
      expect(failure.ms).toBeLessThan(2_000);
    }
    await server.restart();
    await until(async () => (await failureOf(redis.ping())).code === "no error");
    await registry.renew("p", [ada], LONG);
    expect(await registry.list("p")).toEqual([ada]);
    await redis.close();
    await server.close();
  });
});
