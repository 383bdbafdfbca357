import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { describeAdapter } from "../kit/adapters.js";
import type { Person } from "../kit/api.js";
import type { TestNode } from "../kit/app.js";
import { type Cluster, startCluster } from "../kit/cluster.js";
import { findFaults, followProject, settle } from "../kit/following-client.js";
import { missingRedisServer } from "../kit/redis.js";
import { connectSocket, type SocketClient, UpgradeRefused } from "../kit/socket-client.js";
import { startTcpProxy } from "../kit/tcp-proxy.js";

const HERD = 1_000;
const PROJECTS = 10;
/** Until every one of the herd is served again. */
const HERD_LIMIT_MS = 15_000;

describeAdapter("a thundering herd", missingRedisServer(), () => {
  it(`[RT70] ${HERD} sockets cut at once are all back, with what they missed, within 15 s`, async () => {
    const cluster = await startCluster();
    try {
      const [node, other] = await Promise.all([
        cluster.process({ WS_CONNECTS_PER_MINUTE: "0" }),
        cluster.process({ WS_CONNECTS_PER_MINUTE: "0" }),
      ]);
      const projects = await Promise.all(
        Array.from({ length: PROJECTS }, async () => {
          const owner = await other.api.person();
          const at = { token: owner.token, projectId: await other.api.project(owner) };
          const writer = followProject({ name: "writer", urls: [other.wsUrl], ...at });
          const herd = Array.from({ length: HERD / PROJECTS }, (_, i) =>
            followProject({ name: `client ${i}`, urls: [node.wsUrl], ...at }),
          );
          return { writer, herd };
        }),
      );
      const everyone = projects.flatMap(({ herd }) => herd);
      await Promise.all(
        everyone.map((client) => client.until(() => client.connected, "the greeting", 30_000)),
      );
      const publish = (count: number) =>
        Promise.all(
          projects.flatMap(({ writer }) => Array.from({ length: count }, (_, i) => writer.send({ i }))),
        );
      await publish(5);
      const begun = performance.now();
      for (const client of everyone) client.cut();
      await publish(20);
      await Promise.all(projects.map(({ writer, herd }) => settle([writer, ...herd], HERD_LIMIT_MS)));
      expect(performance.now() - begun).toBeLessThan(HERD_LIMIT_MS);
      for (const { writer, herd } of projects) {
        expect(findFaults([writer, ...herd])).toEqual([]);
        for (const client of [writer, ...herd]) {
          expect(client.resyncs).toEqual([]);
          client.close();
        }
      }
    } finally {
      await cluster.close();
    }
  }, 90_000);
});

describeAdapter("bounds of sockets", missingRedisServer(), () => {
  let cluster: Cluster;
  let node: TestNode;
  let ada: Person;
  let projectId: string;
  /** What takes as long as its time-out is begun first and looked at last. */
  let silent: Promise<number>;
  let halfOpen: ReturnType<typeof leaveHalfOpen>;
  let slow: ReturnType<typeof readSlowly>;

  beforeAll(async () => {
    cluster = await startCluster();
    node = await cluster.node({ WS_SOCKETS_PER_USER: "3", WS_MESSAGES_PER_SECOND: "50" });
    ada = await node.api.person("Ada");
    projectId = await node.api.project(ada);
    silent = saySomethingHalf();
    halfOpen = leaveHalfOpen();
    slow = readSlowly();
    for (const begun of [silent, halfOpen, slow]) begun.catch(() => undefined);
  }, 60_000);
  afterAll(() => cluster.close());

  const portOf = (url: string) => Number(new URL(url).port);

  /** Opens connections that say nothing, or half a request; resolves with how many there are when the last one is closed. */
  async function saySomethingHalf(): Promise<number> {
    const sockets: Socket[] = [];
    for (const url of [node.httpUrl, node.wsUrl])
      for (const text of ["", "GET /?token=", "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"])
        for (let i = 0; i < 20; i++) {
          const socket = connect(portOf(url), "127.0.0.1", () => socket.write(text));
          socket.on("error", () => undefined).resume();
          sockets.push(socket);
        }
    await Promise.all(sockets.map((socket) => once(socket, "close")));
    return sockets.length;
  }

  /** A client whose network swallows everything; gives the messages of somebody who watches. */
  async function leaveHalfOpen(): Promise<{ watcher: SocketClient; lost: string }> {
    const [owner, eve] = [await node.api.person(), await node.api.person()];
    const at = await node.api.project(owner, [[eve, "viewer"]]);
    const watcher = await node.socket(owner.token, at);
    const proxy = await startTcpProxy({ host: "127.0.0.1", port: portOf(node.wsUrl) });
    const query = new URLSearchParams({ token: eve.token, projectId: at }).toString();
    const client = await connectSocket(`ws://127.0.0.1:${proxy.port}/?${query}`);
    await watcher.next((m) => m.type === "user_joined" && m.userId === eve.id);
    proxy.freeze();
    await watcher.next((m) => m.type === "user_left" && m.userId === eve.id, 60_000);
    client.terminate();
    await proxy.close();
    return { watcher, lost: eve.id };
  }

  /** One client stops reading for a while, one for good, one reads; thirty megabytes are published. */
  async function readSlowly(): Promise<{
    fast: SocketClient;
    late: SocketClient;
    stuck: SocketClient;
    queued: number;
  }> {
    const wide = await cluster.node();
    const [writer, reader] = [await wide.api.person(), await wide.api.person()];
    const at = await wide.api.project(writer, [[reader, "viewer"]]);
    const [sender, fast, late, stuck] = await Promise.all([
      wide.socket(writer.token, at),
      wide.socket(reader.token, at),
      wide.socket(reader.token, at),
      wide.socket(reader.token, at),
    ]);
    late.socket.pause();
    stuck.socket.pause();
    let queued = 0;
    const payload = { filler: "x".repeat(50_000) };
    for (let i = 0; i < 600; i += 5) {
      for (let j = i; j < i + 5; j++)
        sender.send({ type: "chat_message", payload: { ...payload, i: j }, id: `${j}` });
      await sender.next((m) => m.type === "ack" && m.id === `${i + 4}`, 20_000);
      for (const peer of wide.app.features.realtime?.hub.peers() ?? [])
        queued = Math.max(queued, peer.transport.queuedBytes);
    }
    late.socket.resume();
    const isLast = ({ type, payload: p }: { type: string; payload?: unknown }) =>
      type === "chat_message" && (p as { i: number }).i === 599;
    await Promise.all([fast.next(isLast, 20_000), late.next(isLast, 20_000)]);
    const deadline = performance.now() + 45_000;
    const closed = async () =>
      /socket_closes_total\{code="4408"\} 1/.test(await (await fetch(`${wide.httpUrl}/metrics`)).text());
    while (!(await closed())) {
      if (performance.now() > deadline) throw new Error("the client that does not read was not closed");
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    return { fast, late, stuck, queued };
  }

  it("[RT71] an account has a bounded number of sockets, and a handshake that is none takes no seat", async () => {
    const bob = await node.api.person();
    const at = await node.api.project(bob);
    for (let i = 0; i < 5; i++) {
      const socket = connect(portOf(node.wsUrl), "127.0.0.1");
      const query = new URLSearchParams({ token: bob.token, projectId: at }).toString();
      socket.end(
        `GET /?${query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: none\r\n\r\n",
      );
      let answer = "";
      for await (const bytes of socket) answer += String(bytes);
      expect(answer).toMatch(/^HTTP\/1.1 400 /);
    }
    const open = [];
    for (let i = 0; i < 3; i++) open.push(await node.socket(bob.token, at));
    await expect(node.socket(bob.token, at)).rejects.toMatchObject({
      status: 429,
      problem: { code: "quota_exceeded", limit: 3 },
    });
    open[0]!.socket.close();
    await open[0]!.closed();
    // The server counts it when its own side is closed.
    for (let tries = 0; ; tries++) {
      const again = await node.socket(bob.token, at).catch(() => undefined);
      if (again) break;
      expect(tries).toBeLessThan(100);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const client of open) client.terminate();
  });

  it("[RT72] a flood of upgrades from one address is refused with 429, and nobody else notices", async () => {
    // A proxy says who is asking, so that there can be several addresses.
    const guarded = await cluster.node({ WS_CONNECTS_PER_MINUTE: "30", TRUST_PROXY: "1" });
    const query = new URLSearchParams({ token: ada.token, projectId }).toString();
    const from = (address: string) =>
      connectSocket(`${guarded.wsUrl}/?${query}`, { headers: { "x-forwarded-for": address } });
    const before = await from("198.51.100.1");
    const flood = await Promise.all(
      Array.from({ length: 200 }, () =>
        from("203.0.113.9").then(
          (client) => client,
          (error: UpgradeRefused) => error,
        ),
      ),
    );
    const refused = flood.filter((each) => each instanceof UpgradeRefused);
    expect(refused).toHaveLength(200 - 30);
    for (const { status, headers } of refused) {
      expect(status).toBe(429);
      expect(Number(headers["retry-after"])).toBeGreaterThan(0);
    }
    before.send({ type: "chat_message", payload: {}, id: "before" });
    await before.next((m) => m.type === "ack");
    const elsewhere = await from("198.51.100.2");
    expect(elsewhere.hello.type).toBe("connected");
    for (const each of [...flood, before, elsewhere]) if ("terminate" in each) each.terminate();
  });

  it("[RT73] pings count as messages: a flood of them ends the socket with 4429", async () => {
    const client = await node.socket(ada.token, projectId);
    client.socket.on("pong", () => client.socket.ping());
    for (let i = 0; i < 10; i++) client.socket.ping();
    expect((await client.closed()).code).toBe(4429);
  });

  it("[RT74] connections that say nothing, or half a request, are closed by the server", async () => {
    expect(await silent).toBe(120);
    expect((await fetch(`${node.httpUrl}/livez`)).status).toBe(200);
  }, 30_000);

  it("[RT75] a client that does not read costs a bounded queue: it is fed later, or closed; the others get everything", async () => {
    const { fast, late, stuck, queued } = await slow;
    expect(queued).toBeGreaterThan(0);
    expect(queued).toBeLessThan(1024 * 1024);
    for (const client of [fast, late]) {
      const seqs = client.messages
        .filter((m) => m.seq !== undefined && m.type !== "connected")
        .map(({ seq }) => Number(seq));
      expect(seqs).toEqual(Array.from({ length: seqs.length }, (_, i) => Number(client.hello.seq) + 1 + i));
      expect(client.messages.filter((m) => m.type === "chat_message")).toHaveLength(600);
    }
    stuck.socket.resume();
    await stuck.closed();
  }, 60_000);

  it("[RT76] a half-open connection is noticed, and who was behind it has left", async () => {
    const { watcher, lost } = await halfOpen;
    expect(watcher.messages.filter((m) => m.type === "user_left" && m.userId === lost)).toHaveLength(1);
  }, 60_000);
});
