import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import type { AtelierError, LinkState, PresentUser, ProjectEvent, Realtime } from "atelier-client";
import { useEffect, useState } from "react";
import { client } from "./client.js";

/** The live side of the project at hand. */
export interface LiveProject {
  /** Calls `handler` with every event of this type; answers what ends that. */
  readonly on: (type: string, handler: (event: ProjectEvent) => void) => () => void;
  readonly state: LinkState | "none";
  readonly presence: readonly PresentUser[];
  /** Why it ended for good. */
  readonly error: AtelierError | undefined;
  /** A store of the service is away. */
  readonly degraded: string | undefined;
}

const NONE: LiveProject = {
  on: () => () => undefined,
  state: "none",
  presence: [],
  error: undefined,
  degraded: undefined,
};
/** Many events at once have a list read anew once. */
const SETTLE_MS = 150;

/** Follows the events of a project for as long as one of its pages is shown, and keeps what was read up to date. */
export function useLiveProject(projectId: string | undefined): LiveProject {
  const queryClient = useQueryClient();
  const [live, setLive] = useState(NONE);
  useEffect(() => {
    if (projectId === undefined) return setLive(NONE);
    const room = client.realtime(projectId);
    const stale = createStale(queryClient);
    const show = (change: Partial<LiveProject>) => setLive((before) => ({ ...before, ...change }));
    setLive({ ...NONE, on: (type, handler) => room.on(type, handler), state: room.state });
    room.subscribe("state", (state) => {
      show({ state });
      // Whatever happened while nobody listened is in the lists.
      if (state === "connected") stale(["project", projectId]);
    });
    room.subscribe("presence", (presence) => show({ presence }));
    room.subscribe("degraded", (degraded) => show({ degraded }));
    room.subscribe("role", () => stale(["project", projectId]));
    room.subscribe("resync", () => stale(["project", projectId], ["workspace"], ["jobs"]));
    room.subscribe("error", (error) => {
      if (room.state === "closed") {
        show({ error });
        stale(["projects"], ["project", projectId]);
      }
    });
    room.on("*", (event) => stale(...touched(event, projectId)));
    return () => leave(room);
  }, [projectId, queryClient]);
  return live;
}

function leave(room: Realtime): void {
  room.close();
}

/** The lists an event says something about. */
function touched({ type, payload }: ProjectEvent, projectId: string): readonly (readonly unknown[])[] {
  const workspaceId = payload["workspaceId"];
  const keys: (readonly unknown[])[] = [];
  if (/^(project_|role_changed|member_)/.test(type)) keys.push(["project", projectId], ["projects"]);
  else if (type.startsWith("invitation_")) keys.push(["project", projectId, "invitations"]);
  if (type.startsWith("workspace_"))
    keys.push(["project", projectId, "workspaces"], ["workspace", workspaceId]);
  if (/^(file_|version_)/.test(type) && type !== "file_changed") {
    keys.push(["workspace", workspaceId, "files"], ["workspace", workspaceId, "versions"]);
  }
  if (/^job_(?!log|progress)/.test(type)) keys.push(["jobs"]);
  if (type === "job_progress") keys.push(["jobs"]);
  // Passing events are not in the log.
  if (!/^(cursor_|selection_|job_log|job_progress|user_)/.test(type))
    keys.push(["project", projectId, "activity"]);
  return keys;
}

function createStale(queryClient: QueryClient): (...keys: readonly (readonly unknown[])[]) => void {
  const waiting = new Map<string, readonly unknown[]>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (...keys) => {
    for (const key of keys) waiting.set(JSON.stringify(key), key);
    if (waiting.size === 0) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      for (const queryKey of waiting.values()) void queryClient.invalidateQueries({ queryKey });
      waiting.clear();
    }, SETTLE_MS);
  };
}
