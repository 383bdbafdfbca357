import { v7 } from "uuid";
import type { Clock } from "../platform/clock.js";
import type { Appended, EventLog } from "../platform/event-log/event-log.js";
import type { Logger } from "../platform/observability/logger.js";
import type { PubSub, Unsubscribe } from "../platform/pubsub/pubsub.js";
import { type EventBody, eventText } from "./event-text.js";
import type { Peer } from "./peer.js";
import { Room, type RoomBounds, type RoomObserver } from "./room.js";
import { watchStore } from "./store-health.js";

/** The rooms of this node. */
export interface Hub {
  /** The project's room, opened when it is not yet; hold it with `join` in the same turn. */
  room(projectId: string): Promise<Room>;
  /** A room that is open on this node. */
  opened(projectId: string): Room | undefined;
  rooms(): Iterable<Room>;
  /** Appends one history event to the project's stream; every node's room gets it from there. */
  publish(body: EventBody, key: string): Promise<Appended>;
  /**
   * Sends an event without a seq to the project's clients on every node. Of several with the same `key` that wait to leave,
   * the latest wins; without one the key is the session and the type.
   */
  publishEphemeral(body: Omit<EventBody, "id">, key?: string): void;
  /** Closes the room when nobody is left, after a while. */
  release(room: Room): void;
  peers(): Iterable<Peer>;
  /** Sends a control message to every client of this node. */
  broadcast(text: string): void;
  /** Name of the store of events while it is away: said to clients when it goes, when it is back, and when they come meanwhile. */
  readonly degraded: string | undefined;
  close(): Promise<void>;
}

/** A room without clients stays this long: reconnects find it warm. */
const LINGER_MS = 30_000;
/** Rooms compare themselves with the log this often: the last message of a burst may be the one that was lost. */
const CATCH_UP_MS = 2_000;
/** Ephemeral events go to other nodes at most this often per session and type. */
const REMOTE_EPHEMERAL_MS = 50;

/** Rooms over the event log and pub/sub. */
export function createHub(deps: {
  log: EventLog;
  pubsub: PubSub;
  nodeId: string;
  clock: Clock;
  bounds: RoomBounds;
  observer: RoomObserver;
  logger: Logger;
}): Hub {
  const { pubsub, nodeId } = deps;
  const store = watchStore(deps.log, (type, dependency) => broadcast(JSON.stringify({ type, dependency })));
  const { log } = store;
  const open = new Map<string, Promise<Room>>();
  const ready = new Map<
    string,
    { room: Room; unsubscribe: Unsubscribe; linger: NodeJS.Timeout | undefined }
  >();
  const outgoing = new Map<string, Map<string, string>>();
  let outgoingTimer: NodeJS.Timeout | undefined;
  const channel = (projectId: string) => `ephemeral:{${projectId}}`;
  const timer = setInterval(() => {
    for (const { room } of ready.values()) if (room.peers.size > 0) void room.catchUp();
  }, CATCH_UP_MS);
  timer.unref();
  pubsub.onReconnect(() => {
    for (const { room } of ready.values()) void room.catchUp();
  });

  async function start(projectId: string): Promise<Room> {
    const room = await Room.open(projectId, { log, pubsub }, deps.bounds, deps.observer);
    let unsubscribe: Unsubscribe;
    try {
      unsubscribe = await pubsub.subscribe(channel(projectId), (message) => receiveEphemeral(room, message));
    } catch (error) {
      await room.close();
      throw error;
    }
    const entry = { room, unsubscribe, linger: undefined };
    ready.set(projectId, entry);
    release(room);
    return room;
  }

  /** `<node>`, then `<connection> <key>` and the text of each event, a line each. */
  function receiveEphemeral(room: Room, message: Buffer): void {
    const lines = message.toString("utf8").split("\n");
    if (lines[0] === nodeId) return;
    for (let i = 1; i + 1 < lines.length; i += 2) {
      const key = lines[i] ?? "";
      room.ephemeral(key, key.slice(0, key.indexOf(" ")), lines[i + 1] ?? "");
    }
  }

  function sendOutgoing(): void {
    outgoingTimer = undefined;
    for (const [projectId, events] of outgoing) {
      const lines = [nodeId, ...[...events].flat()];
      pubsub.publish(channel(projectId), lines.join("\n")).catch(() => {
        // Latest wins: the next one takes its place.
      });
    }
    outgoing.clear();
  }

  function broadcast(text: string): void {
    for (const { room } of ready.values()) room.broadcast(text);
  }

  function release(room: Room): void {
    const entry = ready.get(room.projectId);
    if (!entry || room.peers.size > 0) return;
    clearTimeout(entry.linger);
    entry.linger = setTimeout(() => {
      if (room.peers.size > 0) return;
      ready.delete(room.projectId);
      open.delete(room.projectId);
      void room.close();
      void entry.unsubscribe().catch(() => undefined);
    }, LINGER_MS);
    entry.linger.unref();
  }

  return {
    room(projectId) {
      const known = open.get(projectId);
      if (known) return known;
      const opening = start(projectId);
      open.set(projectId, opening);
      opening.catch(() => open.delete(projectId));
      return opening;
    },
    opened: (projectId) => ready.get(projectId)?.room,
    *rooms() {
      for (const { room } of ready.values()) yield room;
    },
    publish: (body, key) => log.append(body.projectId, key, eventText(body)),
    publishEphemeral(body, name) {
      const { id: _none, ...event } = { ...body, id: undefined };
      const text = JSON.stringify(event);
      const key = `${body.sessionId ?? "-"} ${name ?? body.type}`;
      ready.get(body.projectId)?.room.ephemeral(key, body.sessionId ?? "", text);
      const events = outgoing.get(body.projectId) ?? new Map<string, string>();
      events.set(key, text);
      outgoing.set(body.projectId, events);
      outgoingTimer ??= setTimeout(sendOutgoing, REMOTE_EPHEMERAL_MS);
    },
    release,
    *peers() {
      for (const { room } of ready.values()) yield* room.peers.values();
    },
    broadcast,
    get degraded() {
      return store.away;
    },
    async close() {
      clearInterval(timer);
      clearTimeout(outgoingTimer);
      await Promise.allSettled(
        [...ready.values()].map(async ({ room, unsubscribe, linger }) => {
          clearTimeout(linger);
          await room.close();
          await unsubscribe();
        }),
      );
      ready.clear();
      open.clear();
    },
  };
}

/** An event of the server itself. */
export function serverEvent(
  clock: Clock,
  event: {
    readonly type: string;
    readonly projectId: string;
    readonly userId: string | null;
    readonly payload: unknown;
  },
): EventBody {
  return { ...event, sessionId: null, timestamp: new Date(clock.now()).toISOString(), id: v7() };
}
