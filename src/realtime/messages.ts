import { AppError } from "../errors.js";
import type { AuthzWatch } from "../events/authz-watch.js";
import { parseJsonText } from "../http/json-body.js";
import { validationProblem } from "../http/problem.js";
import type { Principal } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import { can } from "../projects/access.js";
import { type EventBody, messageKey } from "./event-text.js";
import type { Hub } from "./hub.js";
import type { Peer } from "./peer.js";
import { type ClientMessage, EPHEMERAL_TYPES, isServerType, nack, schemaFor } from "./protocol.js";

/** Turns an access token into who it speaks for; @throws AppError 401 codes or `dependency_unavailable`. */
export type AuthenticateToken = (token: string) => Promise<Principal & { readonly expiresAt: number }>;

/** Handles what clients send. */
export interface MessageHandler {
  /** One message, checked when it is taken up: grant, rate, schema; then append, ack, fan-out. */
  handle(peer: Peer, data: Buffer, isBinary: boolean): void;
  /** A ping of the client, answered by now: it counts as a message. */
  pinged(peer: Peer): void;
  /** Takes up what waited while the peer's access was looked up. */
  release(peer: Peer): void;
}

const NOTHING = Buffer.alloc(0);
/** Messages of one client that wait for an access look-up. */
const MAX_WAITING = 256;

/** The handler of the JSON dialect. */
export function createMessageHandler(deps: {
  hub: Hub;
  authzWatch: Pick<AuthzWatch, "fresh">;
  authenticateToken: AuthenticateToken;
  newId: () => string;
  clock: Clock;
  /** A history event was appended: feeds the activity log, off the socket path. */
  recorded: (event: EventBody) => void;
  /** Milliseconds from receipt to ack. */
  acked: (ms: number) => void;
}): MessageHandler {
  const { hub, clock } = deps;

  function take(peer: Peer, data: Buffer): void {
    let messageId: string | null = null;
    try {
      const value = parseJsonText(data.toString("utf8")) as Record<string, unknown> | null;
      if (typeof value === "object" && value !== null && typeof value.id === "string")
        messageId = value.id.slice(0, 64);
      const message = parseMessage(value);
      if (message.type === "ping") peer.send(JSON.stringify({ type: "pong", id: messageId }));
      else if ("since" in message) resume(peer, message);
      else if ("token" in message) void refresh(peer, message, messageId);
      else if (EPHEMERAL_TYPES.has(message.type)) sendEphemeral(peer, message);
      else sendHistory(peer, message, messageId);
    } catch (error) {
      refuse(peer, messageId, error);
    }
  }

  function refuse(peer: Peer, messageId: string | null, error: unknown): void {
    const known = error instanceof AppError ? error : new AppError("internal_error", { cause: error });
    const retryAfter = known.headers["Retry-After"];
    peer.send(
      nack(messageId, known.code, known.message, {
        ...(known.errors ? { errors: known.errors } : {}),
        ...(retryAfter ? { retryAfterMs: Number(retryAfter) * 1_000 } : {}),
      }),
    );
    if (!peer.budget.refusals.take(1, performance.now()))
      peer.close(known.code === "rate_limited" ? "rateLimited" : "badMessage");
  }

  /** Rights are only as good as the node's view of them: without a recent look at the log nothing is written. */
  function requireFresh(): void {
    if (deps.authzWatch.fresh()) return;
    throw new AppError("dependency_unavailable", {
      detail: "Access cannot be checked right now.",
      headers: { "Retry-After": "1" },
    });
  }

  function sendHistory(
    peer: Peer,
    message: ClientMessage & { payload?: unknown },
    messageId: string | null,
  ): void {
    if (!can(peer.role, "event.send"))
      throw new AppError("forbidden", { detail: "Viewers do not send events." });
    requireFresh();
    const started = performance.now();
    const event: EventBody = { ...stamp(peer, message), id: deps.newId() };
    const append = hub.publish(event, messageKey(peer.userId, messageId, event.id)).then(
      (appended) => {
        hub.opened(peer.projectId)?.acknowledge(peer, messageId, appended);
        deps.acked(performance.now() - started);
        if (!appended.duplicate) deps.recorded(event);
      },
      (error: unknown) => refuse(peer, messageId, error),
    );
    peer.inFlight.add(append);
    void append.finally(() => peer.inFlight.delete(append));
  }

  function sendEphemeral(peer: Peer, message: ClientMessage & { payload?: unknown }): void {
    requireFresh();
    hub.publishEphemeral(stamp(peer, message));
  }

  function stamp(peer: Peer, message: ClientMessage & { payload?: unknown }): Omit<EventBody, "id"> {
    return {
      sessionId: peer.connectionId,
      type: message.type,
      projectId: peer.projectId,
      userId: peer.userId,
      payload: message.payload ?? {},
      timestamp: new Date(clock.now()).toISOString(),
    };
  }

  function resume(peer: Peer, message: { epoch: string; since: number }): void {
    void hub.opened(peer.projectId)?.resume(peer, { epoch: message.epoch, seq: message.since }, true);
  }

  async function refresh(peer: Peer, message: { token: string }, messageId: string | null): Promise<void> {
    let principal: Principal & { expiresAt: number };
    try {
      principal = await deps.authenticateToken(message.token);
    } catch (error) {
      if (error instanceof AppError && error.status !== 401) refuse(peer, messageId, error);
      else peer.close("unauthenticated", "invalid token");
      return;
    }
    if (principal.userId !== peer.userId || principal.sessionId !== peer.authSessionId) {
      peer.close("unauthenticated", "token of another session");
      return;
    }
    peer.expiresAt = principal.expiresAt;
    peer.generation = principal.generation;
    peer.warnedExpiry = false;
    peer.send(
      JSON.stringify({
        type: "auth.refreshed",
        id: messageId,
        expiresAt: new Date(principal.expiresAt).toISOString(),
      }),
    );
  }

  /** False, and answered, when the client has used up what it may send. */
  function allowed(peer: Peer, data: Buffer): boolean {
    const now = performance.now();
    peer.heardAt = now;
    if (peer.budget.messages.take(1, now) && peer.budget.bytes.take(data.length, now)) return true;
    const error = new AppError("rate_limited", {
      detail: "Too many messages.",
      headers: { "Retry-After": "1" },
    });
    refuse(peer, idOf(data), error);
    return false;
  }

  return {
    handle(peer, data, isBinary) {
      if (peer.feeding === "closed") return;
      if (isBinary) {
        peer.close("badMessage", "text frames only");
        return;
      }
      if (!allowed(peer, data)) return;
      if (!peer.waiting) take(peer, data);
      else if (peer.waiting.length < MAX_WAITING) peer.waiting.push(data);
      else peer.close("rateLimited");
    },
    pinged(peer) {
      if (peer.feeding !== "closed") allowed(peer, NOTHING);
    },
    release(peer) {
      const waiting = peer.waiting ?? [];
      peer.waiting = undefined;
      for (const data of waiting) if (peer.feeding !== "closed") take(peer, data);
    },
  };
}

function parseMessage(value: unknown): ClientMessage {
  const type = (value as { type?: unknown } | null)?.type;
  if (isServerType(type) && schemaFor(type) === undefined) {
    throw new AppError("forbidden", { detail: "Only the server sends this type." });
  }
  const schema = schemaFor(type);
  if (!schema) {
    throw new AppError("validation_failed", {
      errors: [{ pointer: "/type", code: "unknown_type", message: "This message type is not known." }],
    });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw validationProblem(parsed.error);
  return parsed.data;
}

/** The id of a message that is refused before it is parsed, when it is easily found. */
function idOf(data: Buffer): string | null {
  return /"id"\s*:\s*"([\w.:-]{1,64})"/.exec(data.toString("latin1", 0, 2_048))?.[1] ?? null;
}
