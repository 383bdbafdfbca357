import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { type RealtimeBench, startRealtimeBench } from "../kit/realtime.js";
import { connectSocket, UpgradeRefused } from "../kit/socket-client.js";

let bench: RealtimeBench;
beforeAll(async () => {
  bench = await startRealtimeBench();
  for (const user of ["ada", "bob", "cy"]) bench.member(user, "collaborator");
  bench.member("vic", "viewer");
});
afterAll(() => bench.stop());

const refusal = async (url: string, options = {}) => {
  const outcome = await connectSocket(url, options).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(UpgradeRefused);
  return outcome as UpgradeRefused;
};

describe("the upgrade", () => {
  it("[RT2] greets with session, role, position and presence", async () => {
    const ada = await bench.connect("ada");
    expect(ada.hello).toMatchObject({
      type: "connected",
      projectId: bench.projectId,
      role: "collaborator",
      seq: expect.any(Number),
      epoch: expect.any(String),
      presence: expect.any(Array),
    });
    ada.terminate();
  });

  it("[RT3] takes the token from the header, the sub-protocol or a ticket", async () => {
    const at = `${bench.url}/?projectId=${bench.projectId}`;
    for (const options of [{ headers: { authorization: "Bearer ada" } }, { protocols: ["bearer", "ada"] }]) {
      (await connectSocket(at, options)).terminate();
    }
    (await connectSocket(`${at}&ticket=ticket-ada`)).terminate();
  });

  it("[RT3] refuses before it accepts: 400, 401, 404 as problems", async () => {
    expect(await refusal(`${bench.url}/?projectId=${bench.projectId}`)).toMatchObject({
      status: 401,
      problem: { code: "unauthenticated" },
    });
    expect(await refusal(`${bench.url}/?projectId=${bench.projectId}&token=no-token`)).toMatchObject({
      status: 401,
      problem: { code: "invalid_token" },
    });
    expect(await refusal(`${bench.url}/?projectId=nonsense&token=ada`)).toMatchObject({
      status: 400,
      problem: { code: "validation_failed", errors: [{ pointer: "?projectId" }] },
    });
    expect(await refusal(`${bench.url}/?projectId=${bench.projectId}&token=ada&token=bob`)).toMatchObject({
      status: 400,
    });
    expect(await refusal(`${bench.url}/elsewhere?projectId=${bench.projectId}&token=ada`)).toMatchObject({
      status: 404,
    });
  });

  it("[RT3] a foreign project and a missing one look the same", async () => {
    const foreign = await refusal(`${bench.url}/?projectId=${bench.projectId}&token=stranger`);
    const missing = await refusal(
      `${bench.url}/?projectId=0198f2a0-0000-7000-8000-000000000000&token=stranger`,
    );
    const shape = ({ status, problem: { requestId: _id, ...rest } }: UpgradeRefused) => ({ status, ...rest });
    expect(shape(foreign)).toEqual(shape(missing));
  });

  it("[RT4] compares a browser's Origin by equality", async () => {
    const url = `${bench.url}/?projectId=${bench.projectId}&token=ada`;
    for (const origin of [
      "https://evil.example",
      "null",
      "http://app.example.org",
      "https://app.example.org.evil.tld",
      "https://app.example.or",
      "https://app.example.org:8443",
    ]) {
      expect(await refusal(url, { origin })).toMatchObject({
        status: 403,
        problem: { code: "origin_refused" },
      });
    }
    (await connectSocket(url, { origin: "https://app.example.org" })).terminate();
  });

  it("[RT5] an account has a bounded number of sockets, and they are given back", async () => {
    bench.member("many", "viewer");
    const open = await Promise.all(Array.from({ length: 5 }, () => bench.connect("many")));
    const refused = await bench.connect("many").then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refused).toMatchObject({ status: 429, problem: { code: "quota_exceeded", limit: 5 } });
    for (const client of open) client.socket.close();
    await Promise.all(open.map((client) => client.closed()));
    await new Promise((resolve) => setTimeout(resolve, 50));
    (await bench.connect("many")).terminate();
  });
});

describe("messages", () => {
  it("[RT6] an event reaches the others stamped by the server, the sender gets its ack", async () => {
    const [ada, bob] = await Promise.all([bench.connect("ada"), bench.connect("bob")]);
    ada.send({ type: "file_changed", payload: { fileName: "index.js" }, id: "m-1" });
    const ack = await ada.next((m) => m.type === "ack");
    const event = await bob.next((m) => m.type === "file_changed");
    expect(event).toMatchObject({
      projectId: bench.projectId,
      userId: bench.member("ada", "collaborator"),
      sessionId: ada.hello.sessionId,
      payload: { fileName: "index.js" },
      seq: ack.seq,
      epoch: ack.epoch,
    });
    expect(Date.parse(String(event.timestamp))).toBeGreaterThan(0);
    expect(ack.id).toBe("m-1");
    expect(ada.messages.filter((m) => m.type === "file_changed")).toEqual([]);
    expect(bench.recorded.find((e) => e.id === event.id)).toMatchObject({ type: "file_changed" });
    ada.terminate();
    bob.terminate();
  });

  it("[RT7] a resend with the same id is one event, acknowledged with the first seq, also on another connection", async () => {
    const [ada, bob] = await Promise.all([bench.connect("ada"), bench.connect("bob")]);
    ada.send({ type: "chat_message", payload: { text: "hi" }, id: "once" });
    const first = await ada.next((m) => m.type === "ack");
    ada.terminate();
    const again = await bench.connect("ada");
    again.send({ type: "chat_message", payload: { text: "hi" }, id: "once" });
    expect(await again.next((m) => m.type === "ack")).toMatchObject({ id: "once", seq: first.seq });
    again.send({ type: "chat_message", payload: { text: "end" }, id: "end" });
    await bob.next((m) => m.type === "chat_message" && (m.payload as { text: string }).text === "end");
    expect(bob.messages.filter((m) => m.type === "chat_message")).toHaveLength(2);
    bob.terminate();
    again.terminate();
  });

  it("[RT8] a Viewer receives and moves its cursor, and sends nothing else", async () => {
    const [ada, vic] = await Promise.all([bench.connect("ada"), bench.connect("vic")]);
    vic.send({ type: "file_changed", payload: {}, id: "v" });
    expect(await vic.next((m) => m.type === "nack")).toMatchObject({ id: "v", code: "forbidden" });
    vic.send({ type: "cursor_moved", payload: { line: 3 } });
    expect(await ada.next((m) => m.type === "cursor_moved")).toMatchObject({
      payload: { line: 3 },
      userId: bench.member("vic", "viewer"),
    });
    expect(ada.messages.filter((m) => m.type === "file_changed")).toEqual([]);
    ada.terminate();
    vic.terminate();
  });

  it("[RT9] forged types, identities and members are refused with a code, and nobody else notices", async () => {
    const [ada, bob] = await Promise.all([bench.connect("ada"), bench.connect("bob")]);
    const bad: [unknown, string][] = [
      [{ type: "user_joined", payload: {}, id: "a" }, "forbidden"],
      [{ type: "member_added", payload: {}, id: "b" }, "forbidden"],
      [{ type: "access.revoked", id: "c" }, "forbidden"],
      [{ type: "file_changed", payload: {}, userId: "someone", id: "d" }, "validation_failed"],
      [{ type: "file_changed", payload: "text", id: "e" }, "validation_failed"],
      [{ type: "nonsense", id: "f" }, "validation_failed"],
      [{ type: { $ne: null }, id: "g" }, "validation_failed"],
      [["file_changed"], "validation_failed"],
      ["{", "invalid_json"],
      ['{"type":"file_changed","payload":{"__proto__":{"admin":true}},"id":"h"}', "validation_failed"],
      [`{"type":"file_changed","payload":${"[".repeat(5_000)}${"]".repeat(5_000)},"id":"i"}`, "too_deep"],
      [{ type: "file_changed", payload: { nul: "\u0000" }, id: "j" }, "validation_failed"],
    ];
    for (const [message] of bad) ada.send(message);
    ada.send({ type: "ping", id: "last" });
    await ada.next((m) => m.type === "pong");
    expect(ada.messages.filter((m) => m.type === "nack").map((m) => m.code)).toEqual(
      bad.map(([, code]) => code),
    );
    expect(bob.messages.map((m) => m.type).filter((type) => !/^(connected|user_)/.test(type))).toEqual([]);
    ada.terminate();
    bob.terminate();
  });

  it("[RT31] a flood is answered with rate_limited, then closed with 4429; others go on", async () => {
    const [ada, bob, cy] = await Promise.all([
      bench.connect("ada"),
      bench.connect("bob"),
      bench.connect("cy"),
    ]);
    for (let i = 0; i < 2_000; i++) ada.send({ type: "cursor_moved", payload: { i } });
    expect((await ada.closed()).code).toBe(4429);
    expect(ada.messages.some((m) => m.type === "nack" && m.code === "rate_limited")).toBe(true);
    bob.send({ type: "chat_message", payload: {}, id: "fine" });
    await cy.next((m) => m.type === "chat_message");
    bob.terminate();
    cy.terminate();
  });

  it("[RT32] oversize 1009, binary 4400, invalid UTF-8 1007, unmasked 1002: only that socket", async () => {
    const bob = await bench.connect("bob");
    const close = async (break_: (client: Awaited<ReturnType<typeof bench.connect>>) => void) => {
      const client = await bench.connect("ada");
      break_(client);
      return (await client.closed()).code;
    };
    const raw = (client: Awaited<ReturnType<typeof bench.connect>>, bytes: number[]) =>
      (client.socket as unknown as { _socket: { write(b: Buffer): void } })._socket.write(Buffer.from(bytes));
    expect(
      await close((c) =>
        c.send(JSON.stringify({ type: "file_changed", payload: { x: "x".repeat(70_000) } })),
      ),
    ).toBe(1009);
    expect(await close((c) => c.socket.send(Buffer.from([1, 2, 3])))).toBe(4400);
    expect(await close((c) => raw(c, [0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]))).toBe(1007);
    expect(await close((c) => raw(c, [0x81, 0x02, 0x7b, 0x7d]))).toBe(1002);
    expect(await close((c) => raw(c, [0x83, 0x80, 0, 0, 0, 0]))).toBe(1002);
    bob.send({ type: "ping", id: "p" });
    await bob.next((m) => m.type === "pong");
    bob.terminate();
  });
});

describe("access", () => {
  it("[RT40] a lower role makes the socket read-only in place, a higher one opens it again", async () => {
    const id = bench.member("dee", "collaborator");
    const dee = await bench.connect("dee");
    bench.member("dee", "viewer");
    await bench.changed({
      kind: "membership",
      subject: id,
      projectId: bench.projectId,
      reason: "role_changed",
    });
    dee.send({ type: "chat_message", payload: {}, id: "late" });
    expect(await dee.next((m) => m.type === "access.changed")).toMatchObject({ role: "viewer" });
    expect(await dee.next((m) => m.type === "nack")).toMatchObject({ id: "late", code: "forbidden" });
    bench.member("dee", "owner");
    await bench.changed({
      kind: "membership",
      subject: id,
      projectId: bench.projectId,
      reason: "role_changed",
    });
    dee.send({ type: "chat_message", payload: {}, id: "again" });
    await dee.next((m) => m.type === "ack" && m.id === "again");
    dee.terminate();
  });

  it("[RT41] removal 4403, ended session and user 4401, deleted project 4404", async () => {
    const codes: [string, (id: string) => Parameters<typeof bench.changed>[0], number][] = [
      [
        "eve",
        (id) => ({ kind: "membership", subject: id, projectId: bench.projectId, reason: "removed" }),
        4403,
      ],
      ["fay", (id) => ({ kind: "user", subject: id, projectId: null, reason: "disabled" }), 4401],
      [
        "gus",
        () => ({
          kind: "session",
          subject: bench.member("session of gus", "viewer"),
          projectId: null,
          reason: "logout",
        }),
        4401,
      ],
    ];
    for (const [user, change, code] of codes) {
      const id = bench.member(user, "viewer");
      const client = await bench.connect(user);
      bench.member(user, undefined);
      await bench.changed(change(id));
      expect((await client.closed()).code).toBe(code);
    }
  });

  it("[RT42] what was sent before a demotion and not yet taken up is judged by the new role", async () => {
    const id = bench.member("hal", "collaborator");
    const [hal, bob] = await Promise.all([bench.connect("hal"), bench.connect("bob")]);
    bench.member("hal", "viewer");
    const applied = bench.changed({
      kind: "membership",
      subject: id,
      projectId: bench.projectId,
      reason: "role_changed",
    });
    for (let i = 0; i < 20; i++) hal.send({ type: "chat_message", payload: { i }, id: `x${i}` });
    await applied;
    hal.send({ type: "ping", id: "end" });
    await hal.next((m) => m.type === "pong");
    expect(hal.messages.filter((m) => m.type === "ack")).toEqual([]);
    expect(bob.messages.filter((m) => m.type === "chat_message")).toEqual([]);
    hal.terminate();
    bob.terminate();
  });

  it("[RT43] without a recent look at the access log nothing is accepted", async () => {
    const ada = await bench.connect("ada");
    bench.fresh = false;
    ada.send({ type: "chat_message", payload: {}, id: "stale" });
    expect(await ada.next((m) => m.type === "nack")).toMatchObject({
      code: "dependency_unavailable",
      retryAfterMs: expect.any(Number),
    });
    bench.fresh = true;
    ada.send({ type: "chat_message", payload: {}, id: "fresh" });
    await ada.next((m) => m.type === "ack");
    ada.terminate();
  });

  it("[RT44] a fresh token of the same session goes on, one of another user closes 4401", async () => {
    const ada = await bench.connect("ada");
    ada.send({ type: "auth.refresh", token: "ada", id: "r" });
    expect(await ada.next((m) => m.type === "auth.refreshed")).toMatchObject({ id: "r" });
    ada.send({ type: "auth.refresh", token: "bob" });
    expect((await ada.closed()).code).toBe(4401);
  });
});

describe("resume", () => {
  it("[RT10] gives everything missed in order, then goes on live", async () => {
    const [ada, bob] = await Promise.all([bench.connect("ada"), bench.connect("bob")]);
    ada.send({ type: "chat_message", payload: { i: -1 }, id: `${Math.random()}` });
    const seen = await bob.next((m) => m.type === "chat_message");
    bob.terminate();
    for (let i = 0; i < 30; i++) ada.send({ type: "chat_message", payload: { i } });
    const last = await ada.next((m) => m.type === "ack" && Number(m.seq) >= Number(seen.seq) + 30);
    const back = await bench.connect("bob", { epoch: String(seen.epoch), since: String(seen.seq) });
    await back.next((m) => m.type === "resumed");
    ada.send({ type: "chat_message", payload: { i: 30 } });
    await back.next((m) => m.type === "chat_message" && (m.payload as { i: number }).i === 30);
    const seqs = back.messages
      .filter((m) => m.seq !== undefined && m.type !== "connected" && m.type !== "resumed")
      .map((m) => Number(m.seq));
    expect(seqs).toEqual(Array.from({ length: seqs.length }, (_, i) => Number(seen.seq) + 1 + i));
    expect(seqs.length).toBeGreaterThanOrEqual(Number(last.seq) - Number(seen.seq) + 1);
    ada.terminate();
    back.terminate();
  });

  it("[RT11] another epoch is answered with resync, and live events go on", async () => {
    const [ada, bob] = await Promise.all([
      bench.connect("ada"),
      bench.connect("bob", { epoch: "elsewhere", since: "5" }),
    ]);
    expect(await bob.next((m) => m.type === "resync")).toMatchObject({ reason: "epoch" });
    ada.send({ type: "chat_message", payload: {} });
    await bob.next((m) => m.type === "chat_message");
    ada.terminate();
    bob.terminate();
  });
});
