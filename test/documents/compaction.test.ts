import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import { v7 } from "uuid";
import type { CompactionTimes } from "../../src/documents/compaction.js";
import { createDocumentThread } from "../../src/documents/document-thread.js";
import { createLogRepository } from "../../src/documents/log-repository.js";
import { type Compactor, readDocument, rowsOf, startCompactor, writeEdits } from "../kit/compactor.js";
import { type DocumentBench, startDocumentBench } from "../kit/document-bench.js";
import { until } from "../kit/editors.js";
import { startRooms, Typist } from "../kit/typist.js";

let bench: DocumentBench;
const compactors: Compactor[] = [];
beforeAll(async () => {
  bench = await startDocumentBench();
});
afterAll(async () => {
  for (const each of compactors) await each.close();
  await bench.stop();
});

const database = () => bench.database.database;
const rows = (id: string) => rowsOf(database(), id);
const write = (id: string, count: number, edit?: (i: number) => string) =>
  writeEdits(database(), id, bench.ada.id, count, edit);
const text = async (id: string) => (await readDocument(database(), id)).getText("content").toJSON();

function compactor(options: Parameters<typeof startCompactor>[1] = {}): Compactor {
  const started = startCompactor(database(), options);
  compactors.push(started);
  return started;
}

/** One that stops between reading and writing until it is let on. */
function paused(times: Partial<CompactionTimes> = {}) {
  let goOn: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let arrived: () => void = () => undefined;
  const merged = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const { compaction, outcomes } = compactor({
    times,
    async beforeWriting() {
      arrived();
      await gate;
    },
  });
  return { compaction, outcomes, merged, goOn };
}

async function documentOf(path: string): Promise<string> {
  await bench.put(path, "");
  const found = await sql<{ id: string }>`select id from files where path = ${path}`.execute(
    database().tables(),
  );
  return found.rows[0]?.id ?? "";
}

describe("compaction", () => {
  it("[DOC70] the log of a document that rests becomes one snapshot, and the document opens as it was", async () => {
    const id = await documentOf("rest.md");
    const written = await write(id, 150);
    const busy = compactor({ times: { rest: 60_000 } });
    await busy.compaction.sweep();
    expect((await rows(id)).updates).toBe(150);
    await compactor().compaction.sweep();
    expect(await rows(id)).toMatchObject({ updates: 0, snapshots: 1 });
    expect(await bench.read("rest.md")).toBe(written);
    const more = await write(id, 1);
    await compactor().compaction.sweep();
    expect(await rows(id)).toMatchObject({ updates: 0, snapshots: 1 });
    expect(await text(id)).toBe(more);
  });

  it("[DOC70] a document that is edited is compacted when its log has 500 updates or 1 MB", async () => {
    const [few, many, long] = [
      await documentOf("few.md"),
      await documentOf("many.md"),
      await documentOf("long.md"),
    ];
    await write(few, 499);
    await write(many, 500);
    await write(long, 2, () => "x".repeat(500_000));
    await compactor({ times: { rest: 60_000 } }).compaction.sweep();
    expect((await rows(few)).updates).toBe(499);
    expect(await rows(many)).toMatchObject({ updates: 0, snapshots: 1, versions: 0 });
    expect(await rows(long)).toMatchObject({ updates: 0, snapshots: 1, versions: 0 });
    expect(await text(many)).toBe(await bench.read("many.md"));
  });

  it("[DOC70] a node compacts what its editors write, without a sweep", async () => {
    const id = await documentOf("typed.md");
    const editor = bench.edit("y-websocket 3", "typed.md");
    await editor.synced();
    for (let i = 0; i < 600; i++) editor.text.insert(editor.text.length, `${i} `);
    const head = async () => (await createLogRepository().heads(database(), [id])).get(id);
    await until(() => bench.node.app.features.documents.log.waiting === 0, "everything is kept");
    for (;;) {
      const at = await head();
      if (at && at.head >= 600 && at.tail === 0) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(await text(id)).toBe(editor.text.toJSON());
    editor.close();
  });

  it("[DOC71] a node that fell behind what was compacted gets it all the same, also when nothing is left of the log", async () => {
    const id = await documentOf("behind.md");
    const [fast, slow] = [startRooms(bench, 30), startRooms(bench, 60_000)];
    const reader = new Typist(await slow.open(id), bench.ada.id);
    for (let round = 0; round < 2; round++) {
      const typist = new Typist(await fast.open(id), bench.ada.id);
      for (let i = 0; i < 120; i++) typist.type(`${round}.${i} `);
      await until(() => typist.kepts === 120, "all kept");
      typist.leave(fast);
      await compactor().compaction.compact(id);
      expect((await rows(id)).updates).toBe(0);
      await until(() => reader.text === typist.text, "the reader has it", 10_000);
      await until(() => fast.sizeOf(id) === undefined, "the room is closed");
    }
    reader.type("and on");
    await until(() => reader.kepts === 1, "kept");
    expect(new Typist(await fast.open(id), bench.ada.id).text).toBe(reader.text);
    await fast.close();
    await slow.close();
  });

  it("[DOC72] of many compactors at once one compacts, and the others find it busy", async () => {
    const id = await documentOf("many-nodes.md");
    const written = await write(id, 300);
    const nodes = Array.from({ length: 5 }, () => compactor({ times: { pause: 10_000 } }));
    const outcomes = await Promise.all(nodes.map(({ compaction }) => compaction.compact(id)));
    expect([...outcomes].sort()).toEqual(["busy", "busy", "busy", "busy", "done"]);
    expect(await rows(id)).toMatchObject({ updates: 0, snapshots: 1 });
    expect(await text(id)).toBe(written);
  });

  it("[DOC73] a compactor that wakes after its lease was taken over changes nothing", async () => {
    const id = await documentOf("late.md");
    await write(id, 100);
    const late = paused({ lease: 1 });
    const outcome = late.compaction.compact(id);
    await late.merged;
    await write(id, 20);
    await compactor().compaction.compact(id);
    const written = await write(id, 5);
    const before = await sql`
      select documents.*, fence, owner, upto_seq, state from documents
      join document_leases on document_leases.document_id = id
      join document_snapshots on document_snapshots.document_id = id where id = ${id}`.execute(
      database().tables(),
    );
    late.goOn();
    expect(await outcome).toBe("stale");
    const after = await sql`
      select documents.*, fence, owner, upto_seq, state from documents
      join document_leases on document_leases.document_id = id
      join document_snapshots on document_snapshots.document_id = id where id = ${id}`.execute(
      database().tables(),
    );
    expect(after.rows).toEqual(before.rows);
    expect(await rows(id)).toMatchObject({ updates: 5, snapshots: 1 });
    expect(await text(id)).toBe(written);
  });

  it("[DOC73] nor one whose lease another holds and has not used yet", async () => {
    const id = await documentOf("later.md");
    const written = await write(id, 100);
    const [late, next] = [paused({ lease: 1 }), paused()];
    const outcomes = [late.compaction.compact(id)];
    await late.merged;
    outcomes.push(next.compaction.compact(id));
    await next.merged;
    late.goOn();
    expect(await outcomes[0]).toBe("stale");
    expect(await rows(id)).toMatchObject({ updates: 100, snapshots: 0 });
    next.goOn();
    expect(await outcomes[1]).toBe("done");
    expect(await rows(id)).toMatchObject({ updates: 0, snapshots: 1 });
    expect(await text(id)).toBe(written);
  });

  it("[DOC74] what is written while a document is compacted stays in the log", async () => {
    const id = await documentOf("meanwhile.md");
    await write(id, 100);
    const slow = paused();
    const outcome = slow.compaction.compact(id);
    await slow.merged;
    const written = await write(id, 7);
    slow.goOn();
    expect(await outcome).toBe("done");
    expect(await rows(id)).toMatchObject({ updates: 7, snapshots: 1 });
    expect(await text(id)).toBe(written);
    await compactor().compaction.sweep();
    expect(await rows(id)).toMatchObject({ updates: 0, snapshots: 1 });
    expect(await text(id)).toBe(written);
  });

  it.each(["merged", "writing"])(
    "[DOC75] kill -9 of a compactor that has %s loses nothing, and another one takes over",
    async (where) => {
      const id = await documentOf(`killed-${where}.md`);
      await write(id, 200);
      await compactor().compaction.compact(id);
      const written = await write(id, 100);
      const kit = (name: string) => fileURLToPath(new URL(`../kit/${name}`, import.meta.url));
      const child = fork(kit("killed-compactor.ts"), [JSON.stringify(bench.database.connection), id, where], {
        execArgv: ["--import", kit("typescript-loader.mjs")],
        env: { PATH: process.env["PATH"] ?? "" },
      });
      await once(child, "message");
      child.kill("SIGKILL");
      await once(child, "exit");
      expect(await rows(id)).toMatchObject({ updates: 100, snapshots: 1 });
      expect(await text(id)).toBe(written);
      const next = compactor();
      expect(await next.compaction.compact(id)).toBe("busy");
      while ((await next.compaction.compact(id)) === "busy")
        await new Promise((resolve) => setTimeout(resolve, 50));
      expect(await rows(id)).toMatchObject({ updates: 0, snapshots: 1 });
      expect(await text(id)).toBe(written);
    },
  );

  it("[DOC76] the event loop goes on while a long document is merged", async () => {
    const id = await documentOf("large.md");
    const written = await write(id, 5_000);
    let turns = 0;
    let merging = true;
    const spin = () => {
      turns += 1;
      if (merging) setTimeout(spin, 1);
    };
    const log = createLogRepository();
    const stored = await log.load(database(), id);
    const updates = stored?.updates.map(({ update }) => update) ?? [];
    const thread = createDocumentThread();
    // Started before it is measured.
    await thread.merge([], 10);
    spin();
    const { text: bytes } = await thread.merge(Array(40).fill(updates).flat(), 1_000_000);
    merging = false;
    expect(turns).toBeGreaterThan(10);
    expect(Buffer.from(bytes ?? []).toString()).toBe(written);
    await thread.close();
    await expect(thread.merge([], 10)).rejects.toThrow("closed");
  });

  it("[DOC77] a document that cannot be merged stays as it is, and the others are compacted", async () => {
    const [bad, good] = [await documentOf("bad.md"), await documentOf("good.md")];
    await createLogRepository().appendAll(
      database(),
      [{ documentId: bad, update: Buffer.from([1, 2, 3, 255]), userId: bench.ada.id }],
      new Date(Date.now() - 60_000),
    );
    await write(good, 10);
    const { compaction, outcomes } = compactor({ times: { failurePause: 60_000 } });
    await compaction.sweep();
    expect(outcomes).toContain("failed");
    expect(await rows(bad)).toMatchObject({ updates: 1, snapshots: 0 });
    expect(await rows(good)).toMatchObject({ updates: 0, snapshots: 1 });
    const count = outcomes.length;
    await compaction.sweep();
    expect(outcomes.length).toBe(count);
    await bench.node.api.request("DELETE", bench.file("bad.md"), { token: bench.ada.token });
  });

  it("[DOC77] work in the thread that takes too long is given up, alone: what comes next is tried in a new one", async () => {
    const thread = createDocumentThread({ limitMs: 1 });
    const outcomes = await Promise.allSettled([thread.diff("a", "b", 10), thread.merge([], 10)]);
    expect(outcomes.map((each) => each.status === "rejected" && String(each.reason))).toEqual([
      "Error: the thread took too long",
      "Error: the thread took too long",
    ]);
    await thread.close();
  });

  it("[DOC78] a document that was deleted meanwhile is gone, and so is everything about it", async () => {
    const id = await documentOf("deleted.md");
    await write(id, 50);
    const slow = paused();
    const outcome = slow.compaction.compact(id);
    await slow.merged;
    await bench.node.api.request("DELETE", bench.file("deleted.md"), { token: bench.ada.token });
    slow.goOn();
    expect(["gone", "stale"]).toContain(await outcome);
    expect(await rows(id)).toEqual({ updates: 0, snapshots: 0, versions: 0 });
    expect(await compactor().compaction.compact(v7())).toBe("busy");
  });
});
