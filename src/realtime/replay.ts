import type { EventLog, StreamEntry, StreamPosition } from "../platform/event-log/event-log.js";
import { messageIdOf, placedText, senderOf } from "./event-text.js";
import { textFrame } from "./frame.js";
import type { Peer } from "./peer.js";
import { ack } from "./protocol.js";

/** Entries read from the log at once. */
const PAGE = 500;
/** Longer than a room gathers frames. */
const GATHERED_MS = 10;

/** Why a client has to begin anew. */
export type ResyncReason = "window" | "epoch" | "ahead" | "history_lost";

/** The part of a room that a replay needs. */
export interface ReplayRoom {
  readonly projectId: string;
  readonly position: StreamPosition;
  rejoin(peer: Peer): boolean;
  /** Tells the client to begin anew at the room's position. */
  resync(peer: Peer, reason: ResyncReason): void;
  catchUp(): Promise<void>;
}

/**
 * Serves `peer` from the log, from `since` until it has what the room has, and puts it back into the room's fan-out. Slices
 * of at most `sliceBytes` leave when the ones before have drained, so a long replay queues no more than that.
 *
 * @returns `ok`; `resync` when the window did not reach back and the client was told so; `ended` when the client went away
 * or a newer replay took over.
 */
export async function replayTo(
  log: EventLog,
  room: ReplayRoom,
  peer: Peer,
  since: StreamPosition,
  sliceBytes: number,
): Promise<"ok" | "resync" | "ended"> {
  peer.replays += 1;
  const turn = peer.replays;
  const ended = () => peer.feeding !== "replay" || peer.replays !== turn;
  let at = since;
  for (;;) {
    if (ended()) return "ended";
    const target = room.position;
    if (at.epoch === target.epoch && at.seq === target.seq) {
      peer.served = at;
      if (room.rejoin(peer)) return "ok";
    }
    const slice = await log.readAfter(room.projectId, at, PAGE).catch(() => undefined);
    if (ended()) return "ended";
    if (!slice) {
      peer.close("overloaded", "history unavailable");
      return "ended";
    }
    if (!slice.complete) {
      if (slice.head.epoch !== room.position.epoch) await room.catchUp();
      if (ended()) return "ended";
      room.resync(peer, reasonOf(at, slice.head));
      room.rejoin(peer);
      return "resync";
    }
    // The log may be ahead of the room's feed; what the feed has not handed on yet will come by the fan-out.
    const limit = room.position.epoch === at.epoch ? room.position.seq : 0;
    const entries = slice.entries.filter((entry) => entry.seq <= limit);
    for (const part of parts(peer, entries, sliceBytes)) {
      peer.transport.write(part.frames);
      at = { epoch: at.epoch, seq: part.last };
      peer.served = at;
      if (peer.transport.queuedBytes >= sliceBytes) await drained(peer);
      if (ended()) return "ended";
    }
    if (entries.length === 0) {
      // The client is ahead of this node's feed: let the feed catch up, and its gathered frames leave.
      await room.catchUp();
      await new Promise((resolve) => setTimeout(resolve, GATHERED_MS));
    }
  }
}

function* parts(
  peer: Peer,
  entries: readonly StreamEntry[],
  sliceBytes: number,
): Generator<{ frames: Buffer; last: number }> {
  let frames: Buffer[] = [];
  let bytes = 0;
  let last = 0;
  for (const entry of entries) {
    // Its own event is not told to it again: the ack stands for it.
    const own = senderOf(entry.data) === peer.connectionId;
    const texts = [own ? ack(messageIdOf(entry.id), entry.seq, entry.epoch) : placedText(entry)];
    for (const text of [...texts, ...peer.acks.at(entry)]) {
      const frame = textFrame(text);
      frames.push(frame);
      bytes += frame.length;
    }
    last = entry.seq;
    if (bytes < sliceBytes) continue;
    yield { frames: Buffer.concat(frames), last };
    frames = [];
    bytes = 0;
  }
  if (frames.length > 0) yield { frames: Buffer.concat(frames), last };
}

function reasonOf(asked: StreamPosition, head: StreamPosition): ResyncReason {
  if (asked.epoch !== head.epoch) return "epoch";
  return asked.seq > head.seq ? "ahead" : "window";
}

/** Resolves when nothing is queued for the client any more, or it is gone. */
function drained(peer: Peer): Promise<void> {
  if (peer.transport.queuedBytes === 0) return Promise.resolve();
  peer.slowSince = performance.now();
  return new Promise((resolve) =>
    peer.transport.onceDrained(() => {
      peer.slowSince = 0;
      resolve();
    }),
  );
}
