import { v7 } from "uuid";
import { AppError } from "../errors.js";
import type { AuthzLog } from "../events/authz-log.js";
import type { Outbox } from "../events/outbox.js";
import { versionMismatch } from "../http/etag.js";
import type { Page } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Tx } from "../platform/database/database.js";
import { type Access, decide } from "./access.js";
import type { MemberRepository } from "./member-repository.js";
import type { ProjectFields, ProjectRepository, ProjectRow } from "./repository.js";
import type { Project } from "./schema.js";

/** Use cases of projects. `actor` is the id of the account that asks. */
export interface ProjectService {
  /** The creator becomes the Owner. */
  create(tx: Tx, actor: string, fields: ProjectFields): Promise<Project>;
  get(actor: string, projectId: string): Promise<Project>;
  /** The projects `actor` is a member of, newest first. */
  list(
    actor: string,
    page: Page<{ id: string }>,
  ): Promise<{ projects: Project[]; nextCursor: string | null }>;
  /** @param change what is undefined stays as it is. */
  update(
    actor: string,
    projectId: string,
    change: Partial<ProjectFields>,
    ifMatch: number | undefined,
  ): Promise<Project>;
  /** Deletes the project with everything in it. `applied`: every node has taken its access away. */
  delete(actor: string, projectId: string, ifMatch: number | undefined): Promise<{ applied: boolean }>;
}

/** The project use cases over these parts. */
export function createProjectService(deps: {
  database: Database;
  repository: ProjectRepository;
  members: MemberRepository;
  access: Access;
  outbox: Outbox;
  authzLog: AuthzLog;
  /** Waits until every node has applied a change of access. */
  settled: (seq: number) => Promise<boolean>;
  clock: Clock;
}): ProjectService {
  const { database, repository, members, access, outbox, authzLog, settled, clock } = deps;

  function checkVersion(row: ProjectRow, ifMatch: number | undefined): void {
    if (ifMatch !== undefined && ifMatch !== row.version) throw versionMismatch(row.version);
  }

  async function lockedRow(tx: Tx, projectId: string, actor: string): Promise<ProjectRow> {
    const row = await repository.findForUpdate(tx, projectId, actor);
    if (!row) throw new AppError("not_found");
    return row;
  }

  return {
    async create(tx, actor, fields) {
      const id = v7();
      const at = new Date(clock.now());
      await repository.insert(tx, id, fields, at);
      await members.insert(tx, id, actor, "owner", at);
      await outbox.append(tx, {
        type: "project_created",
        payload: { name: fields.name },
        projectId: id,
        userId: actor,
      });
      const row = await repository.find(tx, id, actor);
      if (!row) throw new Error("a project just created is not there");
      return presentProject(row);
    },

    async get(actor, projectId) {
      const row = await repository.find(database, projectId, actor);
      if (!row) throw new AppError("not_found");
      decide(row.role, "project.read");
      return presentProject(row);
    },

    async list(actor, page) {
      const rows = await repository.pageOf(database, actor, page.limit + 1, page.after);
      const shown = rows.slice(0, page.limit);
      return {
        projects: shown.map(presentProject),
        nextCursor: page.next(rows.length > page.limit ? positionOf(shown.at(-1)) : undefined),
      };
    },

    update: (actor, projectId, change, ifMatch) =>
      database.transaction(async (tx) => {
        await access.requireForWrite(tx, actor, projectId, "project.update");
        const before = await lockedRow(tx, projectId, actor);
        checkVersion(before, ifMatch);
        const fields: ProjectFields = {
          name: change.name ?? before.name,
          description: change.description === undefined ? before.description : change.description,
        };
        const changed = (["name", "description"] as const).filter((field) => fields[field] !== before[field]);
        if (changed.length === 0) return presentProject(before);
        const updatedAt = new Date(clock.now());
        const version = await repository.update(tx, projectId, fields, updatedAt);
        await outbox.append(tx, {
          type: "project_updated",
          payload: { name: fields.name, changed },
          projectId,
          userId: actor,
        });
        return presentProject({ ...before, ...fields, updatedAt, version });
      }),

    async delete(actor, projectId, ifMatch) {
      const seq = await database.transaction(async (tx) => {
        await access.requireForMembership(tx, actor, projectId, "project.delete");
        const row = await lockedRow(tx, projectId, actor);
        checkVersion(row, ifMatch);
        await repository.delete(tx, projectId);
        await outbox.append(tx, {
          type: "project_deleted",
          payload: { name: row.name },
          projectId,
          userId: actor,
        });
        return authzLog.append(tx, [{ kind: "project", subject: projectId, projectId, reason: "deleted" }]);
      });
      return { applied: await settled(seq) };
    },
  };
}

function positionOf(row: ProjectRow | undefined): { id: string } | undefined {
  return row && { id: row.id };
}

/** A project as it leaves the service. */
export function presentProject(row: ProjectRow): Project {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    role: row.role,
    version: row.version,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}
