import { z } from "zod";
import { defineRoute, type Route } from "../http/route.js";
import { idPosition, projectBody, projectParams, projectPatchBody, projectSchema } from "./schema.js";
import type { ProjectService } from "./service.js";

/** Header that says whether every node works with a change of access already. */
export function appliedHeader(applied: boolean): Readonly<Record<string, string>> {
  return { "X-Access-Applied": String(applied) };
}

/** What {@link appliedHeader} means, for the documentation of routes that send it. */
export const APPLIED_NOTE =
  "`X-Access-Applied: true` says that every node works with the change; with `false` a node that cannot be reached stops writing within 3 s.";

const tag = "Projects";
const projectReply = z.strictObject({ project: projectSchema });

/** `/projects` and `/projects/:projectId`. */
export function projectRoutes(deps: { projects: ProjectService; basePath: string }): readonly Route[] {
  const { projects, basePath } = deps;
  return [
    defineRoute(
      {
        method: "post",
        path: "/projects",
        operationId: "createProject",
        tag,
        summary: "Create a project",
        description: "You become its Owner.",
        auth: "user",
        body: projectBody,
        idempotent: true,
        replies: { 201: { description: "The new project.", body: projectReply } },
      },
      async ({ tx, principal, body }) => {
        const fields = { name: body.name, description: body.description ?? null };
        const project = await projects.create(tx, principal.userId, fields);
        return {
          status: 201,
          headers: { Location: `${basePath}/projects/${project.id}` },
          version: project.version,
          body: { project },
        };
      },
    ),
    defineRoute(
      {
        method: "get",
        path: "/projects",
        operationId: "listProjects",
        tag,
        summary: "List the projects you are a member of, newest first",
        auth: "user",
        list: { position: idPosition },
        replies: {
          200: {
            description: "One page.",
            body: z.strictObject({ projects: z.array(projectSchema), nextCursor: z.string().nullable() }),
          },
        },
      },
      async ({ principal, page }) => ({ status: 200, body: await projects.list(principal.userId, page) }),
    ),
    defineRoute(
      {
        method: "get",
        path: "/projects/:projectId",
        operationId: "getProject",
        tag,
        summary: "Read a project",
        auth: "user",
        params: projectParams,
        conditional: true,
        replies: { 200: { description: "The project.", body: projectReply } },
        problems: ["not_found"],
      },
      async ({ principal, params }) => {
        const project = await projects.get(principal.userId, params.projectId);
        return { status: 200, version: project.version, body: { project } };
      },
    ),
    defineRoute(
      {
        method: "put",
        path: "/projects/:projectId",
        operationId: "replaceProject",
        tag,
        summary: "Replace name and description",
        description: "A description that is left out is cleared.",
        auth: "user",
        params: projectParams,
        body: projectBody,
        conditional: true,
        replies: { 200: { description: "The project as it is now.", body: projectReply } },
        problems: ["forbidden", "not_found"],
      },
      async ({ principal, params, body, ifMatch }) => {
        const change = { name: body.name, description: body.description ?? null };
        const project = await projects.update(principal.userId, params.projectId, change, ifMatch);
        return { status: 200, version: project.version, body: { project } };
      },
    ),
    defineRoute(
      {
        method: "patch",
        path: "/projects/:projectId",
        operationId: "updateProject",
        tag,
        summary: "Change name or description",
        description: "What is left out stays as it is; a null description clears it.",
        auth: "user",
        params: projectParams,
        body: projectPatchBody,
        conditional: true,
        replies: { 200: { description: "The project as it is now.", body: projectReply } },
        problems: ["forbidden", "not_found"],
      },
      async ({ principal, params, body, ifMatch }) => {
        const project = await projects.update(principal.userId, params.projectId, body, ifMatch);
        return { status: 200, version: project.version, body: { project } };
      },
    ),
    defineRoute(
      {
        method: "delete",
        path: "/projects/:projectId",
        operationId: "deleteProject",
        tag,
        summary: "Delete a project with everything in it",
        description: `There is no way back. ${APPLIED_NOTE}`,
        auth: "user",
        params: projectParams,
        conditional: true,
        replies: { 204: { description: "It is gone." } },
        problems: ["forbidden", "not_found"],
      },
      async ({ principal, params, ifMatch }) => {
        const { applied } = await projects.delete(principal.userId, params.projectId, ifMatch);
        return { status: 204, headers: appliedHeader(applied) };
      },
    ),
  ];
}
