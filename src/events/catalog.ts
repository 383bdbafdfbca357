import { z } from "zod";

const id = z.uuid();
const role = z.enum(["owner", "collaborator", "viewer"]);

/**
 * Every domain event: its name is also the type of the socket event and of the activity entry. Payloads hold ids and names
 * that every member of the project may see, never tokens, addresses of others or content.
 */
export const EVENTS = {
  user_registered: z.strictObject({ name: z.string() }),
  project_created: z.strictObject({ name: z.string() }),
  project_updated: z.strictObject({ name: z.string(), changed: z.array(z.string()) }),
  project_deleted: z.strictObject({ name: z.string() }),
  member_added: z.strictObject({ memberId: id, name: z.string(), role }),
  member_removed: z.strictObject({ memberId: id, name: z.string(), left: z.boolean() }),
  role_changed: z.strictObject({ memberId: id, name: z.string(), from: role, to: role }),
  invitation_created: z.strictObject({ invitationId: id, role, resent: z.boolean().default(false) }),
  invitation_accepted: z.strictObject({ invitationId: id, role }),
  invitation_revoked: z.strictObject({ invitationId: id }),
  workspace_created: z.strictObject({ workspaceId: id, name: z.string() }),
  workspace_updated: z.strictObject({ workspaceId: id, name: z.string(), changed: z.array(z.string()) }),
  workspace_deleted: z.strictObject({ workspaceId: id, name: z.string() }),
  file_created: z.strictObject({ workspaceId: id, path: z.string() }),
  file_edited: z.strictObject({ workspaceId: id, path: z.string() }),
  file_renamed: z.strictObject({ workspaceId: id, from: z.string(), to: z.string() }),
  file_deleted: z.strictObject({ workspaceId: id, path: z.string() }),
  file_restored: z.strictObject({ workspaceId: id, path: z.string(), versionId: id }),
  version_created: z.strictObject({
    workspaceId: id,
    path: z.string(),
    versionId: id,
    label: z.string().nullable(),
  }),
  files_imported: z.strictObject({ workspaceId: id, created: z.number(), replaced: z.number() }),
  job_created: z.strictObject({ jobId: id, jobType: z.string() }),
  job_started: z.strictObject({ jobId: id, jobType: z.string(), attempt: z.number() }),
  job_retrying: z.strictObject({ jobId: id, jobType: z.string(), attempt: z.number(), code: z.string() }),
  job_completed: z.strictObject({ jobId: id, jobType: z.string(), attempt: z.number(), status: z.string() }),
  job_failed: z.strictObject({ jobId: id, jobType: z.string(), attempt: z.number(), code: z.string() }),
  job_retried: z.strictObject({ jobId: id, jobType: z.string() }),
  job_cancelled: z.strictObject({ jobId: id, jobType: z.string() }),
} as const;

/** Name of a domain event. */
export type EventType = keyof typeof EVENTS;

/** An event about to be written. */
export type NewEvent = {
  [K in EventType]: {
    readonly type: K;
    readonly payload: z.input<(typeof EVENTS)[K]>;
    /** The project it belongs to; null for events of an account. */
    readonly projectId: string | null;
    /** Who did it; null for the system. */
    readonly userId: string | null;
  };
}[EventType];

/** An event as consumers read it from the outbox. */
export interface DomainEvent {
  /** UUID v7; the same in the outbox, the activity log and on sockets. */
  readonly id: string;
  /** Place in the order of all events. */
  readonly position: number;
  readonly type: EventType;
  readonly projectId: string | null;
  readonly userId: string | null;
  readonly payload: Readonly<Record<string, unknown>>;
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
}
