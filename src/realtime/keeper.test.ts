import { describe, expect, it } from "@jest/globals";
import { createTestPeer } from "../../test/kit/peer.js";
import { PING_FRAME } from "./frame.js";
import { keep } from "./keeper.js";

describe("keep", () => {
  const start = Math.ceil(performance.now()) + 1_000;
  const watched = () => {
    const made = createTestPeer();
    const written: Buffer[] = [];
    made.transport.write = (frames) => written.push(frames) > 0;
    made.peer.heardAt = start;
    return { ...made, written };
  };

  it("[RT33] pings after 25 s of silence, and drops a peer that does not answer within 10 s", () => {
    const { peer, transport, written } = watched();
    for (let s = 1; s <= 25; s++) keep(peer, start + s * 1_000, 0);
    expect(written).toEqual([]);
    keep(peer, start + 25_001, 0);
    expect(written).toEqual([PING_FRAME]);
    keep(peer, start + 35_000, 0);
    expect(transport.closed).toBeUndefined();
    keep(peer, start + 35_002, 0);
    expect(transport.closed).toEqual({ code: 1006, reason: "terminated" });
  });

  it("[RT33] a pong, or any message, keeps it", () => {
    const { peer, transport } = watched();
    keep(peer, start + 26_000, 0);
    peer.heardAt = start + 26_500;
    for (let s = 27; s <= 50; s++) keep(peer, start + s * 1_000, 0);
    expect(transport.closed).toBeUndefined();
  });

  it("[RT45] warns a minute before the token ends and closes 25 s after it with 4401", () => {
    const { peer, transport, written } = watched();
    peer.expiresAt = 100_000;
    keep(peer, start, 39_000);
    expect(written).toHaveLength(0);
    keep(peer, start, 41_000);
    keep(peer, start, 42_000);
    expect(written).toHaveLength(1);
    keep(peer, start, 124_000);
    expect(transport.closed).toBeUndefined();
    keep(peer, start, 125_001);
    expect(transport.closed?.code).toBe(4401);
  });

  it("[RT14] closes with 4408 who leaves its queue over the bound for 30 s", () => {
    const { peer, transport } = watched();
    peer.slowSince = start;
    keep(peer, start + 29_000, 0);
    expect(transport.closed).toBeUndefined();
    peer.heardAt = start + 29_000;
    keep(peer, start + 30_001, 0);
    expect(transport.closed?.code).toBe(4408);
  });

  it("[RT93] answers that pile up in a quiet room count as a queue too", () => {
    const { peer, transport } = createTestPeer();
    peer.heardAt = start;
    transport.stalled = true;
    transport.write(Buffer.alloc(300));
    keep(peer, start + 1_000, 0, 400);
    expect(peer.slowSince).toBe(0);
    transport.write(Buffer.alloc(300));
    keep(peer, start + 2_000, 0, 400);
    peer.heardAt = start + 32_000;
    keep(peer, start + 32_001, 0, 400);
    expect(transport.closed?.code).toBe(4408);
  });
});
