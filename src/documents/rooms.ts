import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { AppError } from "../errors.js";
import type { Database } from "../platform/database/database.js";
import type { Logger } from "../platform/observability/logger.js";
import type { PubSub, Unsubscribe } from "../platform/pubsub/pubsub.js";
import type { LogHead, LogRepository } from "./log-repository.js";
import { Room, type RoomEnd } from "./room.js";
import type { UpdateLog } from "./update-log.js";

/** The open documents of this node. */
export interface Rooms {
  /**
   * The room of a document, loaded when it is not open yet; join or hold it in the same turn. @throws AppError `not_found`,
   * or `dependency_unavailable`: never an empty room for a document that cannot be read.
   */
  open(documentId: string): Promise<Room>;
  /** Keeps the room open while `work` runs. */
  use<R>(documentId: string, work: (room: Room) => Promise<R>): Promise<R>;
  /** Lets the room go when nobody is in it, after a while. */
  release(room: Room): void;
  /** Closes the room without its clients: they come back to what is in the log. */
  discard(documentId: string): void;
  /** The document is gone, on every node. */
  gone(documentId: string): void;
  /** Reads what the log has and the room does not. */
  catchUp(room: Room): Promise<void>;
  /** False for a room that was closed. */
  isOpen(room: Room): boolean;
  /** Documents in memory. */
  readonly count: number;
  /** Bytes of a document's text; undefined when it is not open here. */
  sizeOf(documentId: string): number | undefined;
  /** Sends everybody away, waits for what is on its way to the log, and closes. */
  close(): Promise<void>;
}

/** What rooms report, for metrics and the record of who edited what. */
export interface RoomsObserver {
  delivered(count: number, bytes: number): void;
  acked(ms: number): void;
  gapRepaired(outcome: "filled" | "failed"): void;
  edited(documentId: string, userId: string): void;
  /** Every two seconds per open document: where its log stands. */
  logged(documentId: string, head: LogHead): void;
}

/** How long a room stays for somebody who comes back, and how many do: beyond, the one that waits for longest goes. */
const LINGER_MS = 30_000;
const MAX_LINGERING = 200;
/** How long a hole may be open before the log is read: usually its update is on the way. */
const HOLE_MS = 100;
/** Rooms compare themselves with the log this often: the last update before a silence may be the one that was lost. */
const COMPARE_MS = 2_000;
const READ_LIMIT = 1_000;
const UPDATE = 0;
const AWARENESS = 1;
const GONE = 2;
const REMOTE_AWARENESS_MS = 100;

interface Opened {
  readonly room: Room;
  unsubscribe: Unsubscribe | undefined;
  linger: NodeJS.Timeout | undefined;
  hole: NodeJS.Timeout | undefined;
  reading: Promise<void> | undefined;
  awareness: Uint8Array[];
  awarenessTimer: NodeJS.Timeout | undefined;
  /** What other nodes said while the log was being read; undefined afterwards. */
  early: Buffer[] | undefined;
}

/** Rooms over the log and pub/sub. */
export function createRooms(deps: {
  database: Database;
  repository: LogRepository;
  log: UpdateLog;
  pubsub: PubSub;
  nodeId: string;
  logger: Logger;
  observer: RoomsObserver;
  lingerMs?: number;
}): Rooms {
  const { database, repository, log, pubsub, nodeId, logger, observer, lingerMs = LINGER_MS } = deps;
  const loading = new Map<string, Promise<Room>>();
  const opened = new Map<string, Opened>();
  /** Rooms that nobody uses, in the order in which they will go. */
  const lingering = new Set<Opened>();
  let closed = false;
  let comparing = false;
  const channel = (documentId: string) => `doc:{${documentId}}`;

  async function load(documentId: string): Promise<Room> {
    const room = new Room(documentId, log, {
      committed: (seq, update) =>
        publish(documentId, UPDATE, (encoder) => {
          encoding.writeVarUint(encoder, seq);
          encoding.writeVarUint8Array(encoder, update);
        }),
      edited: (userId) => observer.edited(documentId, userId),
      awareness: (states) => sendAwareness(documentId, states),
      behind: () => watchHole(documentId),
      broken: () => discard(documentId, room),
      delivered: observer.delivered,
      acked: observer.acked,
    });
    const entry: Opened = {
      room,
      unsubscribe: undefined,
      linger: undefined,
      hole: undefined,
      reading: undefined,
      awareness: [],
      awarenessTimer: undefined,
      early: [],
    };
    // Subscribed before the log is read, so that nothing falls between.
    await subscribe(documentId, entry);
    try {
      const stored = await repository.load(database, documentId);
      if (!stored) throw new AppError("not_found");
      room.fill(stored);
    } catch (error) {
      void entry.unsubscribe?.();
      room.close();
      throw error;
    }
    if (closed) {
      void entry.unsubscribe?.();
      room.close();
      throw new AppError("shutting_down");
    }
    opened.set(documentId, entry);
    const early = entry.early ?? [];
    entry.early = undefined;
    for (const message of early) receive(entry, message);
    return room;
  }

  async function subscribe(documentId: string, entry: Opened): Promise<void> {
    try {
      entry.unsubscribe = await pubsub.subscribe(channel(documentId), (message) => {
        if (entry.early) entry.early.push(message);
        else if (opened.get(documentId) === entry) receive(entry, message);
      });
    } catch {
      // Other nodes cannot be heard: the comparison with the log stands in until they can.
    }
  }

  function publish(documentId: string, type: number, write: (encoder: encoding.Encoder) => void): void {
    const bytes = encoding.encode((encoder) => {
      encoding.writeVarUint(encoder, type);
      encoding.writeVarString(encoder, nodeId);
      write(encoder);
    });
    pubsub.publish(channel(documentId), Buffer.from(bytes)).catch(() => {
      // The other nodes find the update in the log.
    });
  }

  function receive({ room }: Opened, message: Buffer): void {
    try {
      const decoder = decoding.createDecoder(message);
      const type = decoding.readVarUint(decoder);
      if (decoding.readVarString(decoder) === nodeId) return;
      if (type === UPDATE) {
        const seq = decoding.readVarUint(decoder);
        room.receiveRemote({ seq, update: decoding.readVarUint8Array(decoder) });
      } else if (type === AWARENESS) room.receiveRemoteAwareness(decoding.readVarUint8Array(decoder));
      else if (type === GONE) drop(room.id, "gone");
    } catch (error) {
      logger.warn("a message of another node was not understood", { documentId: room.id, error });
    }
  }

  function sendAwareness(documentId: string, states: Uint8Array): void {
    const entry = opened.get(documentId);
    if (!entry) return;
    entry.awareness.push(states);
    entry.awarenessTimer ??= setTimeout(() => {
      entry.awarenessTimer = undefined;
      const batch = entry.awareness;
      entry.awareness = [];
      for (const each of batch)
        publish(documentId, AWARENESS, (encoder) => encoding.writeVarUint8Array(encoder, each));
    }, REMOTE_AWARENESS_MS);
  }

  function watchHole(documentId: string): void {
    const entry = opened.get(documentId);
    if (!entry) return;
    entry.hole ??= setTimeout(() => {
      entry.hole = undefined;
      if (!entry.room.hasHole) return;
      catchUp(entry).then(
        () => observer.gapRepaired("filled"),
        (error: unknown) => {
          observer.gapRepaired("failed");
          logger.debug("a hole could not be filled yet", { documentId, error });
        },
      );
    }, HOLE_MS);
  }

  function catchUp(entry: Opened): Promise<void> {
    entry.reading ??= readOn(entry).finally(() => {
      entry.reading = undefined;
    });
    return entry.reading;
  }

  async function readOn({ room }: Opened): Promise<void> {
    for (;;) {
      const from = room.applied;
      const updates = await repository.after(database, room.id, from, READ_LIMIT);
      const first = updates[0];
      if (!first && ((await repository.heads(database, [room.id])).get(room.id)?.head ?? 0) <= room.applied)
        return;
      // What is missing has been compacted.
      if (first?.seq !== from + 1) {
        const stored = await repository.load(database, room.id);
        if (stored) room.receiveState(stored);
        return;
      }
      for (const update of updates) room.receiveRemote(update);
      if (updates.length < READ_LIMIT) return;
    }
  }

  /** Compares every room with the log: finds lost messages and deleted documents. */
  async function compare(): Promise<void> {
    const entries = [...opened.values()];
    for (const { room } of entries) room.sweep();
    if (entries.length === 0) return;
    const heads = await repository.heads(
      database,
      entries.map(({ room }) => room.id),
    );
    for (const entry of entries) {
      const { room } = entry;
      if (opened.get(room.id) !== entry) continue;
      const known = heads.get(room.id);
      if (known === undefined) drop(room.id, "gone");
      else if (known.head > room.applied && room.settled) await catchUp(entry);
      if (!entry.unsubscribe) await subscribe(room.id, entry);
      if (known) observer.logged(room.id, known);
    }
  }

  function stay(entry: Opened): void {
    clearTimeout(entry.linger);
    entry.linger = undefined;
    lingering.delete(entry);
  }

  /** Lets the longest waiting room go; those that wait for the log have to stay. */
  function makeRoom(): void {
    let looked = 0;
    for (const entry of lingering) {
      if (entry.room.idle) {
        unload(entry);
        return;
      }
      looked += 1;
      if (looked > MAX_LINGERING) return;
    }
  }

  function unload(entry: Opened): void {
    const { room } = entry;
    stay(entry);
    // Somebody may not have got an answer from the log yet.
    if (room.idle) drop(room.id, "restart");
    else rooms.release(room);
  }

  function compareSoon(): void {
    if (comparing || closed) return;
    comparing = true;
    compare()
      .catch((error: unknown) => logger.debug("documents cannot be compared with the log now", { error }))
      .finally(() => {
        comparing = false;
      });
  }

  function drop(documentId: string, reason: RoomEnd): void {
    const entry = opened.get(documentId);
    if (!entry) return;
    opened.delete(documentId);
    loading.delete(documentId);
    stay(entry);
    clearTimeout(entry.hole);
    clearTimeout(entry.awarenessTimer);
    entry.room.end(reason);
    void entry.unsubscribe?.();
    void entry.room.allSettled().then(() => entry.room.close());
  }

  function discard(documentId: string, room?: Room): void {
    if (room && opened.get(documentId)?.room !== room) return;
    drop(documentId, "overloaded");
  }

  const timer = setInterval(compareSoon, COMPARE_MS);
  timer.unref();
  pubsub.onReconnect(compareSoon);

  const rooms: Rooms = {
    open(documentId) {
      if (closed) return Promise.reject(new AppError("shutting_down"));
      const entry = opened.get(documentId);
      if (entry) stay(entry);
      const known = loading.get(documentId);
      if (known) return known;
      // Without the log nothing new may be opened: what is written there could not be kept.
      if (log.stalled) return Promise.reject(new AppError("overloaded", { headers: { "Retry-After": "2" } }));
      const made = load(documentId);
      loading.set(documentId, made);
      made.catch(() => {
        if (loading.get(documentId) === made) loading.delete(documentId);
      });
      return made;
    },
    async use(documentId, work) {
      const room = await rooms.open(documentId);
      room.holds += 1;
      try {
        return await work(room);
      } finally {
        room.holds -= 1;
        rooms.release(room);
      }
    },
    release(room) {
      const entry = opened.get(room.id);
      if (!entry || entry.room !== room || entry.linger || room.clients.size > 0 || room.holds > 0) return;
      entry.linger = setTimeout(() => unload(entry), lingerMs);
      entry.linger.unref();
      lingering.add(entry);
      if (lingering.size > MAX_LINGERING) makeRoom();
    },
    discard,
    gone(documentId) {
      publish(documentId, GONE, () => undefined);
      drop(documentId, "gone");
    },
    async catchUp(room) {
      const entry = opened.get(room.id);
      if (entry?.room === room) await catchUp(entry);
    },
    get count() {
      return opened.size;
    },
    isOpen: (room) => opened.get(room.id)?.room === room,
    sizeOf(documentId) {
      const room = opened.get(documentId)?.room;
      return room && Buffer.byteLength(room.text);
    },
    async close() {
      closed = true;
      clearInterval(timer);
      await log.drained(5_000);
      for (const documentId of opened.keys()) drop(documentId, "restart");
    },
  };
  return rooms;
}
