import type { Caller } from "./caller.js";
import { AtelierError } from "./errors.js";
import type { PresentUser } from "./generated/api.js";
import type {
  AccessChangedFrame,
  AckFrame,
  ClientFrame,
  ConnectedFrame,
  EphemeralFrame,
  EventFrame,
  NackFrame,
  ResyncFrame,
  ServerDegradedFrame,
  ServerRestartingFrame,
} from "./generated/frames.js";
import { createLink, type LinkState, type Verdict } from "./link.js";
import { createListeners, type Listeners } from "./listeners.js";
import { type Acknowledged, createOutbox, type Position } from "./outbox.js";
import { createPresenceList } from "./presence.js";
import type { Role } from "./projects.js";
import { randomId } from "./random-id.js";
import type { Session } from "./session.js";
import type { Sockets } from "./sockets.js";

/** An event of a project. With `seq` it is part of the history; without, it is a passing one such as a cursor. */
export type ProjectEvent = EventFrame | (EphemeralFrame & { readonly seq?: undefined });

/** A type whose events are kept, numbered and acknowledged. */
export type HistoryType = "file_changed" | "activity_update" | "chat_message" | `custom.${string}`;

/** A type whose events pass: the latest per session counts. */
export type EphemeralType = EphemeralFrame["type"];

/** What a connection itself has to say, by name. */
export interface RealtimeSignals {
  state: LinkState;
  /** Who is connected. */
  presence: readonly PresentUser[];
  /** Your role changed; a viewer sends no events. */
  role: Role;
  /** The history does not reach back to where you were: load your state anew; what comes next follows `position`. */
  resync: { readonly reason: ResyncFrame["reason"]; readonly position: Position };
  /** A store of the service is away (its name), or back (undefined): what is sent meanwhile waits. */
  degraded: string | undefined;
  /** Why it is closed, or what passes by itself: compare `state`. */
  error: AtelierError;
}

/** The live events of one project. */
export interface Realtime {
  readonly projectId: string;
  readonly state: LinkState;
  readonly presence: readonly PresentUser[];
  readonly role: Role | undefined;
  /** Id of this connection, as other members see it in `sessionId`. */
  readonly sessionId: string | undefined;
  /** Everything up to here was handed to the handlers; give it as `since` to go on from there after a reload. */
  readonly position: Position | undefined;
  /** Why it closed; undefined while it is open and after {@link Realtime.close}. */
  readonly error: AtelierError | undefined;
  /**
   * Calls `handler` with every event of this type (`"*"`: of all types), each exactly once and in order, whatever happens to
   * the connection. Your own events are not among them: their place is what `send` answers. Answers what ends that.
   */
  on(type: string, handler: (event: ProjectEvent) => void): () => void;
  /** Calls `handler` with what the connection itself has to say. Answers what ends that. */
  subscribe<Name extends keyof RealtimeSignals>(
    name: Name,
    handler: (value: RealtimeSignals[Name]) => void,
  ): () => void;
  /**
   * Sends an event; resolves when it is durable. Waits through interruptions and is one event however often it goes out.
   *
   * @throws AtelierError `forbidden`, `validation_failed`, `payload_too_large` (64 KiB), `too_much_waiting`, `closed`.
   */
  send(
    type: HistoryType,
    payload?: Record<string, unknown>,
    options?: { readonly id?: string; readonly signal?: AbortSignal },
  ): Promise<Acknowledged>;
  /** Sends a passing event when there is a connection, else nothing; answers whether it went out. */
  sendEphemeral(type: EphemeralType, payload: Record<string, unknown>): boolean;
  /** Resolves when it is connected. @throws AtelierError when it closes instead. */
  ready(): Promise<void>;
  close(): void;
}

/** Bytes of one message. */
const MAX_BYTES = 64 * 1024;
const STOPS: Readonly<Record<number, readonly [string, string]>> = {
  1002: ["closed", "The service does not understand this client."],
  1007: ["closed", "The service does not understand this client."],
  1009: ["payload_too_large", "A message was larger than 64 KiB."],
  4400: ["bad_request", "The service refused what was sent again and again."],
  4403: ["forbidden", "Your access to the project was taken away."],
  4404: ["not_found", "The project is gone."],
};

/** Opens the live events of a project. */
export function createRealtime(deps: {
  readonly projectId: string;
  readonly since: Position | undefined;
  readonly caller: Caller;
  readonly session: Session;
  readonly sockets: Sockets;
}): Realtime {
  const { projectId, caller, session, sockets } = deps;
  const handlers = new Map<string, Listeners<ProjectEvent>>();
  const signals: { [Name in keyof RealtimeSignals]: Listeners<RealtimeSignals[Name]> } = {
    state: createListeners(),
    presence: createListeners(),
    role: createListeners(),
    resync: createListeners(),
    degraded: createListeners(),
    error: createListeners(),
  };
  const presence = createPresenceList();
  const ownSessions = new Set<string>();
  let position = deps.since;
  let role: Role | undefined;
  let sessionId: string | undefined;
  let error: AtelierError | undefined;
  let token = "";
  let rejected: string | undefined;
  let connections = 0;
  /** A hole was seen and the service asked to fill it. */
  let filling = false;

  const link = createLink({
    sockets,
    ping: JSON.stringify({ type: "ping" } satisfies ClientFrame),
    async address(base) {
      token = await session.accessToken(rejected);
      const query = new URLSearchParams({ projectId });
      if (position) {
        query.set("epoch", position.epoch);
        query.set("since", String(position.seq));
      }
      return { url: `${base}/?${query.toString()}`, protocols: ["bearer", token] };
    },
    probe: () => caller.call("getProject", { params: { projectId }, retries: 0 }),
    judge,
    onMessage: receive,
    onState(state, why) {
      if (state === "closed") ended(why);
      signals.state.tell(state);
    },
    onTrouble: (trouble) => signals.error.tell(trouble),
  });
  const outbox = createOutbox((text) => link.send(text));
  const unfollow = [
    session.onToken(present),
    session.onChange((now) => {
      if (now.status === "signed_out") stop(now.reason ?? signedOut());
    }),
  ];

  function judge(code: number, reason: string): Verdict {
    if (code === 4401) {
      // Once with a fresh token: whether the session lives, its renewal says.
      rejected = token;
      return { waitMs: 0 };
    }
    const stop = STOPS[code];
    if (stop) return { stop: new AtelierError(stop[0], reason === "" ? stop[1] : `${stop[1]} (${reason})`) };
    return { waitMs: code === 4429 ? 5_000 : code === 1013 ? 1_000 : 0 };
  }

  function receive(data: unknown): void {
    let frame: Record<string, unknown> | null = null;
    try {
      frame = JSON.parse(String(data)) as Record<string, unknown> | null;
    } catch {
      // Said below.
    }
    if (typeof frame?.type !== "string") malformed();
    else if (typeof frame.payload === "object" && frame.payload !== null)
      receiveEvent(frame as unknown as ProjectEvent);
    else control(frame.type, frame);
  }

  function malformed(): void {
    signals.error.tell(
      new AtelierError("unreadable_answer", "The service sent a message that cannot be read."),
    );
    // What it was is not known; the replay from the last good place tells.
    link.drop();
  }

  function receiveEvent(event: ProjectEvent): void {
    if (event.seq !== undefined) {
      if (!advance(event)) return;
      if (presence.apply(event)) signals.presence.tell(presence.users);
      // Sent by us over a connection that broke before the ack.
      if (event.sessionId !== null && ownSessions.has(event.sessionId)) return;
    }
    handlers.get(event.type)?.tell(event);
    handlers.get("*")?.tell(event);
  }

  /** True when this place is the next one; asks for what is missing when it is further on. */
  function advance({ epoch, seq }: Position): boolean {
    if (position?.epoch === epoch && seq <= position.seq) return false;
    if (position?.epoch !== epoch || seq !== position.seq + 1) {
      if (!position) malformed();
      else if (!filling) {
        filling = true;
        link.send(
          JSON.stringify({
            type: "resume",
            epoch: position.epoch,
            since: position.seq,
          } satisfies ClientFrame),
        );
      }
      return false;
    }
    position = { epoch, seq };
    return true;
  }

  function control(type: string, frame: unknown): void {
    switch (type) {
      case "connected":
        greet(frame as ConnectedFrame);
        return;
      case "ack": {
        const { id, epoch, seq } = frame as AckFrame;
        if (position?.epoch === epoch && seq > position.seq) advance({ epoch, seq });
        if (id !== null) outbox.acknowledged(id, { epoch, seq });
        return;
      }
      case "nack": {
        const nack = frame as NackFrame;
        if (nack.id === null) signals.error.tell(new AtelierError(nack.code, nack.detail));
        else outbox.refused(nack.id, nack);
        return;
      }
      case "resumed":
        filling = false;
        return;
      case "resync": {
        const { reason, epoch, seq } = frame as ResyncFrame;
        filling = false;
        position = { epoch, seq };
        signals.resync.tell({ reason, position });
        return;
      }
      case "auth.expiring":
        void renew();
        return;
      case "access.changed":
        role = (frame as AccessChangedFrame).role;
        signals.role.tell(role);
        return;
      case "server.restarting":
        link.returnAfter((frame as ServerRestartingFrame).reconnectAfterMs);
        return;
      case "server.degraded":
        signals.degraded.tell((frame as ServerDegradedFrame).dependency);
        return;
      case "server.recovered":
        signals.degraded.tell(undefined);
        return;
      default:
      // A newer service may say more; what has no payload changes nothing we keep.
    }
  }

  function greet(frame: ConnectedFrame): void {
    const before = role;
    connections += 1;
    filling = false;
    rejected = undefined;
    sessionId = frame.sessionId;
    ownSessions.add(sessionId);
    role = frame.role;
    position ??= { epoch: frame.epoch, seq: frame.seq };
    presence.reset(frame.presence, frame.seq);
    link.greeted();
    signals.presence.tell(presence.users);
    if (role !== before) signals.role.tell(role);
    outbox.flush(connections);
  }

  /** Sends the newest token; a warning comes well after it was due, so it is renewed if it was not yet. */
  async function renew(): Promise<void> {
    try {
      present(await session.accessToken());
    } catch (trouble) {
      // The session's end reaches us by itself; anything else is tried again when the service closes the socket.
      if (trouble instanceof AtelierError) signals.error.tell(trouble);
    }
  }

  function present(next: string): void {
    if (next === token || link.state !== "connected") return;
    token = next;
    link.send(JSON.stringify({ type: "auth.refresh", token } satisfies ClientFrame));
  }

  function stop(why: AtelierError | undefined): void {
    error ??= why;
    link.stop();
  }

  function ended(why: AtelierError | undefined): void {
    error ??= why;
    for (const off of unfollow) off();
    outbox.fail(error ?? new AtelierError("closed", "The connection was closed."));
    if (error) signals.error.tell(error);
  }

  link.start();
  return {
    projectId,
    get state() {
      return link.state;
    },
    get presence() {
      return presence.users;
    },
    get role() {
      return role;
    },
    get sessionId() {
      return sessionId;
    },
    get position() {
      return position;
    },
    get error() {
      return error;
    },
    on(type, handler) {
      let listeners = handlers.get(type);
      if (!listeners) handlers.set(type, (listeners = createListeners()));
      return listeners.add(handler);
    },
    subscribe: (name, handler) => signals[name].add(handler),
    async send(type, payload = {}, { id = randomId(), signal } = {}) {
      if (link.state === "closed") throw error ?? new AtelierError("closed", "The connection was closed.");
      const text = JSON.stringify({ type, payload, id } satisfies ClientFrame);
      if (new TextEncoder().encode(text).length > MAX_BYTES)
        throw new AtelierError("payload_too_large", "A message has at most 64 KiB.");
      return outbox.add(id, text, signal);
    },
    sendEphemeral: (type, payload) =>
      link.state === "connected" && link.send(JSON.stringify({ type, payload } satisfies ClientFrame)),
    ready() {
      if (link.state === "connected") return Promise.resolve();
      return new Promise((resolve, reject) => {
        const closed = () => error ?? new AtelierError("closed", "The connection was closed.");
        if (link.state === "closed") return reject(closed());
        const off = signals.state.add((state) => {
          if (state !== "connected" && state !== "closed") return;
          off();
          if (state === "connected") resolve();
          else reject(closed());
        });
      });
    },
    close: () => stop(undefined),
  };
}

function signedOut(): AtelierError {
  return new AtelierError("unauthenticated", "Signed out.", { status: 401 });
}
