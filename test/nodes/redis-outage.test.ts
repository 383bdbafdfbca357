import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, it } from "@jest/globals";
import { describeAdapter } from "../kit/adapters.js";
import type { Person } from "../kit/api.js";
import type { TestNode } from "../kit/app.js";
import { type Cluster, startCluster } from "../kit/cluster.js";
import { type FollowingClient, findFaults, followProject, publishDuring } from "../kit/following-client.js";
import { ask, missingRedisServer } from "../kit/redis.js";

const TOLD_ONCE = ["server.degraded", "server.recovered"];

describeAdapter("two nodes whose Redis fails under load", missingRedisServer(), () => {
  let cluster: Cluster;
  let one: TestNode;
  let two: TestNode;
  let ada: Person;
  let bob: Person;
  let projectId: string;
  const opened: FollowingClient[] = [];

  beforeAll(async () => {
    cluster = await startCluster({ redis: { persistent: "everysec" } });
    [one, two] = await Promise.all([cluster.node(), cluster.node()]);
    [ada, bob] = [await one.api.person("Ada"), await one.api.person("Bob")];
    projectId = await one.api.project(ada, [[bob, "collaborator"]]);
  }, 60_000);
  afterEach(async () => {
    for (const client of opened.splice(0)) client.close();
    // What failed in the middle of an outage shall not fail what comes after.
    cluster.redis.thaw();
    await ask(cluster.redis.port, "PING").catch(() => cluster.redis.restart());
  });
  afterAll(() => cluster.close());

  function follow(count = 8): FollowingClient[] {
    const clients = Array.from({ length: count }, (_, i) => {
      const node = i % 2 === 0 ? one : two;
      const token = i < count / 2 ? ada.token : bob.token;
      return followProject({ name: `client ${i}`, urls: [node.wsUrl], token, projectId });
    });
    opened.push(...clients);
    return clients;
  }
  const serverTold = (client: FollowingClient) =>
    client.controls.filter((type) => type.startsWith("server."));
  const told = (clients: readonly FollowingClient[], type: string, times = 1) =>
    Promise.all(
      clients.map((client) =>
        client.until(() => client.controls.filter((each) => each === type).length >= times, type, 15_000),
      ),
    );

  it("[RT80] the control: with a Redis that stays nothing is degraded, lost or closed", async () => {
    const clients = follow();
    await publishDuring(clients, () => delay(300));
    expect(findFaults(clients)).toEqual([]);
    for (const client of clients)
      expect([serverTold(client), client.closes, client.resyncs]).toEqual([[], [], []]);
  });

  it.each(["SIGTERM", "SIGKILL"] as const)(
    "[RT81] a restart by %s: no socket closes, nothing acknowledged is lost, degraded and recovered are told once",
    async (signal) => {
      const clients = follow();
      await publishDuring(clients, async () => {
        await cluster.redis.stop(signal);
        await told(clients, "server.degraded");
        await cluster.redis.restart();
        await told(clients, "server.recovered");
      });
      expect(findFaults(clients)).toEqual([]);
      for (const client of clients)
        expect([serverTold(client), client.closes, client.resyncs]).toEqual([TOLD_ONCE, [], []]);
    },
    60_000,
  );

  it("[RT82] ten seconds without it: sockets stay, what needs no Redis works, and all goes on without a restart", async () => {
    const clients = follow();
    await publishDuring(clients, async () => {
      await cluster.redis.stop("SIGKILL");
      const stoppedAt = performance.now();
      await told(clients, "server.degraded");
      await told(clients, "nack dependency_unavailable");
      expect((await two.api.get(`/projects/${projectId}`, bob.token)).status).toBe(200);
      const { status } = await one.api.post("/auth/login", { email: bob.email, password: bob.password });
      expect(status).toBe(200);
      const refreshed = await two.api.post("/auth/refresh", { refreshToken: bob.refreshToken });
      expect(refreshed.status).toBe(200);
      const ready = await fetch(`${two.httpUrl}/readyz`);
      expect(ready.status).toBe(200);
      expect(await ready.json()).toMatchObject({ status: "degraded", checks: { redis: "unavailable" } });
      // Who comes meanwhile is told too.
      const late = await two.socket(bob.token, projectId);
      expect(await late.next((m) => m.type === "server.degraded")).toMatchObject({ dependency: "redis" });
      late.terminate();
      await delay(10_000 - (performance.now() - stoppedAt));
      await cluster.redis.restart();
      await told(clients, "server.recovered");
    });
    expect(findFaults(clients)).toEqual([]);
    for (const client of clients)
      expect([serverTold(client), client.closes, client.resyncs]).toEqual([TOLD_ONCE, [], []]);
  }, 60_000);

  it("[RT83] a Redis that is there and does not answer is the same", async () => {
    const clients = follow();
    await publishDuring(clients, async () => {
      cluster.redis.freeze();
      await told(clients, "server.degraded");
      await told(clients, "nack dependency_unavailable");
      cluster.redis.thaw();
      await told(clients, "server.recovered");
    });
    expect(findFaults(clients)).toEqual([]);
    for (const client of clients) expect([client.closes, client.resyncs]).toEqual([[], []]);
  }, 60_000);

  it("[RT84] without pub/sub alone every event still comes, from the log, and access is taken away all the same", async () => {
    const clients = follow();
    const guest = await one.api.person("Guest");
    await one.api.post(`/projects/${projectId}/members`, { email: guest.email, role: "viewer" }, ada.token);
    const visit = await two.socket(guest.token, projectId);
    await publishDuring(clients, async () => {
      await ask(cluster.redis.port, "ACL SETUSER default -subscribe");
      await ask(cluster.redis.port, "CLIENT KILL TYPE pubsub");
      const removed = one.api.request("DELETE", `/projects/${projectId}/members/${guest.id}`, {
        token: ada.token,
      });
      expect((await removed).headers.get("x-access-applied")).toBe("true");
      expect((await visit.closed()).code).toBe(4403);
      const place = await clients[0]!.send({ cut: true });
      await Promise.all(
        clients.map((client) =>
          client.until(() => (client.position?.seq ?? 0) >= place.seq, "the event", 5_000),
        ),
      );
      await ask(cluster.redis.port, "ACL SETUSER default +subscribe");
    });
    expect(findFaults(clients)).toEqual([]);
    for (const client of clients)
      expect([serverTold(client), client.closes, client.resyncs]).toEqual([[], [], []]);
  }, 60_000);

  it("[RT85] a Redis that came back older: everybody is told to begin anew, and no revocation is undone", async () => {
    const clients = follow();
    await Promise.all(clients.map((client) => client.until(() => client.connected, "the greeting")));
    await Promise.all(clients.map((client) => client.send()));
    const gone = await one.api.person("Gone");
    await one.api.post(`/projects/${projectId}/members`, { email: gone.email, role: "viewer" }, ada.token);
    await cluster.redis.remember();
    expect((await one.api.post("/auth/logout", {}, gone.token)).status).toBe(204);
    await Promise.all(clients.flatMap((client) => [client.send(), client.send(), client.send()]));
    const before = clients[0]!.position!;
    await cluster.redis.rollBack();
    await publishDuring(clients, async () => undefined);
    expect(findFaults(clients)).toEqual([]);
    for (const client of clients) {
      expect(client.resyncs.map(({ reason }) => reason)).toEqual(["history_lost"]);
      expect(client.position?.epoch).not.toBe(before.epoch);
      expect(client.closes).toEqual([]);
    }
    const asleep = await two.socket(ada.token, projectId, { epoch: before.epoch, since: String(before.seq) });
    expect(await asleep.next((m) => m.type === "resync")).toMatchObject({ reason: "epoch" });
    asleep.terminate();
    for (const node of [one, two]) {
      expect(await node.api.get("/auth/me", gone.token)).toMatchObject({
        status: 401,
        body: { code: "session_revoked" },
      });
      expect(await node.api.post("/auth/refresh", { refreshToken: gone.refreshToken })).toMatchObject({
        status: 401,
      });
      await expect(node.socket(gone.token, projectId)).rejects.toMatchObject({ status: 401 });
    }
  }, 60_000);

  it("[RT86] a Redis that lost everything: sessions live on, revocations hold, sockets begin anew", async () => {
    const clients = follow(4);
    const gone = await one.api.person("Gone");
    expect((await one.api.post("/auth/logout", {}, gone.token)).status).toBe(204);
    const stays = await one.api.person("Stays");
    await publishDuring(clients, () => ask(cluster.redis.port, "FLUSHALL"));
    expect(findFaults(clients)).toEqual([]);
    for (const client of clients) {
      expect(client.resyncs).toHaveLength(1);
      expect(client.closes).toEqual([]);
    }
    for (const node of [one, two]) {
      expect((await node.api.get("/auth/me", stays.token)).status).toBe(200);
      expect((await node.api.get("/auth/me", gone.token)).status).toBe(401);
    }
    expect((await two.api.post("/auth/refresh", { refreshToken: stays.refreshToken })).status).toBe(200);
    expect((await two.api.post("/auth/refresh", { refreshToken: gone.refreshToken })).status).toBe(401);
  }, 60_000);
});
