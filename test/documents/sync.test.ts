import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import * as Y from "yjs";
import { syncStep1, updateMessage } from "../../src/documents/sync-protocol.js";
import { startTestNode } from "../kit/app.js";
import { type DocumentBench, startDocumentBench } from "../kit/document-bench.js";
import { PACKAGES, until } from "../kit/editors.js";
import { openRawSocket } from "../kit/yjs-socket.js";

let bench: DocumentBench;
beforeAll(async () => {
  bench = await startDocumentBench();
});
afterEach(() => bench.closeEditors());
afterAll(() => bench.stop());

const tables = () => bench.node.app.stores.database.tables();
const rows = async () => {
  const result = await sql<{ n: number }>`select count(*)::int as n from document_updates`.execute(tables());
  return result.rows[0]?.n ?? -1;
};
const target = (path: string) => `/yjs/${bench.workspaceId}/${path}?token=${bench.ada.token}`;

describe("sync", () => {
  it("[DOC63] a client that comes back with nothing new adds nothing to the log, one with offline edits adds them once", async () => {
    await bench.put("back.md", "text to delete from");
    for (const name of PACKAGES) {
      const first = bench.edit(name, "back.md");
      await first.synced();
      first.text.delete(0, 1);
      first.text.insert(0, "T");
      const mine = new Y.Doc();
      Y.applyUpdate(mine, Y.encodeStateAsUpdate(first.doc));
      await settled();
      const before = await rows();
      bench.closeEditors();
      const again = bench.edit(name, "back.md", bench.ada, bench.node, mine);
      await again.synced();
      await settled();
      expect([name, await rows()]).toEqual([name, before]);
      bench.closeEditors();
    }
    const offline = new Y.Doc();
    offline.getText("content").insert(0, "offline ");
    const editor = bench.edit("hocuspocus 4", "back.md", bench.ada, bench.node, offline);
    await editor.synced();
    await until(() => !editor.provider.hasUnsyncedChanges, "kept");
    expect(await bench.read("back.md")).toContain("offline ");
  });

  it("[DOC22] an edit whose predecessors have not arrived is acknowledged when they have, not before", async () => {
    await bench.put("gap.md", "");
    const author = new Y.Doc();
    const edits: Uint8Array[] = [];
    author.on("update", (update: Uint8Array) => edits.push(update));
    for (const word of ["one ", "two ", "three "]) author.getText("content").insert(0, word);
    author.getText("content").delete(0, 3);
    const [one, two, three, deletion] = edits as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const stranger = new Y.Doc();
    stranger.getText("content").insert(0, "other");
    const other = Y.encodeStateAsUpdate(stranger);

    const socket = await openRawSocket(`${bench.node.wsUrl}${target("gap.md")}`);
    const another = await openRawSocket(`${bench.node.wsUrl}${target("gap.md")}`);
    const answered = (update: Uint8Array, to = socket) =>
      to.frames.some((frame) => Buffer.compare(frame, updateMessage(update)) === 0);
    const before = await rows();
    for (const update of [two, deletion]) socket.send(updateMessage(update));
    await until(() => answered(two, another) && answered(deletion, another), "what the others see of it");
    another.send(updateMessage(other));
    await until(() => answered(other, another), "the echo of what stands on its own");
    expect([answered(two), answered(deletion), await rows()]).toEqual([false, false, before + 3]);
    socket.send(updateMessage(one));
    await until(() => answered(two), "the echo of the second");
    // In the order they came: what stands now waits for what came before it.
    expect([answered(deletion), answered(one)]).toEqual([false, false]);
    socket.send(updateMessage(three));
    await until(() => [deletion, one, three].every((each) => answered(each)), "the rest");
    expect(await bench.read("gap.md")).toContain("two one ");

    // What a client that went away left unfinished holds up nobody.
    const gone = await openRawSocket(`${bench.node.wsUrl}${target("gap.md")}`);
    const lonely = new Y.Doc();
    lonely.getText("content").insert(0, "never");
    const from = Y.encodeStateVector(lonely);
    lonely.getText("content").insert(0, "seen");
    gone.send(updateMessage(Y.encodeStateAsUpdate(lonely, from)));
    gone.terminate();
    const last = new Y.Doc();
    last.getText("content").insert(0, "last");
    socket.send(updateMessage(Y.encodeStateAsUpdate(last)));
    await until(() => answered(Y.encodeStateAsUpdate(last)), "the echo");
    for (const each of [socket, another]) each.terminate();
  });

  it("[DOC64] a document of 6 MB reaches those who join while others type, whole and in order", async () => {
    for (let i = 0; i < 2; i++) {
      const big = new Y.Doc();
      big.getText("content").insert(0, randomBytes(1_500_000).toString("hex"));
      const socket = await openRawSocket(`${bench.node.wsUrl}${target("big.md")}`);
      socket.send(updateMessage(Y.encodeStateAsUpdate(big)));
      await until(() => socket.frames.length > 1, "its echo", 15_000);
      socket.terminate();
    }
    const typist = bench.edit("y-websocket 2", "big.md");
    await typist.synced();
    const typing = setInterval(() => typist.text.insert(0, "x"), 2);
    const joiners = PACKAGES.map((name) => bench.edit(name, "big.md"));
    await Promise.all(joiners.map((joiner) => joiner.synced()));
    clearInterval(typing);
    await Promise.all(joiners.map((joiner) => joiner.reads((text) => text === typist.text.toJSON(), 15_000)));
    expect(typist.text.length).toBeGreaterThan(6_000_000);
  });

  it("[DOC65] a client that does not read is closed before it costs much, and the others go on", async () => {
    const [reader, writer] = [
      bench.edit("y-websocket 2", "slow.md", bench.cy),
      bench.edit("y-websocket 3", "slow.md"),
    ];
    await Promise.all([reader.synced(), writer.synced()]);
    const { hostname, port } = new URL(bench.node.wsUrl);
    const deaf = connect(Number(port), hostname);
    deaf.write(
      `GET ${target("slow.md")} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`,
    );
    await until(() => deaf.bytesRead > 0, "the upgrade");
    deaf.pause();
    let gone = false;
    deaf.on("error", () => undefined);
    deaf.on("close", () => {
      gone = true;
    });
    for (let i = 0; i < 40; i++) {
      writer.text.insert(0, randomBytes(200_000).toString("hex"));
      await reader.reads((text) => text.length === (i + 1) * 400_000, 10_000);
    }
    deaf.resume();
    await until(() => gone, "the deaf one is gone", 10_000);
    expect(deaf.bytesRead).toBeLessThan(16_000_000);
    expect(reader.provider.wsconnected).toBe(true);
  }, 60_000);

  it("[DOC66] a document that cannot be read is refused, never opened empty", async () => {
    await bench.put("broken.md", "precious");
    await sql`
      insert into document_updates (document_id, seq, update, user_id, created_at)
      select id, 2, '\\x0101ff', null, now() from files where path = 'broken.md'`.execute(tables());
    const other = await startTestNode({ database: bench.database });
    try {
      const refused = openRawSocket(`${other.wsUrl}${target("broken.md")}`);
      await expect(refused).rejects.toMatchObject({ status: 500 });
      expect((await other.api.get(bench.file("broken.md"), bench.ada.token)).status).toBe(500);
    } finally {
      await other.stop();
    }
  });

  it("[DOC67] a state vector flood is answered no faster than it is read", async () => {
    await bench.put("flood.md", "x".repeat(1_000_000));
    const socket = await openRawSocket(`${bench.node.wsUrl}${target("flood.md")}`);
    for (let i = 0; i < 40; i++) socket.send(syncStep1(Uint8Array.of(1, 5, 0)));
    await until(() => socket.frames.length >= 41, "all answers", 20_000);
    socket.terminate();
  });

  it("[DOC68] a node that stops keeps what it was sent and closes with 1012", async () => {
    const node = await startTestNode({ database: bench.database });
    const socket = await openRawSocket(`${node.wsUrl}${target("drain.md")}`);
    const doc = new Y.Doc();
    doc.getText("content").insert(0, "sent just before");
    socket.send(updateMessage(Y.encodeStateAsUpdate(doc)));
    await until(() => socket.frames.length > 1, "the echo");
    await Promise.all([node.stop(), socket.closed().then((code) => expect(code).toBe(1012))]);
    expect(await bench.read("drain.md")).toBe("sent just before");
  });
});

/** Waits until nothing is on its way to the log. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 60));
  await bench.node.app.features.documents.log.drained(5_000);
}
