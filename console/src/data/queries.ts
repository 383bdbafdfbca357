import { infiniteQueryOptions, QueryClient, queryOptions } from "@tanstack/react-query";
import type { JobSummary } from "atelier-client";
import { client } from "./client.js";

const LIST_MOST = 1_000;

/** What the page has read. The client tries again by itself where that is safe, so a query does not. */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: { retry: false, staleTime: 10_000, refetchOnWindowFocus: true, networkMode: "always" },
    mutations: { networkMode: "always" },
  },
});

/** Every query of the console; what changes something names these keys to have them read anew. */
export const queries = {
  projects: () =>
    queryOptions({
      queryKey: ["projects"],
      queryFn: ({ signal }) => client.projects.list({ limit: 100 }, { signal }).all(LIST_MOST),
    }),
  project: (id: string) =>
    queryOptions({ queryKey: ["project", id], queryFn: ({ signal }) => client.projects.get(id, { signal }) }),
  members: (id: string) =>
    queryOptions({
      queryKey: ["project", id, "members"],
      queryFn: ({ signal }) => client.members.list(id, { limit: 100 }, { signal }).all(LIST_MOST),
    }),
  invitations: (id: string) =>
    queryOptions({
      queryKey: ["project", id, "invitations"],
      queryFn: ({ signal }) => client.invitations.list(id, { limit: 100 }, { signal }).all(LIST_MOST),
    }),
  workspaces: (projectId: string) =>
    queryOptions({
      queryKey: ["project", projectId, "workspaces"],
      queryFn: ({ signal }) => client.workspaces.list(projectId, { limit: 100 }, { signal }).all(LIST_MOST),
    }),
  workspace: (id: string) =>
    queryOptions({
      queryKey: ["workspace", id],
      queryFn: ({ signal }) => client.workspaces.get(id, { signal }),
    }),
  files: (workspaceId: string) =>
    queryOptions({
      queryKey: ["workspace", workspaceId, "files"],
      queryFn: ({ signal }) => client.files.list(workspaceId, { limit: 100 }, { signal }).all(10_000),
    }),
  versions: (workspaceId: string, path: string) =>
    infiniteQueryOptions({
      queryKey: ["workspace", workspaceId, "versions", path],
      queryFn: ({ pageParam, signal }) =>
        client.call("listVersions", {
          params: { workspaceId },
          query: { path, limit: 50, cursor: pageParam },
          signal,
        }),
      initialPageParam: undefined as string | undefined,
      getNextPageParam: ({ nextCursor }) => nextCursor ?? undefined,
    }),
  version: (workspaceId: string, versionId: string) =>
    queryOptions({
      queryKey: ["workspace", workspaceId, "version", versionId],
      queryFn: ({ signal }) => client.call("readVersion", { params: { workspaceId, versionId }, signal }),
    }),
  versionDiff: (workspaceId: string, versionId: string) =>
    queryOptions({
      queryKey: ["workspace", workspaceId, "version", versionId, "diff"],
      queryFn: async ({ signal }) =>
        (
          await client.call("diffVersion", {
            params: { workspaceId, versionId },
            query: { against: "current" },
            signal,
          })
        ).diff,
      staleTime: 0,
    }),
  devices: () =>
    queryOptions({
      queryKey: ["devices"],
      queryFn: ({ signal }) => client.sessions.list({ limit: 100 }, { signal }).all(LIST_MOST),
    }),
  languages: () =>
    queryOptions({
      queryKey: ["languages"],
      queryFn: ({ signal }) => client.jobs.languages({ signal }),
      staleTime: 300_000,
    }),
  jobs: ({
    projectId,
    status,
  }: {
    readonly projectId: string | undefined;
    readonly status: JobSummary["status"] | undefined;
  }) =>
    infiniteQueryOptions({
      queryKey: ["jobs", projectId, status],
      queryFn: ({ pageParam, signal }) =>
        Promise.resolve(client.jobs.list({ projectId, status, limit: 50, cursor: pageParam }, { signal })),
      initialPageParam: undefined as string | undefined,
      getNextPageParam: ({ nextCursor }) => nextCursor ?? undefined,
    }),
  activity: (projectId: string, filter: { readonly type?: string; readonly userId?: string }) =>
    infiniteQueryOptions({
      queryKey: ["project", projectId, "activity", filter],
      queryFn: ({ pageParam, signal }) =>
        Promise.resolve(
          client.activity.list(projectId, { ...filter, limit: 50, cursor: pageParam }, { signal }),
        ),
      initialPageParam: undefined as string | undefined,
      getNextPageParam: ({ nextCursor }) => nextCursor ?? undefined,
    }),
  /** What happened since `since`, for the chart by day. */
  recentActivity: (projectId: string, since: string) =>
    queryOptions({
      queryKey: ["project", projectId, "activity", "since", since],
      queryFn: ({ signal }) => client.activity.list(projectId, { since, limit: 100 }, { signal }).all(5_000),
      staleTime: 60_000,
    }),
};
