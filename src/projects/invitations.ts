import { randomBytes } from "node:crypto";
import { v7 } from "uuid";
import { AppError } from "../errors.js";
import type { Outbox } from "../events/outbox.js";
import { rateLimited } from "../http/rate-limit.js";
import type { Page } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Tx } from "../platform/database/database.js";
import type { Mailer } from "../platform/mail/mailer.js";
import type { Logger } from "../platform/observability/logger.js";
import type { RateLimiter, RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";
import type { Access, Role } from "./access.js";
import type { Account, Accounts } from "./accounts.js";
import { invitationMail } from "./invitation-mail.js";
import type { InvitationRepository, InvitationRow } from "./invitation-repository.js";
import type { InvitationTokens, TokenWay } from "./invitation-tokens.js";
import type { MemberRepository } from "./member-repository.js";
import type { MemberService } from "./members.js";
import type { ProjectRepository } from "./repository.js";
import type { Invitation, IssuedInvitation, Member, Project } from "./schema.js";
import { presentProject } from "./service.js";

/** How long an invitation link works. */
const LIFE_MS = 7 * 86_400_000;
/** How long an expired invitation is still listed, so that it can be sent again. */
const KEEP_EXPIRED_MS = 30 * 86_400_000;

/** Use cases of invitations. `actor` is the id of the account that asks. */
export interface InvitationService {
  /**
   * Adds the account with this address, or invites the address when there is none.
   *
   * @param email in canonical form.
   * @throws AppError `already_member`.
   */
  invite(
    tx: Tx,
    actor: string,
    projectId: string,
    email: string,
    role: Role,
  ): Promise<{ member: Member } | { invitation: IssuedInvitation }>;
  /** Pending invitations, newest first. */
  list(
    actor: string,
    projectId: string,
    page: Page<{ id: string }>,
  ): Promise<{ invitations: Invitation[]; nextCursor: string | null }>;
  revoke(actor: string, projectId: string, invitationId: string): Promise<void>;
  /** Makes a new link, mails it and kills the old one; `actor` becomes the inviter. */
  resend(tx: Tx, actor: string, projectId: string, invitationId: string): Promise<IssuedInvitation>;
  /**
   * @throws AppError `link_expired` for a link that was used, revoked, replaced, has expired or is void;
   * `invitation_for_another` for an account with another address.
   */
  accept(tx: Tx, actor: string, token: string): Promise<{ project: Project; member: Member }>;
  /** Forgets what expired long ago, at most `limit`. */
  prune(limit: number): Promise<void>;
}

/** The invitation use cases over these parts. */
export function createInvitationService(deps: {
  database: Database;
  repository: InvitationRepository;
  projects: ProjectRepository;
  memberRepository: MemberRepository;
  members: MemberService;
  accounts: Accounts;
  access: Access;
  tokens: InvitationTokens;
  outbox: Outbox;
  mailer: Mailer;
  limiter: RateLimiter;
  /** Invitations mailed to one address. */
  addressPolicy: RateLimitPolicy;
  /** Without a trailing slash. */
  publicUrl: string;
  clock: Clock;
  logger: Logger;
}): InvitationService {
  const { database, repository, projects, memberRepository, members, accounts, access, tokens } = deps;
  const { outbox, mailer, limiter, addressPolicy, clock, logger } = deps;
  const gone = () => new AppError("link_expired");

  /** Before any lock is taken: the limiter may be a server elsewhere. */
  async function admitMailTo(email: string): Promise<void> {
    const verdict = await limiter.consume(addressPolicy, email);
    if (!verdict.allowed) throw rateLimited(addressPolicy, verdict);
  }

  function fresh(now: number) {
    return { salt: randomBytes(16), expiresAt: new Date(now + LIFE_MS) };
  }

  /** Event, mail and reply of a link just made. */
  async function issue(tx: Tx, row: InvitationRow, resent: boolean): Promise<IssuedInvitation> {
    await outbox.append(tx, {
      type: "invitation_created",
      payload: { invitationId: row.id, role: row.role, resent },
      projectId: row.projectId,
      userId: row.invitedBy,
    });
    const linkFor = (way: TokenWay) =>
      `${deps.publicUrl}/invitations/accept#token=${tokens.create(row, way)}`;
    const project = await projects.find(tx, row.projectId, row.invitedBy);
    const inviter = await accounts.findById(tx, row.invitedBy);
    const mail = invitationMail({
      to: row.email,
      inviterName: inviter?.name ?? "",
      projectName: project?.name ?? "",
      role: row.role,
      link: linkFor("mailed"),
      expiresAt: row.expiresAt,
    });
    tx.afterCommit(() => {
      mailer.send(mail).catch((error: unknown) => {
        logger.warn("an invitation was not mailed; its link still works", { invitationId: row.id, error });
      });
    });
    return { ...presentInvitation(row), link: linkFor("copied") };
  }

  /** True when the inviter may still invite. */
  async function inviterStands(tx: Tx, row: InvitationRow): Promise<boolean> {
    const member = await memberRepository.find(tx, row.projectId, row.invitedBy);
    const account = await accounts.findById(tx, row.invitedBy);
    return member?.role === "owner" && account?.disabled === false;
  }

  async function readInvitation(tx: Tx, token: string): Promise<{ row: InvitationRow; way: TokenWay }> {
    const claim = tokens.read(token);
    const row = claim && (await repository.find(tx, claim.invitationId));
    const way = row && tokens.check(claim, row);
    if (!way || row.expiresAt.getTime() <= clock.now()) throw gone();
    return { row, way };
  }

  async function invitedAccount(tx: Tx, actor: string, row: InvitationRow): Promise<Account> {
    const account = await accounts.findById(tx, actor);
    if (!account) throw new AppError("unauthenticated");
    if (account.email !== row.email) throw new AppError("invitation_for_another");
    return account;
  }

  return {
    async invite(tx, actor, projectId, email, role) {
      await access.require(tx, actor, projectId, "member.manage");
      const account = await accounts.findByEmail(tx, email);
      if (!account) await admitMailTo(email);
      await access.requireForMembership(tx, actor, projectId, "member.manage");
      if (account) {
        for (const invitationId of await repository.deleteWhere(tx, projectId, { email })) {
          await outbox.append(tx, {
            type: "invitation_revoked",
            payload: { invitationId },
            projectId,
            userId: actor,
          });
        }
        return { member: await members.add(tx, actor, projectId, account, role) };
      }
      const now = clock.now();
      const createdAt = new Date(now);
      const values = { id: v7(), projectId, email, role, invitedBy: actor, createdAt, ...fresh(now) };
      const row = await repository.upsert(tx, values);
      return { invitation: await issue(tx, row, row.issue > 1) };
    },

    async list(actor, projectId, page) {
      await access.require(database, actor, projectId, "invitation.manage");
      const rows = await repository.pageOf(database, projectId, page.limit + 1, page.after);
      const shown = rows.slice(0, page.limit);
      const last = rows.length > page.limit ? shown.at(-1) : undefined;
      return { invitations: shown.map(presentInvitation), nextCursor: page.next(last && { id: last.id }) };
    },

    revoke: (actor, projectId, invitationId) =>
      database.transaction(async (tx) => {
        await access.requireForMembership(tx, actor, projectId, "invitation.manage");
        if (!(await repository.delete(tx, projectId, invitationId))) throw new AppError("not_found");
        await outbox.append(tx, {
          type: "invitation_revoked",
          payload: { invitationId },
          projectId,
          userId: actor,
        });
      }),

    async resend(tx, actor, projectId, invitationId) {
      await access.require(tx, actor, projectId, "invitation.manage");
      const before = await repository.find(tx, invitationId);
      if (before?.projectId !== projectId) throw new AppError("not_found");
      await admitMailTo(before.email);
      await access.requireForMembership(tx, actor, projectId, "invitation.manage");
      const row = await repository.reissue(tx, projectId, invitationId, {
        invitedBy: actor,
        ...fresh(clock.now()),
      });
      if (!row) throw new AppError("not_found");
      return issue(tx, row, true);
    },

    async accept(tx, actor, token) {
      const { row: seen } = await readInvitation(tx, token);
      const account = await invitedAccount(tx, actor, seen);
      // Read again once nobody else can change it: of two that come at once, the second finds nothing.
      await projects.takeTurn(tx, seen.projectId, "membership");
      const { row, way } = await readInvitation(tx, token);
      if (!(await inviterStands(tx, row))) throw gone();
      await repository.delete(tx, row.projectId, row.id);
      if (way === "mailed" && !account.emailVerified) await accounts.markEmailVerified(tx, account.id);
      await outbox.append(tx, {
        type: "invitation_accepted",
        payload: { invitationId: row.id, role: row.role },
        projectId: row.projectId,
        userId: actor,
      });
      const member = await members.add(tx, actor, row.projectId, account, row.role);
      const project = await projects.find(tx, row.projectId, actor);
      if (!project) throw new Error("a member just added does not see the project");
      return { member, project: presentProject(project) };
    },

    prune: (limit) => repository.prune(database, new Date(clock.now() - KEEP_EXPIRED_MS), limit),
  };
}

function presentInvitation(row: InvitationRow): Invitation {
  return {
    id: row.id,
    email: row.email,
    role: row.role,
    invitedBy: row.invitedBy,
    createdAt: row.createdAt.toISOString(),
    expiresAt: row.expiresAt.toISOString(),
  };
}
