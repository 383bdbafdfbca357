import { AppError } from "../errors.js";
import type { AuthzLog } from "../events/authz-log.js";
import type { Outbox } from "../events/outbox.js";
import { versionMismatch } from "../http/etag.js";
import type { Page } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Tx } from "../platform/database/database.js";
import type { Access, Role } from "./access.js";
import type { Account } from "./accounts.js";
import type { InvitationRepository } from "./invitation-repository.js";
import type { MemberRepository, MemberRow } from "./member-repository.js";
import type { Member } from "./schema.js";

/** Where the list of members stands. */
export interface MemberPosition {
  readonly joinedAt: number;
  readonly userId: string;
}

/** Use cases of memberships. `actor` is the id of the account that asks. */
export interface MemberService {
  /** In the order of joining. */
  list(
    actor: string,
    projectId: string,
    page: Page<MemberPosition>,
  ): Promise<{ members: Member[]; nextCursor: string | null }>;
  /**
   * Makes an account a member, in a transaction that has the project's `membership` turn, as its last step.
   *
   * @throws AppError `already_member`; the role stays as it was.
   */
  add(tx: Tx, actor: string, projectId: string, account: Account, role: Role): Promise<Member>;
  /** `applied`: every node works with the new role. @throws AppError `last_owner`. */
  setRole(
    actor: string,
    projectId: string,
    userId: string,
    role: Role,
    ifMatch: number | undefined,
  ): Promise<{ member: Member; applied: boolean }>;
  /** Removes a member, or lets `actor` leave. `applied`: on every node. @throws AppError `last_owner`. */
  remove(
    actor: string,
    projectId: string,
    userId: string,
    ifMatch: number | undefined,
  ): Promise<{ applied: boolean }>;
}

/** The membership use cases over these parts. */
export function createMemberService(deps: {
  database: Database;
  repository: MemberRepository;
  invitations: InvitationRepository;
  access: Access;
  outbox: Outbox;
  authzLog: AuthzLog;
  /** Waits until every node has applied a change of access. */
  settled: (seq: number) => Promise<boolean>;
  clock: Clock;
}): MemberService {
  const { database, repository, invitations, access, outbox, authzLog, settled, clock } = deps;

  async function memberToChange(
    tx: Tx,
    projectId: string,
    userId: string,
    ifMatch: number | undefined,
  ): Promise<MemberRow> {
    const row = await repository.find(tx, projectId, userId);
    if (!row) throw new AppError("not_found");
    if (ifMatch !== undefined && ifMatch !== row.version) throw versionMismatch(row.version);
    return row;
  }

  /** An Owner goes: somebody else must be one, and what they invited to is void. */
  async function endOwnership(tx: Tx, actor: string, projectId: string, userId: string): Promise<void> {
    if ((await repository.countOwners(tx, projectId)) < 2) throw new AppError("last_owner");
    for (const invitationId of await invitations.deleteWhere(tx, projectId, { invitedBy: userId })) {
      await outbox.append(tx, {
        type: "invitation_revoked",
        payload: { invitationId },
        projectId,
        userId: actor,
      });
    }
  }

  return {
    async list(actor, projectId, page) {
      await access.require(database, actor, projectId, "member.read");
      const rows = await repository.pageOf(database, projectId, page.limit + 1, page.after);
      const shown = rows.slice(0, page.limit);
      const last = rows.length > page.limit ? shown.at(-1) : undefined;
      return {
        members: shown.map(presentMember),
        nextCursor: page.next(last && { joinedAt: last.joinedAt.getTime(), userId: last.userId }),
      };
    },

    async add(tx, actor, projectId, account, role) {
      if (await repository.find(tx, projectId, account.id)) throw new AppError("already_member");
      await repository.insert(tx, projectId, account.id, role, new Date(clock.now()));
      await outbox.append(tx, {
        type: "member_added",
        payload: { memberId: account.id, name: account.name, role },
        projectId,
        userId: actor,
      });
      const row = await repository.find(tx, projectId, account.id);
      if (!row) throw new Error("a member just added is not there");
      await authzLog.append(tx, [
        { kind: "membership", subject: account.id, projectId, reason: "member_added" },
      ]);
      return presentMember(row);
    },

    async setRole(actor, projectId, userId, role, ifMatch) {
      const { member, seq } = await database.transaction(async (tx) => {
        await access.requireForMembership(tx, actor, projectId, "member.manage");
        const row = await memberToChange(tx, projectId, userId, ifMatch);
        if (row.role === role) return { member: presentMember(row), seq: undefined };
        if (row.role === "owner") await endOwnership(tx, actor, projectId, userId);
        const version = await repository.setRole(tx, projectId, userId, role);
        await outbox.append(tx, {
          type: "role_changed",
          payload: { memberId: userId, name: row.name, from: row.role, to: role },
          projectId,
          userId: actor,
        });
        return {
          member: presentMember({ ...row, role, version }),
          seq: await authzLog.append(tx, [
            { kind: "membership", subject: userId, projectId, reason: "role_changed" },
          ]),
        };
      });
      return { member, applied: seq === undefined || (await settled(seq)) };
    },

    async remove(actor, projectId, userId, ifMatch) {
      const left = actor === userId;
      const seq = await database.transaction(async (tx) => {
        await access.requireForMembership(tx, actor, projectId, left ? "member.leave" : "member.manage");
        const row = await memberToChange(tx, projectId, userId, ifMatch);
        if (row.role === "owner") await endOwnership(tx, actor, projectId, userId);
        await repository.delete(tx, projectId, userId);
        await outbox.append(tx, {
          type: "member_removed",
          payload: { memberId: userId, name: row.name, left },
          projectId,
          userId: actor,
        });
        const reason = left ? "member_left" : "member_removed";
        return authzLog.append(tx, [{ kind: "membership", subject: userId, projectId, reason }]);
      });
      return { applied: await settled(seq) };
    },
  };
}

function presentMember(row: MemberRow): Member {
  return {
    userId: row.userId,
    name: row.name,
    email: row.email,
    role: row.role,
    version: row.version,
    joinedAt: row.joinedAt.toISOString(),
  };
}
