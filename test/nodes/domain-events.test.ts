import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { sql } from "kysely";
import { describeAdapter } from "../kit/adapters.js";
import type { Person } from "../kit/api.js";
import type { TestNode } from "../kit/app.js";
import { type Cluster, startCluster } from "../kit/cluster.js";
import { type FollowingClient, findFaults, followProject, settle } from "../kit/following-client.js";
import { randomOf } from "../kit/random.js";
import { missingRedisServer } from "../kit/redis.js";
import { startTcpProxy } from "../kit/tcp-proxy.js";

const seed = Number(process.env.NODES_SEED ?? Math.floor(Math.random() * 2 ** 31));
const KILLS = 4;

describeAdapter(`domain events over nodes that die (NODES_SEED=${seed})`, missingRedisServer(), () => {
  const random = randomOf(seed);
  let cluster: Cluster;
  let survivor: TestNode;
  let ada: Person;
  let projectId: string;
  let watcher: FollowingClient;

  beforeAll(async () => {
    cluster = await startCluster();
    survivor = await cluster.node();
    ada = await survivor.api.person("Ada");
    projectId = await survivor.api.project(ada);
    watcher = followProject({ name: "watcher", urls: [survivor.wsUrl], token: ada.token, projectId });
    await watcher.until(() => watcher.connected, "the greeting");
  }, 60_000);
  afterAll(async () => {
    watcher.close();
    await cluster.close();
  });

  const path = () => `/projects/${projectId}/workspaces`;
  const told = () =>
    watcher.events
      .filter(({ type }) => type === "workspace_created")
      .map(({ payload }) => String(payload.workspaceId));

  /** Ids of all workspaces there are. */
  async function existing(): Promise<string[]> {
    const ids: string[] = [];
    for (let cursor = ""; ; ) {
      const { body } = await survivor.api.get(`${path()}?limit=100${cursor}`, ada.token);
      ids.push(...(body.workspaces as { id: string }[]).map(({ id }) => id));
      if (body.nextCursor === null) return ids;
      cursor = `&cursor=${encodeURIComponent(String(body.nextCursor))}`;
    }
  }

  async function expectEachToldOnce(): Promise<void> {
    await survivor.app.dispatcher.drained(15_000);
    const ids = await existing();
    await watcher.until(() => new Set(told()).size >= ids.length, "every workspace", 15_000);
    await watcher.send();
    expect(told().toSorted()).toEqual(ids.toSorted());
    await settle([watcher]);
    expect(findFaults([watcher])).toEqual([]);
    expect(watcher.closes).toEqual([]);
    expect(watcher.resyncs).toEqual([]);
  }

  it("[RT60] the control: on a node that lives every event is told once", async () => {
    await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        expect((await survivor.api.post(path(), { name: `Shop ${i}` }, ada.token)).status).toBe(201);
      }),
    );
    await expectEachToldOnce();
    expect(told()).toHaveLength(20);
  });

  it("[RT61] a node that dies between COMMIT and dispatch loses no event: another one tells it", async () => {
    // Committed, and on no way to a socket: this node's Redis does not answer.
    const proxy = await startTcpProxy({ host: "127.0.0.1", port: cluster.redis.port });
    const doomed = await cluster.process({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
    proxy.stall();
    const { status, body } = await doomed.api.post(path(), { name: "committed" }, ada.token);
    expect(status).toBe(201);
    await doomed.kill();
    await watcher.until(() => told().includes(body.workspace.id as string), "the event", 20_000);
    await expectEachToldOnce();
    await proxy.close();
  }, 40_000);

  it(`[RT62] kill -9 in the middle of writes, ${KILLS} times: what is committed is told, and once`, async () => {
    for (let kill = 0; kill < KILLS; kill++) {
      const doomed = await cluster.process();
      const answered: string[] = [];
      let alive = true;
      const writers = [0, 1, 2, 3].map(async (writer) => {
        for (let i = 0; alive; i++) {
          const answer = await doomed.api
            .post(path(), { name: `k${kill} ${writer} ${i}` }, ada.token)
            .catch(() => undefined);
          if (answer?.status === 201) answered.push(answer.body.workspace.id as string);
        }
      });
      while (answered.length < 10 + random() * 30) await new Promise((resolve) => setTimeout(resolve, 1));
      await doomed.kill();
      alive = false;
      await Promise.all(writers);
      await expectEachToldOnce();
      const all = new Set(told());
      expect(answered.filter((id) => !all.has(id))).toEqual([]);
    }
  }, 60_000);

  it("[RT63] events that are dispatched a second time are told once", async () => {
    const before = told().length;
    await sql`update outbox_cursors set position = 0 where consumer = 'realtime'`.execute(
      cluster.database.database.tables(),
    );
    await survivor.app.dispatcher.drained(15_000);
    await watcher.send();
    expect(told()).toHaveLength(before);
    await expectEachToldOnce();
  });
});
