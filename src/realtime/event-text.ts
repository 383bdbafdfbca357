import type { StreamEntry } from "../platform/event-log/event-log.js";

/** What an event says, before it has a place in the stream. */
export interface EventBody {
  readonly sessionId: string | null;
  readonly type: string;
  readonly projectId: string;
  readonly userId: string | null;
  readonly payload: unknown;
  readonly timestamp: string;
  readonly id: string;
}

/** `sessionId` stands first, so that the fan-out finds the sender without parsing. */
const SESSION = '{"sessionId":"';
const UUID_LENGTH = 36;

const CLIENT_KEY = "client:";

/**
 * Idempotency key of a client's message: a resend carries the same id, also on another connection of the user. Without an
 * id nothing is a resend, and the event's own id stands in.
 */
export function messageKey(userId: string, messageId: string | null, eventId: string): string {
  return messageId === null ? `server:${eventId}` : `${CLIENT_KEY}${userId}:${messageId}`;
}

/** The id a client gave the message that was appended under `key`, or null. */
export function messageIdOf(key: string): string | null {
  return key.startsWith(CLIENT_KEY) ? key.slice(CLIENT_KEY.length + UUID_LENGTH + 1) : null;
}

/** Serialises an event, once; `sessionId` first. */
export function eventText(body: EventBody): string {
  const { sessionId, type, projectId, userId, payload, timestamp, id } = body;
  return JSON.stringify({ sessionId, type, projectId, userId, payload, timestamp, id });
}

/** The session that sent the event in `text`, or null for the server's own. */
export function senderOf(text: string): string | null {
  return text.startsWith(SESSION) ? text.slice(SESSION.length, SESSION.length + UUID_LENGTH) : null;
}

/** The event as a client gets it: the stored text with its place in the stream spliced in. */
export function placedText(entry: StreamEntry): string {
  return `${entry.data.slice(0, -1)},"seq":${entry.seq},"epoch":"${entry.epoch}"}`;
}
