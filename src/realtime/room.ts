import type { EventLog, StreamEntry, StreamPosition } from "../platform/event-log/event-log.js";
import type { PubSub } from "../platform/pubsub/pubsub.js";
import { placedText, senderOf } from "./event-text.js";
import { type Feed, openFeed } from "./feed.js";
import { textFrame } from "./frame.js";
import type { Peer } from "./peer.js";
import { ack } from "./protocol.js";
import { replayTo } from "./replay.js";

/** What rooms report. */
export interface RoomObserver {
  /** `count` frames were written to clients, `bytes` in all. */
  delivered(count: number, bytes: number): void;
  droppedEphemeral(count: number): void;
  gapRepaired(outcome: "filled" | "failed"): void;
  resumed(outcome: "ok" | "resync"): void;
}

/** Bounds of what is queued for one client. */
export interface RoomBounds {
  /** Above this many queued bytes a client is fed from the log when it has drained, and gets no ephemeral events. */
  readonly softBytes: number;
  /** Above this it is closed. */
  readonly hardBytes: number;
}

/** An entry framed for everybody. */
interface Framed {
  readonly seq: number;
  readonly frame: Buffer;
  readonly sender: Peer | undefined;
}

/** Longest wait for more frames while the room is busy. */
const MAX_GATHER_MS = 8;
/** A room that was quiet for this long sends its next frame at once. */
const IDLE_MS = 10;
/** How often ephemeral events leave: 30 times a second. */
const EPHEMERAL_MS = 33;

/**
 * The clients of one project on this node. Entries come in seq order from the feed; frames are gathered for one turn of the
 * event loop and written to each client in one piece.
 */
export class Room {
  /** Connected clients by connection id, whatever feeds them. */
  readonly peers = new Map<string, Peer>();
  readonly #live = new Set<Peer>();
  readonly #ackWaiters = new Set<Peer>();
  readonly #ephemeral = new Map<string, { readonly frame: Buffer; readonly sender: string }>();
  #batch: Framed[] = [];
  #batchFrom: StreamPosition;
  #flushed: StreamPosition;
  #scheduled = false;
  #lastFlushAt = 0;
  #lastFlushMs = 0;
  #ephemeralTimer: NodeJS.Timeout | undefined;
  #feed: Feed | undefined;

  private constructor(
    readonly projectId: string,
    private readonly deps: { readonly log: EventLog; readonly pubsub: PubSub },
    private readonly bounds: RoomBounds,
    private readonly observer: RoomObserver,
  ) {
    this.#flushed = { epoch: "", seq: 0 };
    this.#batchFrom = this.#flushed;
  }

  /** Opens a room at the stream's present position; @throws AppError `dependency_unavailable`. */
  static async open(
    projectId: string,
    deps: { readonly log: EventLog; readonly pubsub: PubSub },
    bounds: RoomBounds,
    observer: RoomObserver,
  ): Promise<Room> {
    const room = new Room(projectId, deps, bounds, observer);
    const feed = await openFeed(deps, projectId, {
      entry: (entry) => room.#take(entry),
      reset: (position) => room.#reset(position),
      repaired: (outcome) => observer.gapRepaired(outcome),
    });
    room.#feed = feed;
    room.#flushed = feed.position;
    room.#batchFrom = feed.position;
    return room;
  }

  /** Everything up to here has been written to every live client. */
  get position(): StreamPosition {
    return this.#flushed;
  }

  /** Adds a client at the present position; it gets what comes after. */
  join(peer: Peer): StreamPosition {
    this.flush();
    this.peers.set(peer.connectionId, peer);
    peer.feeding = "live";
    this.#live.add(peer);
    return this.#flushed;
  }

  leave(peer: Peer): void {
    this.peers.delete(peer.connectionId);
    this.#live.delete(peer);
    this.#ackWaiters.delete(peer);
  }

  /**
   * Feeds a joined client from the log, beginning after `since`, until it has caught up; then from the fan-out again.
   * When the window does not reach back it is told to resync and goes on live.
   */
  async resume(peer: Peer, since: StreamPosition, announce: boolean): Promise<void> {
    if (peer.feeding === "closed") return;
    this.#live.delete(peer);
    peer.feeding = "replay";
    peer.served = since.seq;
    const outcome = await replayTo(this.deps.log, this, peer, since, this.bounds.softBytes);
    if (outcome === "ended") return;
    this.flush();
    this.observer.resumed(outcome);
    if (outcome === "ok" && announce) peer.send(JSON.stringify({ type: "resumed", ...this.#flushed }));
  }

  /** Puts a client that has been served up to the room's position back into the fan-out; false when it has not. */
  rejoin(peer: Peer): boolean {
    if (peer.feeding !== "replay" || !this.peers.has(peer.connectionId)) return false;
    if (peer.served < this.#flushed.seq) return false;
    peer.feeding = "live";
    this.#live.add(peer);
    return true;
  }

  /** Acknowledges an append at its place in the stream: now when the client was served that far, else when it is. */
  acknowledge(peer: Peer, messageId: string | null, position: StreamPosition): void {
    const served = peer.feeding === "live" ? this.#flushed : { epoch: this.#flushed.epoch, seq: peer.served };
    const text = ack(messageId, position.seq, position.epoch);
    if (position.epoch !== served.epoch || position.seq <= served.seq) peer.send(text);
    else {
      peer.acks.set(position.seq, text);
      this.#ackWaiters.add(peer);
    }
  }

  /** Keeps the newest ephemeral event of a session and type for the next tick. */
  ephemeral(key: string, sender: string, text: string): void {
    this.#ephemeral.set(key, { frame: textFrame(text), sender });
    this.#ephemeralTimer ??= setTimeout(() => this.#flushEphemeral(), EPHEMERAL_MS);
  }

  /** Sends a control message to every client. */
  broadcast(text: string): void {
    this.flush();
    const frame = textFrame(text);
    for (const peer of this.peers.values()) if (peer.feeding !== "closed") peer.transport.write(frame);
  }

  /** Looks into the log for what pub/sub did not bring. */
  async catchUp(): Promise<void> {
    await this.#feed?.catchUp();
  }

  async close(): Promise<void> {
    clearTimeout(this.#ephemeralTimer);
    this.#ephemeralTimer = undefined;
    await this.#feed?.close();
  }

  #take(entry: StreamEntry): void {
    const sender = senderOf(entry.data);
    this.#batch.push({
      seq: entry.seq,
      frame: textFrame(placedText(entry)),
      sender: sender === null ? undefined : this.peers.get(sender),
    });
    this.#batchFrom = { epoch: entry.epoch, seq: entry.seq };
    if (this.#scheduled) return;
    const now = performance.now();
    if (now - this.#lastFlushAt > IDLE_MS) {
      this.flush();
      return;
    }
    this.#scheduled = true;
    const run = () => {
      this.#scheduled = false;
      this.flush();
    };
    const wait = Math.min(MAX_GATHER_MS, this.#lastFlushMs);
    if (wait < 1) setImmediate(run);
    else setTimeout(run, wait);
  }

  #reset(position: StreamPosition): void {
    this.flush();
    this.#flushed = position;
    this.#batchFrom = position;
    const text = JSON.stringify({ type: "resync", reason: "history_lost", ...position });
    for (const peer of this.#live) peer.send(text);
    for (const peer of this.#ackWaiters) {
      for (const acked of peer.acks.values()) peer.send(acked);
      peer.acks.clear();
    }
    this.#ackWaiters.clear();
  }

  /** Writes what was gathered: one buffer for everybody, a buffer of its own for who sent part of it. */
  flush(): void {
    if (this.#batch.length === 0) return;
    const started = performance.now();
    const batch = this.#batch;
    this.#batch = [];
    this.#flushed = this.#batchFrom;
    const shared =
      batch.length === 1 ? (batch[0] as Framed).frame : Buffer.concat(batch.map((framed) => framed.frame));
    for (const { sender } of batch) if (sender) sender.custom = true;
    for (const peer of this.#ackWaiters) peer.custom = true;
    let count = 0;
    let bytes = 0;
    for (const peer of this.#live) {
      if (peer.feeding !== "live") {
        this.#live.delete(peer);
        continue;
      }
      const frames = peer.custom ? this.#customFrames(peer, batch) : shared;
      peer.custom = false;
      if (frames.length === 0) continue;
      peer.transport.write(frames);
      count += batch.length;
      bytes += frames.length;
      const queued = peer.transport.queuedBytes;
      if (queued > this.bounds.softBytes) this.#slow(peer, queued);
    }
    this.observer.delivered(count, bytes);
    const ended = performance.now();
    this.#lastFlushAt = ended;
    this.#lastFlushMs = ended - started;
  }

  #customFrames(peer: Peer, batch: readonly Framed[]): Buffer {
    const frames: Buffer[] = [];
    for (const framed of batch) {
      if (framed.sender !== peer) frames.push(framed.frame);
      const acked = peer.acks.get(framed.seq);
      if (acked === undefined) continue;
      frames.push(textFrame(acked));
      peer.acks.delete(framed.seq);
    }
    if (peer.acks.size === 0) this.#ackWaiters.delete(peer);
    return Buffer.concat(frames);
  }

  /** Takes a client that does not keep up out of the fan-out; the log feeds it once its queue is empty. */
  #slow(peer: Peer, queued: number): void {
    if (queued > this.bounds.hardBytes) {
      peer.close("tooSlow");
      return;
    }
    this.#live.delete(peer);
    peer.feeding = "replay";
    peer.served = this.#flushed.seq;
    peer.slowSince = performance.now();
    const epoch = this.#flushed.epoch;
    peer.transport.onceDrained(() => {
      peer.slowSince = 0;
      if (peer.feeding === "replay") void this.resume(peer, { epoch, seq: peer.served }, false);
    });
  }

  #flushEphemeral(): void {
    this.#ephemeralTimer = undefined;
    this.flush();
    const waiting = [...this.#ephemeral.values()];
    this.#ephemeral.clear();
    const shared = Buffer.concat(waiting.map(({ frame }) => frame));
    const senders = new Set(waiting.map(({ sender }) => sender));
    let count = 0;
    let bytes = 0;
    let dropped = 0;
    for (const peer of this.peers.values()) {
      if (peer.feeding === "closed") continue;
      if (peer.transport.queuedBytes > this.bounds.softBytes) {
        dropped += waiting.length;
        continue;
      }
      const frames = senders.has(peer.connectionId)
        ? Buffer.concat(
            waiting.filter(({ sender }) => sender !== peer.connectionId).map(({ frame }) => frame),
          )
        : shared;
      if (frames.length === 0) continue;
      peer.transport.write(frames);
      count += waiting.length;
      bytes += frames.length;
    }
    this.observer.delivered(count, bytes);
    if (dropped > 0) this.observer.droppedEphemeral(dropped);
  }
}
