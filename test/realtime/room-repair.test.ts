import { describe, expect, it } from "@jest/globals";
import { v7 } from "uuid";
import { createMemoryEventLog } from "../../src/platform/event-log/memory.js";
import { createMemoryPubSub } from "../../src/platform/pubsub/memory.js";
import { eventText } from "../../src/realtime/event-text.js";
import { Room } from "../../src/realtime/room.js";
import { createFaultyPubSub } from "../kit/faulty-pubsub.js";
import { createTestPeer } from "../kit/peer.js";

const EVENTS = 3_000;
const BOUNDS = { softBytes: 256 * 1024, hardBytes: 4 * 1024 * 1024 };

describe("a room whose link to the others was away", () => {
  it("[RT94] gives its clients what they missed in pieces they can take: nobody who reads is closed", async () => {
    const projectId = v7();
    const inner = createMemoryPubSub({
      onError: (error) => {
        throw error;
      },
    });
    const log = createMemoryEventLog({ pubsub: inner, clock: { now: () => 0 } });
    const pubsub = createFaultyPubSub({
      inner,
      faults: { loss: 0, doubling: 0, delay: 0 },
      random: Math.random,
    });
    const room = await Room.open(projectId, { log, pubsub }, BOUNDS, {
      delivered() {},
      droppedEphemeral() {},
      gapRepaired() {},
      resumed() {},
    });
    const { peer, transport } = createTestPeer({ projectId });
    room.join(peer);
    // A client that reads what there is once in a while.
    transport.stalled = true;
    let most = 0;
    const reading = setInterval(() => {
      most = Math.max(most, transport.queuedBytes);
      transport.read();
    }, 1);
    pubsub.cut();
    for (let i = 0; i < EVENTS; i++) {
      const payload = { i, filler: "x".repeat(2_000) };
      const body = { sessionId: null, type: "chat_message", projectId, userId: v7(), timestamp: "t" };
      await log.append(projectId, `${i}`, eventText({ ...body, payload, id: `${i}` }));
    }
    expect(transport.messages).toEqual([]);
    pubsub.mend();
    await room.catchUp();
    while (transport.messages.length < EVENTS && !transport.closed)
      await new Promise((resolve) => setTimeout(resolve, 5));
    clearInterval(reading);
    expect(transport.closed).toBeUndefined();
    expect(transport.messages.map(({ seq }) => seq)).toEqual(Array.from({ length: EVENTS }, (_, i) => i + 1));
    expect(most).toBeLessThan(2 * 1024 * 1024);
    await room.close();
  });
});
