import v8 from "node:v8";
import vm from "node:vm";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import * as encoding from "lib0/encoding";
import { createLogRepository, type LogRepository } from "../../src/documents/log-repository.js";
import type { Rooms } from "../../src/documents/rooms.js";
import { type DocumentBench, startDocumentBench } from "../kit/document-bench.js";
import { until } from "../kit/editors.js";
import { startRooms, Typist } from "../kit/typist.js";
import { openRawSocket } from "../kit/yjs-socket.js";

v8.setFlagsFromString("--expose-gc");
const collectGarbage = vm.runInNewContext("gc") as () => void;

let bench: DocumentBench;
beforeAll(async () => {
  bench = await startDocumentBench();
});
afterAll(() => bench.stop());
afterEach(() => bench.closeEditors());

/** Empty documents, made without the API. */
async function makeDocuments(folder: string, count: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    with made as (
      insert into files (id, workspace_id, path, path_key, kind, created_at, updated_at, updated_by)
      select gen_random_uuid(), ${bench.workspaceId}, ${folder} || '/' || n, ${folder} || '/' || n, 'text', now(), now(),
        ${bench.ada.id}
      from generate_series(1, ${count}::int) n
      returning id
    )
    insert into documents (id, updated_at) select id, now() from made returning id`.execute(
    bench.database.database.tables(),
  );
  return rows.map(({ id }) => id);
}

/** Somebody opens it, writes 20 kB, and goes once they are kept. */
async function visit(rooms: Rooms, documentId: string): Promise<void> {
  const typist = new Typist(await rooms.open(documentId), bench.ada.id);
  typist.type("x".repeat(20_000));
  await until(() => typist.kepts === 1, "kept");
  typist.leave(rooms);
  typist.doc.destroy();
}

async function visitAll(rooms: Rooms, documentIds: readonly string[]): Promise<void> {
  const left = [...documentIds];
  const visitor = async () => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) await visit(rooms, id);
  };
  await Promise.all(Array.from({ length: 20 }, visitor));
}

function heapUsed(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed: used, external, arrayBuffers } = process.memoryUsage();
  return used + external + arrayBuffers;
}

describe("closed documents", () => {
  it("[DOC80] cost no memory: a thousand were opened and closed, and nothing is left of them", async () => {
    const rooms = startRooms(bench, 20);
    const warm = await makeDocuments("warm", 300);
    const ids = await makeDocuments("closed", 1_000);
    await visitAll(rooms, warm);
    await until(() => rooms.count === 0, "the rooms are closed");
    const before = heapUsed();
    await visitAll(rooms, ids);
    await until(() => rooms.count === 0, "the rooms are closed");
    // A thousand that stayed would be 20 MB of text alone.
    expect(heapUsed() - before).toBeLessThan(5_000_000);
    await rooms.close();
  });

  it("[DOC80] wait for who comes back, but no more than 200 of them", async () => {
    const rooms = startRooms(bench, 60_000);
    await visitAll(rooms, await makeDocuments("lingering", 500));
    expect(rooms.count).toBe(200);
    await rooms.close();
  });

  it("[DOC81] stay while an edit is on its way to the log, and go when it is there", async () => {
    const [id = ""] = await makeDocuments("slow", 1);
    let goOn: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const real = createLogRepository();
    const slow: LogRepository = {
      ...real,
      async appendAll(...args) {
        await gate;
        return real.appendAll(...args);
      },
    };
    const rooms = startRooms(bench, 5, slow);
    const typist = new Typist(await rooms.open(id), bench.ada.id);
    typist.type("on its way");
    typist.leave(rooms);
    // Many times as long as an idle room stays.
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(rooms.count).toBe(1);
    goOn();
    await until(() => rooms.count === 0, "the room is closed");
    expect((await real.load(bench.database.database, id))?.updates).toHaveLength(1);
    await rooms.close();
  });
});

describe("one client with very many documents", () => {
  it("[DOC82] that opens 10,000 on one socket gets a hundred, is denied the rest there, and nobody else notices", async () => {
    const { rooms } = bench.node.app.features.documents;
    const editor = bench.edit("y-websocket 3", "calm.md", bench.cy);
    await editor.synced();
    const socket = await openRawSocket(`${bench.node.wsUrl}/hocuspocus`);
    for (let i = 0; i < 10_000; i++) {
      socket.send(
        encoding.encode((encoder) => {
          encoding.writeVarString(encoder, `${bench.workspaceId}/flood/${i}.md`);
          encoding.writeVarUint(encoder, 2);
          encoding.writeVarUint(encoder, 0);
          encoding.writeVarString(encoder, bench.ada.token);
        }),
      );
    }
    const denied = () =>
      socket.frames.filter((frame) => frame.toString("latin1").includes("too many documents")).length;
    await until(() => denied() === 9_900, "9,900 are denied", 60_000);
    await until(() => rooms.count >= 101, "a hundred are open", 20_000);
    expect(rooms.count).toBe(101);
    const { rows } = await sql`select 1 from files where path like 'flood/%'`.execute(
      bench.database.database.tables(),
    );
    expect(rows).toHaveLength(100);
    editor.text.insert(0, "still here");
    const reader = bench.edit("hocuspocus 3", "calm.md");
    await reader.reads("still here");
    socket.terminate();
    const metrics = await (await fetch(`${bench.node.httpUrl}/metrics`)).text();
    expect(metrics).toMatch(/^atelier_documents_open 101$/m);
  });
});
