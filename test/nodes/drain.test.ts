import { afterAll, afterEach, beforeAll, expect, it } from "@jest/globals";
import { describeAdapter } from "../kit/adapters.js";
import type { Person } from "../kit/api.js";
import { type Cluster, startCluster } from "../kit/cluster.js";
import { type FollowingClient, findFaults, followProject, publishDuring } from "../kit/following-client.js";
import type { NodeProcess } from "../kit/node-process.js";
import { missingRedisServer } from "../kit/redis.js";

/** From the signal to the end of the process. */
const EXIT_LIMIT_MS = 20_000;

describeAdapter("a node that ends while clients publish", missingRedisServer(), () => {
  let cluster: Cluster;
  let staying: NodeProcess;
  let people: Person[];
  let projectId: string;

  beforeAll(async () => {
    cluster = await startCluster();
    staying = await cluster.process();
    people = await Promise.all(Array.from({ length: 4 }, (_, i) => staying.api.person(`Person ${i}`)));
    const [ada, ...others] = people as [Person, ...Person[]];
    projectId = await staying.api.project(
      ada,
      others.map((person) => [person, "collaborator"] as const),
    );
  }, 60_000);
  afterAll(() => cluster.close());

  const opened: FollowingClient[] = [];
  function follow(count: number, urls: readonly string[]): FollowingClient[] {
    const clients = Array.from({ length: count }, (_, i) =>
      followProject({
        name: `client ${i} of ${urls.length}`,
        urls,
        token: people[i % people.length]!.token,
        projectId,
      }),
    );
    opened.push(...clients);
    return clients;
  }

  afterEach(() => {
    for (const client of opened.splice(0)) client.close();
  });

  it("[RT64] the control: nothing ends, nothing is lost", async () => {
    const clients = follow(8, [staying.wsUrl]);
    await publishDuring(clients, async () => undefined);
    expect(findFaults(clients)).toEqual([]);
    for (const client of clients) expect(client.closes).toEqual([]);
  });

  it("[RT65] SIGTERM: 503 at once, every socket told and closed with 1012, exit 0 in time, no event lost or doubled", async () => {
    // As in production: sockets are closed over five seconds.
    const leaving = await cluster.process({ NODE_ENV: "development" });
    const moving = follow(12, [leaving.wsUrl, staying.wsUrl]);
    const clients = [...moving, ...follow(4, [staying.wsUrl])];
    const begun = { at: 0, ms: 0 };
    const code = await publishDuring(clients, async () => {
      begun.at = performance.now();
      const underWay = leaving.api.post(
        `/projects/${projectId}/workspaces`,
        { name: "Under way" },
        people[0]!.token,
      );
      const exit = leaving.stop();
      let ready = 200;
      while (ready === 200) ready = (await fetch(`${leaving.httpUrl}/readyz`)).status;
      expect(ready).toBe(503);
      await expect(leaving.socket(people[0]!.token, projectId)).rejects.toMatchObject({
        status: 503,
        problem: { code: "shutting_down" },
      });
      expect((await underWay).status).toBe(201);
      const ended = await exit;
      begun.ms = performance.now() - begun.at;
      return ended;
    });
    expect(code).toBe(0);
    expect(begun.ms).toBeLessThan(EXIT_LIMIT_MS);
    expect(findFaults(clients)).toEqual([]);
    for (const client of clients) expect(client.resyncs).toEqual([]);
    for (const client of moving) {
      expect(client.controls.filter((type) => type.startsWith("server."))).toEqual(["server.restarting"]);
      expect(client.closes[0]).toBe(1012);
    }
  }, 60_000);

  it("[RT66] kill -9 of a node, twice: its clients go on at the other one, no acknowledged event is lost or doubled", async () => {
    for (let round = 0; round < 2; round++) {
      const dying = await cluster.process();
      const moving = follow(8, [dying.wsUrl, staying.wsUrl]);
      const clients = [...moving, ...follow(4, [staying.wsUrl])];
      await publishDuring(clients, () => dying.kill());
      expect(findFaults(clients)).toEqual([]);
      for (const client of clients) expect(client.resyncs).toEqual([]);
      for (const client of moving) expect(client.closes[0]).toBe(1006);
    }
  }, 60_000);
});
