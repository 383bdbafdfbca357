import { v7 } from "uuid";
import type { Role } from "../../src/projects/access.js";
import { Peer } from "../../src/realtime/peer.js";
import { TokenBucket } from "../../src/realtime/token-bucket.js";
import { FakeTransport } from "./fake-transport.js";

/** A peer on a fake transport. */
export function createTestPeer(options: { projectId?: string; userId?: string; role?: Role } = {}): {
  readonly peer: Peer;
  readonly transport: FakeTransport;
} {
  const transport = new FakeTransport();
  const identity = {
    userId: options.userId ?? v7(),
    sessionId: v7(),
    generation: 1,
    connectionId: v7(),
    projectId: options.projectId ?? v7(),
    name: "Ada",
    expiresAt: Date.now() + 900_000,
  };
  const unlimited = () => new TokenBucket(0, 0, 0);
  const budget = { messages: unlimited(), bytes: unlimited(), refusals: unlimited() };
  return { peer: new Peer(identity, options.role ?? "collaborator", transport, budget), transport };
}
