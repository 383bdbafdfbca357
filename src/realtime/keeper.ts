import type { Clock } from "../platform/clock.js";
import { PING_FRAME } from "./frame.js";
import type { Hub } from "./hub.js";
import type { Peer } from "./peer.js";

const PING_MS = 25_000;
const PONG_MS = 10_000;
/** Longest time a client may leave its queue above the soft bound. */
const SLOW_MS = 30_000;
/** A client is told this long before its token ends, and closed this long after. */
const EXPIRY_WARNING_MS = 60_000;
const EXPIRY_GRACE_MS = 25_000;
/** Longest wait for messages under way and closing handshakes at a drain. */
const DRAIN_MS = 5_000;

/** Looks at every client once a second: liveness, slowness, token expiry. One timer for all, not several for each. */
export function keepAlive(hub: Hub, clock: Clock, softBytes: number): () => void {
  const timer = setInterval(() => {
    const monotonic = performance.now();
    const now = clock.now();
    for (const peer of hub.peers()) keep(peer, monotonic, now, softBytes);
  }, 1_000);
  timer.unref();
  return () => clearInterval(timer);
}

/** One look at one client; times in ms. */
export function keep(peer: Peer, monotonic: number, now: number, softBytes = Number.POSITIVE_INFINITY): void {
  if (peer.feeding === "closed") return;
  // What answers its own messages fills a queue too, without any event of the room.
  if (peer.slowSince === 0 && peer.transport.queuedBytes > softBytes) {
    peer.slowSince = monotonic;
    peer.transport.onceDrained(() => {
      peer.slowSince = 0;
    });
  }
  if (peer.slowSince > 0 && monotonic - peer.slowSince > SLOW_MS) {
    peer.close("tooSlow");
    return;
  }
  if (now > peer.expiresAt + EXPIRY_GRACE_MS) {
    peer.close("unauthenticated", "token expired");
    return;
  }
  if (!peer.warnedExpiry && now > peer.expiresAt - EXPIRY_WARNING_MS) {
    peer.warnedExpiry = true;
    peer.send(JSON.stringify({ type: "auth.expiring", expiresAt: new Date(peer.expiresAt).toISOString() }));
  }
  if (peer.pingedAt > peer.heardAt) {
    if (monotonic - peer.pingedAt > PONG_MS) peer.transport.terminate();
  } else if (monotonic - peer.heardAt > PING_MS) {
    peer.pingedAt = monotonic;
    peer.transport.write(PING_FRAME);
  }
}

/** Closes every client with 1012 at a random moment within `spreadMs`, after what it sent has been acknowledged. */
export async function closeAll(hub: Hub, spreadMs: number): Promise<void> {
  const peers = [...hub.peers()];
  await Promise.all(
    peers.map(async (peer) => {
      const reconnectAfterMs = Math.floor(Math.random() * 1_000);
      peer.send(JSON.stringify({ type: "server.restarting", reconnectAfterMs }));
      await new Promise((resolve) => setTimeout(resolve, Math.random() * spreadMs));
      peer.transport.pause();
      const late = new Promise((resolve) => setTimeout(resolve, DRAIN_MS).unref());
      const room = hub.opened(peer.projectId);
      // Acks stand in the place of the events they answer, so the room has to have come that far.
      const settled = Promise.allSettled(peer.inFlight).then(() => room?.catchUp());
      await Promise.race([settled, late]);
      room?.flush();
      peer.close("restart");
    }),
  );
  const deadline = performance.now() + DRAIN_MS;
  while (performance.now() < deadline && [...hub.peers()].length > 0)
    await new Promise((resolve) => setTimeout(resolve, 20));
}
