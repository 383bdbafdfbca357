import { v7 } from "uuid";
import * as Y from "yjs";
import type { Batch } from "../../src/documents/fan-out.js";
import { createLogRepository, type LogRepository } from "../../src/documents/log-repository.js";
import type { Room, RoomClient } from "../../src/documents/room.js";
import { createRooms, type Rooms } from "../../src/documents/rooms.js";
import { readClientMessage } from "../../src/documents/sync-protocol.js";
import { createUpdateLog } from "../../src/documents/update-log.js";
import { systemClock } from "../../src/platform/clock.js";
import { createNullLogger } from "../../src/platform/observability/logger.js";
import { createMemoryPubSub } from "../../src/platform/pubsub/memory.js";
import type { DocumentBench } from "./document-bench.js";

/** Rooms as another process would have them: nothing in common but the database. */
export function startRooms(
  { database: { database } }: DocumentBench,
  lingerMs: number,
  repository: LogRepository = createLogRepository(),
): Rooms {
  const logger = createNullLogger();
  return createRooms({
    database,
    repository,
    log: createUpdateLog({ database, repository, clock: systemClock, logger }),
    pubsub: createMemoryPubSub({ onError: () => undefined }),
    nodeId: v7(),
    logger,
    observer: { delivered() {}, acked() {}, gapRepaired() {}, edited() {}, logged() {} },
    lingerMs,
  });
}

/** A client without a socket, with a document of its own. */
export class Typist implements RoomClient {
  readonly name = "Ada";
  readonly mayWrite = true;
  readonly doc = new Y.Doc();
  kepts = 0;
  constructor(
    private readonly room: Room,
    readonly userId: string,
  ) {
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
