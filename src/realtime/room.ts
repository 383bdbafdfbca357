import type { Appended, EventLog, StreamEntry, StreamPosition } from "../platform/event-log/event-log.js";
import type { PubSub } from "../platform/pubsub/pubsub.js";
import { messageIdOf, placedText, senderOf } from "./event-text.js";
import { type Feed, openFeed } from "./feed.js";
import { textFrame } from "./frame.js";
import type { Peer } from "./peer.js";
import { ack } from "./protocol.js";
import { type ResyncReason, replayTo } from "./replay.js";

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
  readonly entry: StreamEntry;
  readonly frame: Buffer;
  readonly sender: Peer | undefined;
}

/** Longest wait for more frames while the room is busy. */
const MAX_GATHER_MS = 8;
/** An append of this node that pub/sub has not brought after this long is looked for in the log. */
const OWN_APPEND_MS = 500;
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
  #appendTimer: NodeJS.Timeout | undefined;
  /** Epochs this room was in before. */
  readonly #past = new Set<string>();
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
      repaired(outcome) {
        observer.gapRepaired(outcome);
        // A page at a time, so that a long repair is no burst that nobody could take.
        room.flush();
      },
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
    // A client's word about where it is counts once the log has confirmed it.
    peer.served = isPassed(since, this.#flushed) ? since : { epoch: "", seq: 0 };
    const outcome = await replayTo(this.deps.log, this, peer, since, this.bounds.softBytes);
    if (outcome === "ended") return;
    this.flush();
    this.observer.resumed(outcome);
    if (outcome === "ok" && announce) peer.send(JSON.stringify({ type: "resumed", ...this.#flushed }));
  }

  /** Puts a client that has been served up to the room's position back into the fan-out; false when it has not. */
  rejoin(peer: Peer): boolean {
    if (peer.feeding !== "replay" || !this.peers.has(peer.connectionId)) return false;
    if (peer.served.epoch !== this.#flushed.epoch || peer.served.seq < this.#flushed.seq) return false;
    // A resend may be of something the client had before it came.
    for (const text of peer.acks.upTo(peer.served)) peer.send(text);
    peer.feeding = "live";
    this.#live.add(peer);
    return true;
  }

  /**
   * Acknowledges an append at its place in the stream. A client's own event needs no more than that: in its place stands
   * the ack. What is left is a resend, and what a resync passed over.
   */
  acknowledge(peer: Peer, messageId: string | null, appended: Appended): void {
    const text = ack(messageId, appended.seq, appended.epoch);
    const served = peer.feeding === "live" ? this.#flushed : peer.served;
    if (isPassed(appended, served) || this.#past.has(appended.epoch)) {
      const toldInPlace =
        !appended.duplicate && appended.epoch === this.#flushed.epoch && !isPassed(appended, peer.resyncedAt);
      if (!toldInPlace) peer.send(text);
      return;
    }
    peer.acks.add(appended, text, !appended.duplicate);
    this.#ackWaiters.add(peer);
    this.#appendTimer ??= setTimeout(() => {
      this.#appendTimer = undefined;
      if (!isPassed(appended, this.#flushed)) void this.catchUp();
    }, OWN_APPEND_MS);
  }

  /** Tells a client to begin anew at the room's position; acks whose place is passed over follow. */
  resync(peer: Peer, reason: ResyncReason): void {
    peer.served = this.#flushed;
    peer.resyncedAt = this.#flushed;
    peer.send(JSON.stringify({ type: "resync", reason, ...this.#flushed }));
    for (const text of peer.acks.passed(this.#flushed)) peer.send(text);
    if (peer.acks.size === 0) this.#ackWaiters.delete(peer);
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
    clearTimeout(this.#appendTimer);
    clearTimeout(this.#ephemeralTimer);
    this.#ephemeralTimer = undefined;
    await this.#feed?.close();
  }

  #take(entry: StreamEntry): void {
    const sender = senderOf(entry.data);
    this.#batch.push({
      entry,
      frame: textFrame(placedText(entry)),
      sender: sender === null ? undefined : this.peers.get(sender),
    });
    this.#batchFrom = { epoch: entry.epoch, seq: entry.seq };
    if (this.#scheduled) return;
    // At most half of the time goes into writing: after a flush the room gathers for as long as that took, and at least for
    // the rest of the turn.
    const wait = Math.min(MAX_GATHER_MS, this.#lastFlushMs) - (performance.now() - this.#lastFlushAt);
    this.#scheduled = true;
    if (wait <= 0) this.flush();
    const run = () => {
      this.#scheduled = false;
      this.flush();
    };
    if (wait < 1) setImmediate(run);
    else setTimeout(run, wait);
  }

  #reset(position: StreamPosition): void {
    this.flush();
    if (position.epoch !== this.#flushed.epoch) this.#past.add(this.#flushed.epoch);
    this.#flushed = position;
    this.#batchFrom = position;
    // A client that is fed from the log learns it there.
    for (const peer of this.#live) this.resync(peer, "history_lost");
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
      const taken = peer.transport.write(frames);
      count += batch.length;
      bytes += frames.length;
      if (taken) continue;
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
    for (const { entry, frame, sender } of batch) {
      frames.push(sender === peer ? textFrame(ack(messageIdOf(entry.id), entry.seq, entry.epoch)) : frame);
      for (const text of peer.acks.at(entry)) frames.push(textFrame(text));
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
    peer.served = this.#flushed;
    peer.slowSince = performance.now();
    peer.transport.onceDrained(() => {
      peer.slowSince = 0;
      if (peer.feeding === "replay") void this.resume(peer, peer.served, false);
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

/** True when what was appended at `position` is not after `served`, in the same epoch. */
function isPassed(position: StreamPosition, served: StreamPosition): boolean {
  return position.epoch === served.epoch && position.seq <= served.seq;
}
