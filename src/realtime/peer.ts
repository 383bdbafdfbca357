import type { Principal } from "../http/route.js";
import type { StreamPosition } from "../platform/event-log/event-log.js";
import type { Role } from "../projects/access.js";
import { PendingAcks } from "./acks.js";
import { textFrame } from "./frame.js";
import { CLOSE, type CloseName } from "./protocol.js";
import type { TokenBucket } from "./token-bucket.js";

/** The bytes' way to one client; a WebSocket in the server, anything in a test. */
export interface Transport {
  /** Queues whole frames for sending; false when some bytes had to wait, so that looking at {@link queuedBytes} is worth it. */
  write(frames: Buffer): boolean;
  /** Bytes handed over that the client's side has not taken yet. */
  readonly queuedBytes: number;
  /** Stops and goes on reading from the client. */
  pause(): void;
  resume(): void;
  /** Runs `listener` once when nothing is queued any more. */
  onceDrained(listener: () => void): void;
  /** Starts the closing handshake. */
  close(code: number, reason: string): void;
  /** Drops the connection at once. */
  terminate(): void;
}

/** Who is at the other end. */
export interface PeerIdentity extends Principal {
  readonly sessionId: string;
  /** Id of this connection; stamped on its events. */
  readonly connectionId: string;
  readonly projectId: string;
  readonly name: string;
  /** When its access token ends, in ms since the Unix epoch. */
  readonly expiresAt: number;
}

/** The buckets one client draws from. */
export interface PeerBudget {
  readonly messages: TokenBucket;
  readonly bytes: TokenBucket;
  /** Refused messages; when it is empty too the client is closed. */
  readonly refusals: TokenBucket;
}

/**
 * One connected client: its identity, its grant, and how far it has been served. It knows nothing of rooms or sockets.
 *
 * `feeding` tells where its events come from: `live` from the room's fan-out, `replay` from the log (it resumes, or was
 * too slow for a while), `closed` from nowhere.
 */
export class Peer {
  readonly connectionId: string;
  readonly userId: string;
  readonly authSessionId: string;
  readonly projectId: string;
  readonly name: string;
  readonly transport: Transport;
  generation: number;
  expiresAt: number;
  role: Role;
  feeding: "live" | "replay" | "closed" = "replay";
  /** How far it has been served; only meaningful while not `live`. */
  served: StreamPosition = { epoch: "", seq: 0 };
  /** Where it was told to begin anew: what is not after that was passed over. */
  resyncedAt: StreamPosition = { epoch: "", seq: 0 };
  readonly acks = new PendingAcks();
  /** Counts replays, so that a newer one ends the one before. */
  replays = 0;
  /** Set by the room for one flush when its bytes differ from everybody else's. */
  custom = false;
  /** Appends under way; access changes and drains wait for them. */
  readonly inFlight = new Set<Promise<unknown>>();
  /** When it was last heard of, ms of the monotonic clock. */
  heardAt = performance.now();
  /** When it was last pinged; before `heardAt` when that ping, or a later message, was heard. */
  pingedAt = 0;
  /** Since when its queue has been over the soft bound, or 0. */
  slowSince = 0;
  warnedExpiry = false;
  /** The code it was closed with by this side; a client that does not read never answers it. */
  closeCode: number | undefined;
  /** Messages that wait while its access is being looked up again; undefined when it is not. */
  waiting: Buffer[] | undefined;
  /** Counts look-ups of its access. */
  reviews = 0;

  constructor(
    identity: PeerIdentity,
    role: Role,
    transport: Transport,
    readonly budget: PeerBudget,
  ) {
    this.connectionId = identity.connectionId;
    this.userId = identity.userId;
    this.authSessionId = identity.sessionId;
    this.projectId = identity.projectId;
    this.name = identity.name;
    this.generation = identity.generation;
    this.expiresAt = identity.expiresAt;
    this.role = role;
    this.transport = transport;
  }

  /** Sends one message to this client only. */
  send(text: string): void {
    if (this.feeding !== "closed") this.transport.write(textFrame(text));
  }

  /** Ends the connection with a documented close; the owner learns of it by the transport's close event. */
  close(name: CloseName, reason?: string): void {
    if (this.feeding === "closed") return;
    this.feeding = "closed";
    this.closeCode = CLOSE[name].code;
    this.transport.close(CLOSE[name].code, reason ?? CLOSE[name].reason);
  }
}
