import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import { v7 } from "uuid";
import * as Y from "yjs";
import type { Batch } from "../../src/documents/fan-out.js";
import { createLogRepository } from "../../src/documents/log-repository.js";
import type { Room, RoomClient } from "../../src/documents/room.js";
import { createRooms, type Rooms } from "../../src/documents/rooms.js";
import { readClientMessage } from "../../src/documents/sync-protocol.js";
import { createUpdateLog } from "../../src/documents/update-log.js";
import { systemClock } from "../../src/platform/clock.js";
import { createNullLogger } from "../../src/platform/observability/logger.js";
import { createMemoryPubSub } from "../../src/platform/pubsub/memory.js";
import { type DocumentBench, startDocumentBench } from "../kit/document-bench.js";
import { until } from "../kit/editors.js";

let bench: DocumentBench;
const nodes: Rooms[] = [];
beforeAll(async () => {
  bench = await startDocumentBench();
});
afterAll(async () => {
  for (const rooms of nodes) await rooms.close();
  await bench.stop();
});

const database = () => bench.node.app.stores.database;
const counts = async (id: string) => {
  const { rows } = await sql<{ updates: number; snapshots: number }>`
    select (select count(*)::int from document_updates where document_id = ${id}) as updates,
      (select count(*)::int from document_snapshots where document_id = ${id}) as snapshots`.execute(
    database().tables(),
  );
  return rows[0];
};

/** Rooms as another process would have them: nothing in common but the database. */
function startRooms(lingerMs: number): Rooms {
  const repository = createLogRepository();
  const logger = createNullLogger();
  const log = createUpdateLog({ database: database(), repository, clock: systemClock, logger });
  const rooms = createRooms({
    database: database(),
    repository,
    log,
    pubsub: createMemoryPubSub({ onError: () => undefined }),
    nodeId: v7(),
    clock: systemClock,
    logger,
    observer: { delivered() {}, acked() {}, gapRepaired() {}, edited() {} },
    lingerMs,
  });
  nodes.push(rooms);
  return rooms;
}

/** A client without a socket, with a document of its own. */
class Typist implements RoomClient {
  readonly userId = bench.ada.id;
  readonly name = "Ada";
  readonly mayWrite = true;
  readonly doc = new Y.Doc();
  kepts = 0;
  constructor(private readonly room: Room) {
    this.doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== this) room.receive(this, { kind: "update", update });
    });
    room.join(this);
    room.receive(this, { kind: "step1", stateVector: Y.encodeStateVector(this.doc) });
  }
  get text() {
    return this.doc.getText("content").toJSON();
  }
  type(text: string) {
    this.doc.getText("content").insert(this.doc.getText("content").length, text);
  }
  deliver(batch: Batch) {
    for (const bytes of batch.messages) {
      const message = readClientMessage(bytes);
      if ("update" in message) Y.applyUpdate(this.doc, message.update, this);
    }
  }
  kept() {
    this.kepts += 1;
  }
  refused() {}
  end() {}
  leave(rooms: Rooms) {
    this.room.leave(this);
    rooms.release(this.room);
  }
}

async function documentOf(path: string): Promise<string> {
  await bench.put(path, "");
  const { rows } = await sql<{ id: string }>`select id from files where path = ${path}`.execute(
    database().tables(),
  );
  return rows[0]?.id ?? "";
}

describe("compaction", () => {
  it("[DOC70] a document nobody has open becomes one snapshot, and opens as it was", async () => {
    const id = await documentOf("compact.md");
    const rooms = startRooms(30);
    const typist = new Typist(await rooms.open(id));
    for (let i = 0; i < 150; i++) typist.type(`${i} `);
    await until(() => typist.kepts === 150, "all kept");
    expect(await counts(id)).toEqual({ updates: 150, snapshots: 0 });
    typist.leave(rooms);
    await until(() => rooms.sizeOf(id) === undefined, "the room is closed");
    expect(await counts(id)).toEqual({ updates: 0, snapshots: 1 });
    const again = new Typist(await rooms.open(id));
    expect(again.text).toBe(typist.text);
    again.type("more");
    await until(() => again.kepts === 1, "kept");
    expect(await counts(id)).toEqual({ updates: 1, snapshots: 1 });
    expect(await bench.read("compact.md")).toBe(`${typist.text}more`);
  });

  it("[DOC71] a node that fell behind what was compacted gets it all the same, also when nothing is left of the log", async () => {
    const id = await documentOf("behind.md");
    const [fast, slow] = [startRooms(30), startRooms(60_000)];
    const reader = new Typist(await slow.open(id));
    for (let round = 0; round < 2; round++) {
      const typist = new Typist(await fast.open(id));
      for (let i = 0; i < 120; i++) typist.type(`${round}.${i} `);
      await until(() => typist.kepts === 120, "all kept");
      typist.leave(fast);
      await until(() => fast.sizeOf(id) === undefined, "the room is closed");
      expect((await counts(id))?.updates).toBe(0);
      await until(() => reader.text === typist.text, "the reader has it", 10_000);
    }
    reader.type("and on");
    await until(() => reader.kepts === 1, "kept");
    const typist = new Typist(await fast.open(id));
    expect(typist.text).toBe(reader.text);
  });

  it("[DOC72] an older snapshot never replaces a newer one, nor one of a document that is not there", async () => {
    const id = await documentOf("late.md");
    const rooms = startRooms(60_000);
    const typist = new Typist(await rooms.open(id));
    for (let i = 0; i < 10; i++) typist.type("x");
    await until(() => typist.kepts === 10, "all kept");
    const repository = createLogRepository();
    const compact = (documentId: string, seq: number) =>
      database().transaction((tx) =>
        repository.compact(tx, documentId, seq, Y.encodeStateAsUpdate(typist.doc), new Date()),
      );
    expect(await compact(id, 8)).toBe(true);
    expect(await compact(id, 5)).toBe(false);
    expect(await compact(id, 11)).toBe(false);
    expect(await compact(v7(), 1)).toBe(false);
    expect(await counts(id)).toEqual({ updates: 2, snapshots: 1 });
    expect((await startRooms(60_000).open(id)).text).toBe("xxxxxxxxxx");
  });
});
