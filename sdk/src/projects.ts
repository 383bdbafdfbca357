import type { Caller, CallOptions } from "./caller.js";
import type { Activity, Invitation, Member, Operations, PresentUser, Project } from "./generated/api.js";
import { type Pages, pagesOf } from "./pages.js";

/** A role in a project. */
export type Role = Operations["setMemberRole"]["body"]["role"];

/** Projects the account is a member of. */
export interface Projects {
  create(input: Operations["createProject"]["body"], options?: CallOptions): Promise<Project>;
  list(query?: Operations["listProjects"]["query"], options?: CallOptions): Pages<Project>;
  get(projectId: string, options?: CallOptions): Promise<Project>;
  /** Changes what is given. */
  update(
    projectId: string,
    input: Operations["updateProject"]["body"],
    options?: CallOptions,
  ): Promise<Project>;
  delete(projectId: string, options?: CallOptions): Promise<void>;
  /** Who is connected now. */
  presence(projectId: string, options?: CallOptions): Promise<readonly PresentUser[]>;
}

/** Members of projects. */
export interface Members {
  list(projectId: string, query?: Operations["listMembers"]["query"], options?: CallOptions): Pages<Member>;
  /** A `member` when the account exists, else an `invitation` with a link to pass on. */
  add(
    projectId: string,
    input: Operations["inviteMember"]["body"],
    options?: CallOptions,
  ): Promise<Operations["inviteMember"]["reply"]>;
  /** @throws AtelierError `last_owner`. */
  setRole(projectId: string, userId: string, role: Role, options?: CallOptions): Promise<Member>;
  /** Takes somebody out, or leaves, when it is yourself. @throws AtelierError `last_owner`. */
  remove(projectId: string, userId: string, options?: CallOptions): Promise<void>;
}

/** Invitations to projects. */
export interface Invitations {
  list(
    projectId: string,
    query?: Operations["listInvitations"]["query"],
    options?: CallOptions,
  ): Pages<Invitation>;
  revoke(projectId: string, invitationId: string, options?: CallOptions): Promise<void>;
  /** Makes a new link; the old one ends. */
  resend(
    projectId: string,
    invitationId: string,
    options?: CallOptions,
  ): Promise<Operations["resendInvitation"]["reply"]["invitation"]>;
  /** @throws AtelierError `link_expired`, `invitation_for_another`. */
  accept(token: string, options?: CallOptions): Promise<Project>;
}

/** What happened in projects. */
export interface ActivityLog {
  /** Newest first. */
  list(
    projectId: string,
    query?: Operations["listActivity"]["query"],
    options?: CallOptions,
  ): Pages<Activity>;
}

/** Projects over the API. */
export function createProjects(caller: Caller): Projects {
  return {
    create: async (body, options) => (await caller.call("createProject", { body, ...options })).project,
    list: (query, options) =>
      pagesOf(query?.cursor, async (cursor) => {
        const { projects, nextCursor } = await caller.call("listProjects", {
          query: { ...query, cursor },
          ...options,
        });
        return { items: projects, nextCursor };
      }),
    get: async (projectId, options) =>
      (await caller.call("getProject", { params: { projectId }, ...options })).project,
    update: async (projectId, body, options) =>
      (await caller.call("updateProject", { params: { projectId }, body, ...options })).project,
    delete: (projectId, options) => caller.call("deleteProject", { params: { projectId }, ...options }),
    presence: async (projectId, options) =>
      (await caller.call("listPresence", { params: { projectId }, ...options })).presence,
  };
}

/** Members over the API. */
export function createMembers(caller: Caller): Members {
  return {
    list: (projectId, query, options) =>
      pagesOf(query?.cursor, async (cursor) => {
        const { members, nextCursor } = await caller.call("listMembers", {
          params: { projectId },
          query: { ...query, cursor },
          ...options,
        });
        return { items: members, nextCursor };
      }),
    add: (projectId, body, options) =>
      caller.call("inviteMember", { params: { projectId }, body, ...options }),
    setRole: async (projectId, userId, role, options) =>
      (await caller.call("setMemberRole", { params: { projectId, userId }, body: { role }, ...options }))
        .member,
    remove: (projectId, userId, options) =>
      caller.call("removeMember", { params: { projectId, userId }, ...options }),
  };
}

/** Invitations over the API. */
export function createInvitations(caller: Caller): Invitations {
  return {
    list: (projectId, query, options) =>
      pagesOf(query?.cursor, async (cursor) => {
        const { invitations, nextCursor } = await caller.call("listInvitations", {
          params: { projectId },
          query: { ...query, cursor },
          ...options,
        });
        return { items: invitations, nextCursor };
      }),
    revoke: (projectId, invitationId, options) =>
      caller.call("revokeInvitation", { params: { projectId, invitationId }, ...options }),
    resend: async (projectId, invitationId, options) =>
      (await caller.call("resendInvitation", { params: { projectId, invitationId }, ...options })).invitation,
    accept: async (token, options) =>
      (await caller.call("acceptInvitation", { body: { token }, ...options })).project,
  };
}

/** The activity log over the API. */
export function createActivityLog(caller: Caller): ActivityLog {
  return {
    list: (projectId, query, options) =>
      pagesOf(query?.cursor, async (cursor) => {
        const { activity, nextCursor } = await caller.call("listActivity", {
          params: { projectId },
          query: { ...query, cursor },
          ...options,
        });
        return { items: activity, nextCursor };
      }),
  };
}
