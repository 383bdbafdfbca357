import type { Activity } from "atelier-client";

type Payload = Activity["payload"];

const text = (payload: Payload, name: string): string => {
  const value = payload[name];
  return typeof value === "string" ? value : "";
};
const quoted = (payload: Payload, name: string): string =>
  text(payload, name) ? `“${text(payload, name)}”` : "";
const article = (role: string): string =>
  /^[aeiou]/.test(role) ? `an ${capital(role)}` : `a ${capital(role)}`;
const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

/** What happened, as the end of a sentence that begins with who did it. */
const SENTENCES: Readonly<Record<string, (payload: Payload) => string>> = {
  project_created: (p) => `made the project ${quoted(p, "name")}`,
  project_updated: (p) => `changed the project ${quoted(p, "name")}`,
  member_added: (p) => `took in ${text(p, "name")} as ${article(text(p, "role"))}`,
  member_removed: (p) => (p["left"] === true ? "left the project" : `took out ${text(p, "name")}`),
  role_changed: (p) => `made ${text(p, "name")} ${article(text(p, "to"))}`,
  invitation_created: (p) => `invited somebody as ${article(text(p, "role"))}`,
  invitation_accepted: (p) => `came in by an invitation as ${article(text(p, "role"))}`,
  invitation_revoked: () => "took back an invitation",
  workspace_created: (p) => `made the workspace ${quoted(p, "name")}`,
  workspace_updated: (p) => `changed the workspace ${quoted(p, "name")}`,
  workspace_deleted: (p) => `deleted the workspace ${quoted(p, "name")}`,
  workspace_imported: () => "imported files",
  file_created: (p) => `made ${text(p, "path")}`,
  file_edited: (p) => `edited ${text(p, "path")}`,
  file_renamed: (p) => `moved ${text(p, "from")} to ${text(p, "to")}`,
  file_deleted: (p) => `deleted ${text(p, "path")}`,
  file_restored: (p) => `brought back an earlier ${text(p, "path")}`,
  version_created: (p) => `kept a version of ${text(p, "path")}`,
  version_restored: (p) => `brought back an earlier ${text(p, "path")}`,
  job_created: (p) => `handed in ${jobOf(p)}`,
  job_started: (p) => `has ${jobOf(p)} under way`,
  job_retrying: (p) => `has ${jobOf(p)} that will be tried again`,
  job_retried: (p) => `started ${jobOf(p)} again`,
  job_completed: (p) => `completed ${jobOf(p)}`,
  job_failed: (p) => `had ${jobOf(p)} fail`,
  job_cancelled: (p) => `stopped ${jobOf(p)}`,
  user_joined: () => "came in",
  user_left: () => "went away",
  chat_message: (p) => `said ${quoted(p, "text") || quoted(p, "message") || "something"}`,
  file_changed: (p) => `changed ${text(p, "fileName") || text(p, "path") || "a file"}`,
};

function jobOf(payload: Payload): string {
  const kind = text(payload, "jobType") || text(payload, "type");
  return kind === "data_processing" ? "a data job" : kind === "report_generation" ? "a report" : "a run";
}

/** The sentence of an entry without its subject; an unknown type is named as it is. */
export function sentenceOf({ type, payload }: Pick<Activity, "type" | "payload">): string {
  return (SENTENCES[type]?.(payload) ?? `did ${type.replaceAll(/[._]/g, " ")}`).trim();
}

/** Kinds a feed can be filtered by. */
export const FILTERS: readonly (readonly [type: string, label: string])[] = [
  ["member_added", "New members"],
  ["role_changed", "Roles"],
  ["workspace_created", "New workspaces"],
  ["file_created", "New files"],
  ["file_deleted", "Deleted files"],
  ["job_created", "Runs"],
  ["job_failed", "Failed runs"],
];
