import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { AtelierError, Client, ProjectEvent, Realtime } from "atelier-client";
import { WebSocket, WebSocketServer } from "ws";
import { startTestNode, type TestNode } from "../kit/app.js";
import { until } from "../kit/editors.js";
import { createSdkKit, refused, type SdkKit } from "../kit/sdk.js";
import { startTcpProxy, type TcpProxy } from "../kit/tcp-proxy.js";

let node: TestNode;
let kit: SdkKit;
let proxy: TcpProxy;

beforeAll(async () => {
  node = await startTestNode();
  kit = createSdkKit(node);
  proxy = await startTcpProxy({ host: "127.0.0.1", port: Number(new URL(node.wsUrl).port) });
});
afterAll(async () => {
  kit.close();
  await proxy.close();
  await node.stop();
});

/** Two members of one project. */
async function pair(role: "collaborator" | "viewer" = "collaborator") {
  const [ada, bob] = [await kit.signUp(), await kit.signUp("Bob Kahn")];
  const { id } = await ada.projects.create({ name: "Engine" });
  await ada.members.add(id, { email: bob.auth.user?.email ?? "", role });
  return { ada, bob, projectId: id };
}

/** Everything a room says, in order. */
function record(room: Realtime) {
  const said = { events: [] as ProjectEvent[], states: [] as string[], errors: [] as AtelierError[] };
  room.on("*", (event) => said.events.push(event));
  room.subscribe("state", (state) => said.states.push(state));
  room.subscribe("error", (error) => said.errors.push(error));
  return said;
}

const chats = (events: readonly ProjectEvent[]) =>
  events.filter(({ type }) => type === "chat_message").map(({ payload }) => payload.n);

describe("realtime of the client", () => {
  it("[SDK10] events reach the others once and in order, acks their sender; presence and cursors follow", async () => {
    const { ada, bob, projectId } = await pair();
    const [mine, theirs] = [ada.realtime(projectId), bob.realtime(projectId)];
    const [seenByAda, seenByBob] = [record(mine), record(theirs)];
    await Promise.all([mine.ready(), theirs.ready()]);
    const acks = await Promise.all([0, 1, 2].map((n) => mine.send("chat_message", { n })));
    expect(acks.map(({ seq }) => seq)).toEqual(acks.map(({ seq }) => seq).sort((a, b) => a - b));
    await until(() => chats(seenByBob.events).length === 3, "three messages");
    expect(chats(seenByBob.events)).toEqual([0, 1, 2]);
    expect(chats(seenByAda.events)).toEqual([]);
    await until(() => theirs.presence.length === 2, "both are present");
    expect(theirs.presence.map(({ name }) => name).sort()).toEqual(["Ada Lovelace", "Bob Kahn"]);
    const cursor = new Promise<ProjectEvent>((resolve) => theirs.on("cursor_moved", resolve));
    expect(mine.sendEphemeral("cursor_moved", { line: 3 })).toBe(true);
    expect(await cursor).toMatchObject({ payload: { line: 3 }, userId: ada.auth.user?.id });
    mine.close();
    theirs.close();
    expect(mine.state).toBe("closed");
    expect(mine.error).toBeUndefined();
    expect((await refused(mine.send("chat_message"))).code).toBe("closed");
  });

  it("[SDK11] a cut network leaves no hole, no double and loses nothing that was sent meanwhile", async () => {
    const { ada, bob, projectId } = await pair();
    const away = kit.client({ wsUrl: `ws://127.0.0.1:${proxy.port}` });
    await away.auth.login({ email: ada.auth.user?.email ?? "", password: "correct horse battery" });
    const [cut, steady] = [away.realtime(projectId), bob.realtime(projectId)];
    const [seenByCut, seenBySteady] = [record(cut), record(steady)];
    await Promise.all([cut.ready(), steady.ready()]);
    await Promise.all([cut.send("chat_message", { n: "a" }), steady.send("chat_message", { n: 0 })]);
    await proxy.stop();
    await until(() => cut.state === "reconnecting", "the cut is seen");
    const sent = [1, 2, 3].map((n) => cut.send("chat_message", { n: `c${n}` }));
    for (let n = 1; n <= 5; n++) await steady.send("chat_message", { n });
    await proxy.restore();
    const acks = await Promise.all(sent);
    await until(() => chats(seenByCut.events).length === 6, "what was missed");
    expect(chats(seenByCut.events)).toEqual([0, 1, 2, 3, 4, 5]);
    await until(() => chats(seenBySteady.events).length === 4, "what waited");
    expect(chats(seenBySteady.events)).toEqual(["a", "c1", "c2", "c3"]);
    expect(new Set(acks.map(({ seq }) => seq)).size).toBe(3);
    expect(seenByCut.states).toEqual(["connected", "reconnecting", "connected"]);
    expect(cut.position?.seq).toBe(steady.position?.seq);
  });

  it("[SDK12] a history that does not reach back is said, and the stream goes on from there", async () => {
    const { ada, bob, projectId } = await pair();
    const room = ada.realtime(projectId, { since: { epoch: "another", seq: 7 } });
    const said = record(room);
    const resync = await new Promise((resolve) => room.subscribe("resync", resolve));
    expect(resync).toMatchObject({ reason: "epoch", position: { seq: expect.any(Number) } });
    const other = bob.realtime(projectId);
    await other.send("chat_message", { n: 1 });
    await until(() => chats(said.events).length === 1, "the message after it");
    const kept = room.position;
    room.close();
    await other.send("chat_message", { n: 2 });
    const later = record(ada.realtime(projectId, { since: kept! }));
    await until(() => chats(later.events).length === 1, "what came while nobody listened");
    expect(chats(later.events)).toEqual([2]);
  });

  it("[SDK13] a lower role is said and refuses; access taken away ends the room and what waits", async () => {
    const { ada, bob, projectId } = await pair();
    const room = bob.realtime(projectId);
    const said = record(room);
    await room.ready();
    const lower = new Promise((resolve) => room.subscribe("role", resolve));
    await ada.members.setRole(projectId, bob.auth.user?.id ?? "", "viewer");
    expect(await lower).toBe("viewer");
    expect((await refused(room.send("chat_message", { n: 1 }))).code).toBe("forbidden");
    await ada.members.remove(projectId, bob.auth.user?.id ?? "");
    await until(() => room.state === "closed", "the end");
    expect(room.error?.code).toBe("forbidden");
    expect(said.errors.at(-1)).toBe(room.error);
    expect((await refused(bob.realtime(projectId).ready())).code).toBe("not_found");
  });

  it("[SDK14] a session ended elsewhere signs out, with the reason, and closes the room", async () => {
    const { ada, projectId } = await pair();
    const phone = kit.client();
    await phone.auth.login({ email: ada.auth.user?.email ?? "", password: "correct horse battery" });
    const room = phone.realtime(projectId);
    await room.ready();
    const signedOut = new Promise((resolve) => phone.auth.onChange(resolve));
    const [theirs] = (await ada.sessions.list()).items.filter(({ current }) => !current);
    await ada.sessions.end(theirs?.id ?? "");
    expect(await signedOut).toMatchObject({ status: "signed_out", reason: { code: "session_revoked" } });
    expect(room.state).toBe("closed");
    expect(room.error?.code).toBe("session_revoked");
    expect(phone.auth.user).toBeUndefined();
  });

  it("[SDK15] a silent network is noticed and left", async () => {
    const { ada, projectId } = await pair();
    const away = kit.client({ wsUrl: `ws://127.0.0.1:${proxy.port}`, heartbeatMs: 100 });
    await away.auth.login({ email: ada.auth.user?.email ?? "", password: "correct horse battery" });
    const room = away.realtime(projectId);
    await room.ready();
    proxy.stall();
    await until(() => room.state === "reconnecting", "the silence is noticed");
    const waiting = room.send("chat_message", { n: 1 });
    await proxy.restore();
    await waiting;
    room.close();
  });

  it("[SDK16] a fresh token goes to the open socket before the old one ends", async () => {
    const short = await startTestNode({ env: { JWT_EXPIRES_IN: "3s" } });
    const shortKit = createSdkKit(short);
    const frames: { type: string }[] = [];
    class Recording extends WebSocket {
      override send(data: string): void {
        frames.push(JSON.parse(data) as { type: string });
        super.send(data);
      }
    }
    try {
      const ada = await shortKit.signUp("Ada", { WebSocket: Recording });
      const { id } = await ada.projects.create({ name: "Engine" });
      const room = ada.realtime(id);
      const said = record(room);
      await room.ready();
      await until(() => frames.filter(({ type }) => type === "auth.refresh").length >= 2, "two renewals");
      await room.send("chat_message", { n: 1 });
      expect(said.states).toEqual(["connected"]);
      expect(said.errors).toEqual([]);
    } finally {
      shortKit.close();
      await short.stop();
    }
  });
});

describe("realtime against a service that misbehaves", () => {
  /** A stand-in for the service's sockets, played by `script`. */
  async function withService(
    script: (socket: WebSocket, query: URLSearchParams, nth: number) => void,
    test: (client: Client, projectId: string) => Promise<void>,
  ): Promise<void> {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => "bearer" });
    await once(server, "listening");
    let nth = 0;
    server.on("connection", (socket, request) => {
      nth += 1;
      script(socket, new URL(request.url ?? "", "http://x").searchParams, nth);
    });
    const ada = await kit.signUp("Ada", {
      wsUrl: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    });
    const { id } = await ada.projects.create({ name: "Engine" });
    try {
      await test(ada, id);
    } finally {
      ada.close();
      for (const socket of server.clients) socket.terminate();
      server.close();
    }
  }
  const say = (socket: WebSocket, frame: object) => socket.send(JSON.stringify(frame));
  const hello = (seq: number) => ({
    type: "connected",
    sessionId: "11111111-1111-4111-8111-111111111111",
    projectId: "p",
    role: "owner",
    epoch: "e",
    seq,
    presence: [],
  });
  const event = (seq: number, type = "chat_message") => ({
    type,
    projectId: "p",
    userId: "u",
    sessionId: "s",
    payload: { n: seq },
    timestamp: new Date().toISOString(),
    id: `id${seq}`,
    epoch: "e",
    seq,
  });

  it("[SDK17] what cannot be read is said and fetched anew; unknown types pass on or are passed over", async () => {
    const since: (string | null)[] = [];
    await withService(
      (socket, query, nth) => {
        since.push(query.get("since"));
        say(socket, hello(nth === 1 ? 4 : 6));
        if (nth === 1) {
          say(socket, event(5));
          say(socket, { type: "brand.new", what: 1 });
          socket.send("{not json");
        } else {
          for (const frame of [event(6, "type_of_tomorrow"), event(6), event(5)]) say(socket, frame);
          say(socket, { type: "resumed", epoch: "e", seq: 6 });
        }
      },
      async (ada, projectId) => {
        const room = ada.realtime(projectId);
        const said = record(room);
        await until(() => said.events.length === 2, "both events");
        expect(said.events.map(({ type, seq }) => [type, seq])).toEqual([
          ["chat_message", 5],
          ["type_of_tomorrow", 6],
        ]);
        expect(said.errors.map(({ code }) => code)).toEqual(["unreadable_answer"]);
        expect(since).toEqual([null, "5"]);
      },
    );
  });

  it("[SDK18] a hole in the stream is not handed on but asked for", async () => {
    await withService(
      (socket) => {
        say(socket, hello(1));
        say(socket, event(2));
        say(socket, event(4));
        socket.on("message", (data: Buffer) => {
          expect(JSON.parse(data.toString())).toMatchObject({ type: "resume", epoch: "e", since: 2 });
          for (const seq of [3, 4]) say(socket, event(seq));
          say(socket, { type: "resumed", epoch: "e", seq: 4 });
        });
      },
      async (ada, projectId) => {
        const room = ada.realtime(projectId);
        const said = record(room);
        await until(() => said.events.length === 3, "all three");
        expect(said.events.map(({ seq }) => seq)).toEqual([2, 3, 4]);
      },
    );
  });

  it("[SDK19] close codes are obeyed: 44xx stop by name, 4401 renews the token, others come back", async () => {
    for (const [code, error] of [
      [4400, "bad_request"],
      [4403, "forbidden"],
      [4404, "not_found"],
      [1009, "payload_too_large"],
    ] as const) {
      await withService(
        (socket) => socket.close(code),
        async (ada, projectId) => {
          const room = ada.realtime(projectId);
          await until(() => room.state === "closed", `the end by ${code}`);
          expect(room.error?.code).toBe(error);
        },
      );
    }
    const tokens: string[] = [];
    await withService(
      (socket, _query, nth) => {
        tokens.push(socket.protocol);
        if (nth === 1) socket.close(4401);
        else if (nth < 4) socket.close([1012, 1013][nth - 2]);
        else say(socket, hello(1));
      },
      async (ada, projectId) => {
        const before = await ada.auth.accessToken();
        const room = ada.realtime(projectId);
        await room.ready();
        expect(tokens).toHaveLength(4);
        expect(await ada.auth.accessToken()).not.toBe(before);
      },
    );
  });
});
