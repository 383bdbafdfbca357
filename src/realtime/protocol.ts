import { z } from "zod";
import type { ErrorCode } from "../errors.js";
import { LOG_STREAMS } from "../jobs/job-type.js";

/** Close codes and what a client does about each; published in docs/realtime.md. */
export const CLOSE = {
  badMessage: { code: 4400, reason: "bad message", client: "stop" },
  unauthenticated: { code: 4401, reason: "unauthenticated", client: "sign in, then reconnect" },
  accessRevoked: { code: 4403, reason: "access revoked", client: "stop" },
  gone: { code: 4404, reason: "gone", client: "stop" },
  tooSlow: { code: 4408, reason: "too slow", client: "reconnect and resume" },
  rateLimited: { code: 4429, reason: "rate limited", client: "wait, then reconnect" },
  tooBig: { code: 1009, reason: "message too big", client: "stop" },
  restart: { code: 1012, reason: "restart", client: "reconnect and resume" },
  overloaded: { code: 1013, reason: "try again later", client: "wait, then reconnect" },
} as const satisfies Record<string, { code: number; reason: string; client: string }>;

/** Name of a documented close. */
export type CloseName = keyof typeof CLOSE;

/** Bytes of one message of the JSON dialect. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

const payload = z.record(z.string(), z.unknown()).meta({ description: "Any JSON object." });
const id = z.string().min(1).max(64).meta({
  description:
    "Idempotency key: a resend within the window is answered with the first one's seq and delivered once.",
});
const historyType = z.union([
  z.enum(["file_changed", "activity_update", "chat_message"]),
  z.string().regex(/^custom\.[\w.-]{1,56}$/),
]);
const ephemeralType = z.enum(["cursor_moved", "selection_changed"]);

/** An event that gets a seq and can be resumed; needs the role Collaborator or Owner. */
export const historyEvent = z.strictObject({
  type: historyType,
  payload: payload.default({}),
  id: id.optional(),
});
/** A latest-wins event without a seq; every role may send it. */
export const ephemeralEvent = z.strictObject({
  type: ephemeralType,
  payload: payload.default({}),
  id: id.optional(),
});
/** Asks for everything after a position, in order. */
export const resumeRequest = z.strictObject({
  type: z.literal("resume"),
  epoch: z.string().min(1).max(64),
  since: z.number().int().nonnegative(),
  id: id.optional(),
});
/** Puts a fresh access token in place of the one the socket was opened with; same user and session. */
export const authRefresh = z.strictObject({
  type: z.literal("auth.refresh"),
  token: z.string().min(1).max(4_096),
  id: id.optional(),
});
/** A client's own liveness check, answered with `pong`. */
export const pingRequest = z.strictObject({ type: z.literal("ping"), id: id.optional() });

/** Everything a client may send. */
export const clientMessage = z.union([historyEvent, ephemeralEvent, resumeRequest, authRefresh, pingRequest]);

/** A message a client sent, checked. */
export type ClientMessage = z.output<typeof clientMessage>;

/** Types that are `ephemeralEvent`s. */
export const EPHEMERAL_TYPES: ReadonlySet<string> = new Set(ephemeralType.options);
const CONTROL_TYPES: ReadonlySet<string> = new Set(["resume", "auth.refresh", "ping"]);
const SERVER_TYPES =
  /^(user_|member_|role_|project_|workspace_|file_|invitation_|job_|access\.|server\.|auth\.|connected$|ack$|nack$|resync$|resumed$|pong$)/;

/** The schema for a message of this type, so that its faults name its own members; undefined for types nobody may send. */
export function schemaFor(type: unknown): z.ZodType<ClientMessage> | undefined {
  if (typeof type !== "string") return undefined;
  if (EPHEMERAL_TYPES.has(type)) return ephemeralEvent;
  if (CONTROL_TYPES.has(type)) {
    return type === "resume" ? resumeRequest : type === "ping" ? pingRequest : authRefresh;
  }
  return historyType.safeParse(type).success ? historyEvent : undefined;
}

/** True for a type that only the server sends: a client that tries is refused by name. */
export function isServerType(type: unknown): boolean {
  return typeof type === "string" && type !== "file_changed" && SERVER_TYPES.test(type);
}

const position = { seq: z.number().int().nonnegative(), epoch: z.string() };
const timestamp = z.iso.datetime();
const presentUser = z.strictObject({
  userId: z.uuid(),
  name: z.string(),
  connections: z.number().int().positive(),
});
const job = { jobId: z.uuid(), jobType: z.string(), attempt: z.int() };
const role = z.enum(["owner", "collaborator", "viewer"]);

/** Frames the server sends, for the protocol page and the tests. */
export const serverMessages = {
  connected: z.strictObject({
    type: z.literal("connected"),
    sessionId: z.uuid(),
    projectId: z.uuid(),
    role,
    ...position,
    presence: z.array(presentUser).meta({ description: "Users connected now, at most 100." }),
  }),
  event: z.strictObject({
    type: z.string(),
    projectId: z.uuid(),
    userId: z.uuid().nullable(),
    sessionId: z.uuid().nullable(),
    payload,
    timestamp,
    id: z.string(),
    ...position,
  }),
  ephemeral: z.strictObject({
    type: ephemeralType,
    projectId: z.uuid(),
    userId: z.uuid(),
    sessionId: z.uuid(),
    payload,
    timestamp,
  }),
  job_progress: z
    .strictObject({
      type: z.literal("job_progress"),
      projectId: z.uuid(),
      userId: z.uuid().meta({ description: "Whose job it is." }),
      sessionId: z.null(),
      payload: z.strictObject({ ...job, progress: z.int().min(0).max(100), message: z.string().nullable() }),
      timestamp,
    })
    .meta({ description: "How far a running job of the project is; without a seq, the latest wins." }),
  job_log: z
    .strictObject({
      type: z.literal("job_log"),
      projectId: z.uuid(),
      userId: z.uuid().meta({ description: "Whose job it is." }),
      sessionId: z.null(),
      payload: z.strictObject({
        ...job,
        after: z.int().meta({ description: "seq of the entry before the first of these." }),
        lastSeq: z.int().meta({ description: "seq of the newest entry of the job." }),
        entries: z.array(
          z.strictObject({ seq: z.int(), at: timestamp, stream: z.enum(LOG_STREAMS), text: z.string() }),
        ),
      }),
      timestamp,
    })
    .meta({
      description:
        "New log entries of a running job of the project; without a seq of the stream. When `after` is not the last entry you have, read what is missing with GET /jobs/{jobId}/logs?after=.",
    }),
  ack: z.strictObject({ type: z.literal("ack"), id: z.string().nullable(), ...position }),
  nack: z.strictObject({
    type: z.literal("nack"),
    id: z.string().nullable(),
    code: z.string().meta({ description: "A code of the error catalogue." }),
    detail: z.string(),
    errors: z
      .array(z.strictObject({ pointer: z.string(), code: z.string(), message: z.string() }))
      .optional(),
    retryAfterMs: z.number().optional(),
  }),
  resumed: z.strictObject({ type: z.literal("resumed"), ...position }),
  resync: z.strictObject({
    type: z.literal("resync"),
    reason: z.enum(["window", "epoch", "ahead", "history_lost"]),
    ...position,
  }),
  pong: z.strictObject({ type: z.literal("pong"), id: z.string().nullable() }),
  "auth.expiring": z.strictObject({ type: z.literal("auth.expiring"), expiresAt: timestamp }),
  "auth.refreshed": z.strictObject({
    type: z.literal("auth.refreshed"),
    id: z.string().nullable(),
    expiresAt: timestamp,
  }),
  "access.changed": z.strictObject({ type: z.literal("access.changed"), role }),
  "access.revoked": z.strictObject({ type: z.literal("access.revoked"), reason: z.string() }),
  "server.restarting": z.strictObject({ type: z.literal("server.restarting"), reconnectAfterMs: z.number() }),
  "server.degraded": z.strictObject({ type: z.literal("server.degraded"), dependency: z.string() }),
  "server.recovered": z.strictObject({ type: z.literal("server.recovered"), dependency: z.string() }),
} as const;

/** The text of a nack. */
export function nack(
  messageId: string | null,
  code: ErrorCode,
  detail: string,
  more: { readonly errors?: readonly unknown[]; readonly retryAfterMs?: number } = {},
): string {
  return JSON.stringify({ type: "nack", id: messageId, code, detail, ...more });
}

/** The text of an ack: the event stands at `seq`. */
export function ack(messageId: string | null, seq: number, epoch: string): string {
  return JSON.stringify({ type: "ack", id: messageId, seq, epoch });
}
