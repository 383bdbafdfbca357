import { v7 } from "uuid";
import type { ProjectApp, TestUser } from "./project-app.js";

/** Who asks: the roles of the project, who is outside it, who was removed from it, and nobody. */
export const PERSONAS = ["anonymous", "outsider", "removed", "viewer", "collaborator", "owner"] as const;

/** One of {@link PERSONAS}. */
export type Persona = (typeof PERSONAS)[number];

/** Ids of what a project holds. */
export interface ProjectIds {
  readonly projectId: string;
  readonly workspaceId: string;
  readonly invitationId: string;
  /** A viewer nobody plays. */
  readonly memberId: string;
  /** Token of an invitation for somebody else. */
  readonly token: string;
}

/** A project in which every persona stands as it should, and one of the outsider's own. */
export interface World extends ProjectIds {
  readonly personas: Readonly<Record<Exclude<Persona, "anonymous">, TestUser>>;
  readonly foreign: ProjectIds;
}

/** What one route answers to whom; `body` fits its schema. */
export interface MatrixRow {
  readonly method: string;
  readonly path: (ids: ProjectIds) => string;
  readonly body?: (ids: ProjectIds) => Readonly<Record<string, unknown>>;
  readonly expected: Readonly<Record<Persona, number>>;
}

const by = (outside: number, viewer: number, collaborator: number, owner: number) => ({
  anonymous: 401,
  outsider: outside,
  removed: outside,
  viewer,
  collaborator,
  owner,
});
const everybody = (status: number) => by(status, status, status, status);
const readers = by(404, 200, 200, 200);
const project = ({ projectId }: ProjectIds) => `/projects/${projectId}`;
const member = (ids: ProjectIds) => `${project(ids)}/members/${ids.memberId}`;
const invitation = (ids: ProjectIds) => `${project(ids)}/invitations/${ids.invitationId}`;
const workspace = ({ workspaceId }: ProjectIds) => `/workspaces/${workspaceId}`;

/** One row per route, by operation id. */
export const MATRIX: Readonly<Record<string, MatrixRow>> = {
  createProject: {
    method: "POST",
    path: () => "/projects",
    body: () => ({ name: "Mine", description: "Text" }),
    expected: everybody(201),
  },
  listProjects: { method: "GET", path: () => "/projects", expected: everybody(200) },
  getProject: { method: "GET", path: project, expected: readers },
  replaceProject: {
    method: "PUT",
    path: project,
    body: () => ({ name: "Replaced", description: "Text" }),
    expected: by(404, 403, 200, 200),
  },
  updateProject: {
    method: "PATCH",
    path: project,
    body: () => ({ name: "Updated", description: "Text" }),
    expected: by(404, 403, 200, 200),
  },
  deleteProject: { method: "DELETE", path: project, expected: by(404, 403, 403, 204) },
  listMembers: { method: "GET", path: (ids) => `${project(ids)}/members`, expected: readers },
  inviteMember: {
    method: "POST",
    path: (ids) => `${project(ids)}/members`,
    body: () => ({ email: `${v7()}@example.test`, role: "owner" }),
    expected: by(404, 403, 403, 201),
  },
  setMemberRole: {
    method: "PUT",
    path: member,
    body: () => ({ role: "owner" }),
    expected: by(404, 403, 403, 200),
  },
  updateMember: {
    method: "PATCH",
    path: member,
    body: () => ({ role: "collaborator" }),
    expected: by(404, 403, 403, 200),
  },
  removeMember: { method: "DELETE", path: member, expected: by(404, 403, 403, 204) },
  listInvitations: {
    method: "GET",
    path: (ids) => `${project(ids)}/invitations`,
    expected: by(404, 403, 403, 200),
  },
  revokeInvitation: { method: "DELETE", path: invitation, expected: by(404, 403, 403, 204) },
  resendInvitation: {
    method: "POST",
    path: (ids) => `${invitation(ids)}/resend`,
    expected: by(404, 403, 403, 200),
  },
  acceptInvitation: {
    method: "POST",
    path: () => "/invitations/accept",
    body: ({ token }) => ({ token }),
    expected: everybody(403),
  },
  createWorkspace: {
    method: "POST",
    path: (ids) => `${project(ids)}/workspaces`,
    body: () => ({ name: "Space", settings: { a: "b" } }),
    expected: by(404, 403, 201, 201),
  },
  listWorkspaces: { method: "GET", path: (ids) => `${project(ids)}/workspaces`, expected: readers },
  getWorkspace: { method: "GET", path: workspace, expected: readers },
  replaceWorkspace: {
    method: "PUT",
    path: workspace,
    body: () => ({ name: "Replaced", settings: { a: "c" } }),
    expected: by(404, 403, 200, 200),
  },
  updateWorkspace: {
    method: "PATCH",
    path: workspace,
    body: () => ({ name: "Updated", settings: { a: "d" } }),
    expected: by(404, 403, 200, 200),
  },
  deleteWorkspace: { method: "DELETE", path: workspace, expected: by(404, 403, 204, 204) },
};

/** The personas of a test file: accounts once, projects as often as needed. */
export async function createWorlds(app: ProjectApp): Promise<() => Promise<World>> {
  const personas = {
    outsider: await app.user(),
    removed: await app.user(),
    viewer: await app.user(),
    collaborator: await app.user(),
    owner: await app.user(),
  };
  const bystander = await app.user();

  async function idsOf(
    owner: TestUser,
    members: readonly (readonly [TestUser, string])[],
  ): Promise<ProjectIds> {
    const projectId = await app.project(owner, [...members, [bystander, "viewer"]]);
    const space = await app.call("POST", `/projects/${projectId}/workspaces`, {
      as: owner,
      body: { name: "Space", settings: { a: "a" } },
    });
    const invited = await app.call("POST", `/projects/${projectId}/members`, {
      as: owner,
      body: { email: `${v7()}@example.test`, role: "viewer" },
    });
    return {
      projectId,
      workspaceId: space.body.workspace.id,
      invitationId: invited.body.invitation.id,
      memberId: bystander.id,
      token: invited.body.invitation.link.split("#token=")[1] ?? "",
    };
  }

  return async () => {
    const ids = await idsOf(personas.owner, [
      [personas.removed, "owner"],
      [personas.viewer, "viewer"],
      [personas.collaborator, "collaborator"],
    ]);
    await app.call("DELETE", `/projects/${ids.projectId}/members/${personas.removed.id}`, {
      as: personas.owner,
    });
    return { ...ids, personas, foreign: await idsOf(personas.outsider, []) };
  };
}
