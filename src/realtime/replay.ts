import type { EventLog, StreamEntry, StreamPosition } from "../platform/event-log/event-log.js";
import { placedText, senderOf } from "./event-text.js";
import { textFrame } from "./frame.js";
import type { Peer } from "./peer.js";

/** Entries read from the log at once. */
const PAGE = 500;

/** The part of a room that a replay needs. */
export interface ReplayRoom {
  readonly projectId: string;
  readonly position: StreamPosition;
  rejoin(peer: Peer): boolean;
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
    if (at.epoch === target.epoch && at.seq === target.seq && room.rejoin(peer)) return "ok";
    const slice = await log.readAfter(room.projectId, at, PAGE).catch(() => undefined);
    if (ended()) return "ended";
    if (!slice) {
      peer.close("overloaded", "history unavailable");
      return "ended";
    }
    if (!slice.complete) {
      resync(room, peer, at, slice.head);
      return "resync";
    }
    // The log may be ahead of the room's feed; what the feed has not handed on yet will come by the fan-out.
    const limit = room.position.seq;
    const entries = slice.entries.filter((entry) => entry.seq <= limit);
    for (const part of parts(peer, entries, sliceBytes)) {
      peer.transport.write(part.frames);
      peer.served = part.last;
      at = { epoch: at.epoch, seq: part.last };
      if (peer.transport.queuedBytes >= sliceBytes) await drained(peer);
      if (ended()) return "ended";
    }
    if (entries.length === 0) {
      // The client is ahead of this node's feed: let the feed catch up, and its gathered frames leave.
      await room.catchUp();
      await new Promise((resolve) => setImmediate(resolve));
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
    const acked = peer.acks.get(entry.seq);
    // Its own event is not told to it again when the ack stands for it.
    if (acked === undefined || senderOf(entry.data) !== peer.connectionId) {
      const frame = textFrame(placedText(entry));
      frames.push(frame);
      bytes += frame.length;
    }
    if (acked !== undefined) {
      frames.push(textFrame(acked));
      peer.acks.delete(entry.seq);
    }
    last = entry.seq;
    if (bytes < sliceBytes) continue;
    yield { frames: Buffer.concat(frames), last };
    frames = [];
    bytes = 0;
  }
  if (frames.length > 0) yield { frames: Buffer.concat(frames), last };
}

function resync(room: ReplayRoom, peer: Peer, asked: StreamPosition, head: StreamPosition): void {
  const reason = asked.epoch !== head.epoch ? "epoch" : asked.seq > head.seq ? "ahead" : "window";
  const { epoch, seq } = room.position;
  peer.served = seq;
  peer.send(JSON.stringify({ type: "resync", reason, seq, epoch }));
  for (const [acked, text] of peer.acks) {
    if (acked > seq) continue;
    peer.send(text);
    peer.acks.delete(acked);
  }
  room.rejoin(peer);
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
