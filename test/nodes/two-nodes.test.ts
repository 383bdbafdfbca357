import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { describeAdapter } from "../kit/adapters.js";
import type { Person } from "../kit/api.js";
import type { TestNode } from "../kit/app.js";
import { type Cluster, startCluster } from "../kit/cluster.js";
import { findFaults, followProject, settle } from "../kit/following-client.js";
import { missingRedisServer } from "../kit/redis.js";
import type { Message, SocketClient } from "../kit/socket-client.js";

describeAdapter("two nodes and a worker on shared stores", missingRedisServer(), () => {
  let cluster: Cluster;
  let one: TestNode;
  let two: TestNode;
  let ada: Person;
  let bob: Person;
  let projectId: string;

  beforeAll(async () => {
    cluster = await startCluster({ mongo: true });
    [one, two] = await Promise.all([cluster.node(), cluster.node(), cluster.node({ ROLES: "worker" })]);
    [ada, bob] = await Promise.all([one.api.person("Ada Lovelace"), two.api.person("Bob Kahn")]);
    projectId = await one.api.project(ada, [[bob, "collaborator"]]);
  }, 60_000);
  afterAll(() => cluster.close());

  const of = (client: SocketClient, type: string, fits: (message: Message) => boolean = () => true) =>
    client.messages.filter((message) => message.type === type && fits(message));

  it("[RT51] every client of every node is told every event exactly once, in one order", async () => {
    const urls = [one.wsUrl, two.wsUrl];
    const clients = [0, 1, 2, 3, 4, 5].map((i) =>
      followProject({
        name: `client ${i}`,
        urls: [urls[i % 2]!],
        token: i < 3 ? ada.token : bob.token,
        projectId,
      }),
    );
    await Promise.all(clients.map((client) => client.until(() => client.connected, "the greeting")));
    await Promise.all(
      clients.map((client) => Promise.all(Array.from({ length: 60 }, (_, i) => client.send({ i })))),
    );
    await settle(clients);
    for (const client of clients) client.close();
    expect(findFaults(clients)).toEqual([]);
    for (const client of clients) {
      expect(client.closes).toEqual([]);
      expect(client.resyncs).toEqual([]);
      expect(client.events.filter(({ type }) => type === "chat_message")).toHaveLength(5 * 60);
      // Every writer's messages stand in the order it sent them.
      for (const writer of clients) {
        const seqs = [...writer.acked.values()].map(({ seq }) => seq);
        expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
      }
    }
  });

  it("[RT52] what is done over HTTP at one node, and by the worker, reaches sockets of both once", async () => {
    const [a, b] = [await one.socket(ada.token, projectId), await two.socket(bob.token, projectId)];
    const created = await two.api.post(`/projects/${projectId}/workspaces`, { name: "Shop" }, bob.token);
    expect(created.status).toBe(201);
    const submitted = await one.api.post(
      "/jobs",
      {
        type: "code_execution",
        projectId,
        payload: { language: "javascript", code: "console.log('Hello World')" },
      },
      ada.token,
    );
    expect(submitted.status).toBe(202);
    const jobId = submitted.body.job.id as string;
    const isJob = ({ payload }: Message) => (payload as { jobId?: string }).jobId === jobId;
    for (const client of [a, b]) {
      await client.next((m) => m.type === "job_completed" && isJob(m), 20_000);
      await client.next((m) => m.type === "workspace_created");
    }
    expect((await two.api.get(`/jobs/${jobId}`, bob.token)).body.job).toMatchObject({
      status: "completed",
      result: { stdout: "Hello World\n" },
    });
    // What comes after everything else shows that nothing came twice.
    a.send({ type: "chat_message", payload: { last: true }, id: "last" });
    await Promise.all([
      a.next((m) => m.type === "ack" && m.id === "last"),
      b.next((m) => m.type === "chat_message" && (m.payload as { last?: boolean }).last === true),
    ]);
    for (const client of [a, b]) {
      for (const type of ["job_created", "job_started", "job_completed"])
        expect(of(client, type, isJob)).toHaveLength(1);
      expect(of(client, "workspace_created")).toHaveLength(1);
    }
    a.terminate();
    b.terminate();
  });

  it("[RT53] cursors cross nodes, a person on two nodes joins once and leaves once, presence knows both", async () => {
    const eve = await one.api.person("Eve");
    await one.api.post(`/projects/${projectId}/members`, { email: eve.email, role: "viewer" }, ada.token);
    const watcher = await one.socket(ada.token, projectId);
    const tabs = [await two.socket(eve.token, projectId), await one.socket(eve.token, projectId)];
    const isEve = ({ userId }: Message) => userId === eve.id;
    await watcher.next((m) => m.type === "user_joined" && isEve(m));
    tabs[0]!.send({ type: "cursor_moved", payload: { line: 7 } });
    expect(await watcher.next((m) => m.type === "cursor_moved")).toMatchObject({
      userId: eve.id,
      sessionId: tabs[0]!.hello.sessionId,
      payload: { line: 7 },
    });
    const present = async (node: TestNode) =>
      (await node.api.get(`/projects/${projectId}/presence`, ada.token)).body.presence as {
        userId: string;
        connections: number;
      }[];
    for (const node of [one, two])
      expect((await present(node)).find(({ userId }) => userId === eve.id)).toMatchObject({ connections: 2 });
    tabs[0]!.terminate();
    tabs[1]!.terminate();
    await watcher.next((m) => m.type === "user_left" && isEve(m), 15_000);
    expect(of(watcher, "user_joined", isEve)).toHaveLength(1);
    expect(of(watcher, "user_left", isEve)).toHaveLength(1);
    watcher.terminate();
  }, 30_000);

  it("[RT54] a client that goes on at another node misses nothing", async () => {
    const reader = followProject({
      name: "reader",
      urls: [one.wsUrl, two.wsUrl],
      token: bob.token,
      projectId,
    });
    const writer = followProject({ name: "writer", urls: [two.wsUrl], token: ada.token, projectId });
    const clients = [reader, writer];
    await Promise.all(clients.map((client) => client.until(() => client.connected, "the greeting")));
    for (let round = 0; round < 10; round++) {
      const sent = Array.from({ length: 20 }, (_, i) => writer.send({ round, i }));
      await sent[9];
      reader.cut();
      await Promise.all(sent);
      await reader.until(() => reader.connected, "the reconnect");
    }
    await settle(clients);
    for (const client of clients) client.close();
    expect(findFaults(clients)).toEqual([]);
    expect(reader.closes).toHaveLength(10);
    expect(reader.resyncs).toEqual([]);
  });
});
