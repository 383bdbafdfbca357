import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { v7 } from "uuid";
import { createMemoryEventLog } from "../../src/platform/event-log/memory.js";
import { createMemoryPubSub } from "../../src/platform/pubsub/memory.js";
import { eventText } from "../../src/realtime/event-text.js";
import { Room } from "../../src/realtime/room.js";
import { createTestPeer } from "../kit/peer.js";

const turn = () => new Promise((resolve) => setTimeout(resolve, 20));

describe("a room", () => {
  const projectId = v7();
  const pubsub = createMemoryPubSub({
    onError: (error) => {
      throw error;
    },
  });
  const log = createMemoryEventLog({ pubsub, clock: { now: () => 0 } });
  const seen = { dropped: 0, delivered: 0 };
  let room: Room;

  beforeEach(async () => {
    seen.dropped = 0;
    seen.delivered = 0;
    room = await Room.open(
      projectId,
      { log, pubsub },
      { softBytes: 4_096, hardBytes: 100_000 },
      {
        delivered: (count) => {
          seen.delivered += count;
        },
        droppedEphemeral: (count) => {
          seen.dropped += count;
        },
        gapRepaired() {},
        resumed() {},
      },
    );
  });
  afterEach(() => room.close());

  const publish = (sessionId: string | null, payload: unknown = {}) => {
    const id = v7();
    return log.append(
      projectId,
      id,
      eventText({ sessionId, type: "file_changed", projectId, userId: v7(), payload, timestamp: "t", id }),
    );
  };

  it("[RT12] gathers what arrives in one turn: one write for each client, and the first after idle goes at once", async () => {
    const { peer, transport } = createTestPeer({ projectId });
    room.join(peer);
    await turn();
    for (let i = 0; i < 20; i++) await publish(null);
    await turn();
    expect(transport.messages).toHaveLength(20);
    expect(transport.writes).toBeLessThanOrEqual(3);
  });

  it("[RT13] a sender gets an ack in the place of its event, its other tabs get the event", async () => {
    const sender = createTestPeer({ projectId });
    const tab = createTestPeer({ projectId, userId: sender.peer.userId });
    room.join(sender.peer);
    room.join(tab.peer);
    const before = await publish(null);
    room.acknowledge(sender.peer, "a", await publish(sender.peer.connectionId));
    await turn();
    expect(sender.transport.messages.map(({ type, seq }) => [type, seq])).toEqual([
      ["file_changed", before.seq],
      ["ack", before.seq + 1],
    ]);
    expect(tab.transport.messages.map(({ type, seq }) => [type, seq])).toEqual([
      ["file_changed", before.seq],
      ["file_changed", before.seq + 1],
    ]);
  });

  it("[RT14] a client that does not read is fed from the log later, whole and in order, with a bounded queue", async () => {
    const slow = createTestPeer({ projectId });
    const fast = createTestPeer({ projectId });
    room.join(slow.peer);
    room.join(fast.peer);
    slow.transport.stalled = true;
    let most = 0;
    for (let i = 0; i < 200; i++) {
      await publish(null, { i, filler: "x".repeat(200) });
      if (i % 10 === 9) await turn();
      most = Math.max(most, slow.transport.queuedBytes);
    }
    await turn();
    expect(fast.transport.messages).toHaveLength(200);
    expect(most).toBeLessThan(4_096 + 200 * 50);
    slow.transport.stalled = false;
    slow.transport.read();
    for (let i = 0; i < 20 && slow.transport.messages.length < 200; i++) await turn();
    expect(slow.transport.messages.map(({ payload }) => (payload as { i: number }).i)).toEqual(
      Array.from({ length: 200 }, (_, i) => i),
    );
    await publish(null, { i: 200 });
    await turn();
    expect(slow.transport.messages).toHaveLength(201);
  });

  it("[RT14] a burst beyond the hard bound closes the client with 4408", async () => {
    const { peer, transport } = createTestPeer({ projectId });
    room.join(peer);
    transport.stalled = true;
    await publish(null, { filler: "x".repeat(120_000) });
    await turn();
    expect(transport.closed?.code).toBe(4408);
  });

  it("[RT15] ephemeral events are latest-wins per session and type, and dropped for a client that lags", async () => {
    const one = createTestPeer({ projectId });
    const lagging = createTestPeer({ projectId });
    room.join(one.peer);
    room.join(lagging.peer);
    lagging.transport.stalled = true;
    lagging.transport.write(Buffer.from(`\x81\x7e\x10\x00${"x".repeat(5_000)}`, "latin1"));
    for (let i = 0; i < 10; i++)
      room.ephemeral("s cursor_moved", "s", JSON.stringify({ type: "cursor_moved", payload: { i } }));
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(one.transport.messages).toEqual([{ type: "cursor_moved", payload: { i: 9 } }]);
    expect(seen.dropped).toBe(1);
  });

  it("[RT16] a stream that lost its history says so: resync, then the new epoch", async () => {
    const { peer, transport } = createTestPeer({ projectId });
    room.join(peer);
    await publish(null);
    await turn();
    const position = room.position;
    await room.resume(peer, { epoch: "other", seq: 3 }, true);
    expect(transport.messages.at(-1)).toEqual({ type: "resync", reason: "epoch", ...position });
  });
});
