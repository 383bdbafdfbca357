import type { AuthzLog } from "../events/authz-log.js";
import type { AuthzWatch } from "../events/authz-watch.js";
import type { Outbox } from "../events/outbox.js";
import type { Route } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { Database } from "../platform/database/database.js";
import type { Mailer } from "../platform/mail/mailer.js";
import type { Logger } from "../platform/observability/logger.js";
import type { RateLimiter, RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";
import { type Access, createAccess } from "./access.js";
import type { Accounts } from "./accounts.js";
import { createInvitationRepository } from "./invitation-repository.js";
import { invitationRoutes } from "./invitation-routes.js";
import { createInvitationTokens } from "./invitation-tokens.js";
import { createInvitationService } from "./invitations.js";
import { createMemberRepository } from "./member-repository.js";
import { memberRoutes } from "./member-routes.js";
import { createMemberService } from "./members.js";
import { createProjectRepository } from "./repository.js";
import { projectRoutes } from "./routes.js";
import { createProjectService } from "./service.js";

/** What the feature stands on. */
export interface ProjectsDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly outbox: Outbox;
  readonly authzLog: AuthzLog;
  readonly authzWatch: Pick<AuthzWatch, "settled">;
  readonly accounts: Accounts;
  readonly mailer: Mailer;
  readonly limiter: RateLimiter;
  /** From {@link invitePolicies}. */
  readonly policies: InvitePolicies;
  /** 32 bytes, used for nothing else. */
  readonly invitationKey: Buffer;
  /** Base of the links in invitations, without a trailing slash. */
  readonly publicUrl: string;
  /** Base of the `Location` of what is created, such as `/api/v1`. */
  readonly basePath: string;
}

/** The limits on invitations. */
export interface InvitePolicies {
  /** Per inviting account. */
  readonly user: RateLimitPolicy;
  /** Per address that is mailed. */
  readonly address: RateLimitPolicy;
}

/** The feature, ready to be mounted. */
export interface Projects {
  readonly routes: readonly Route[];
  /** Who may do what in a project: the one function for HTTP, sockets and jobs. */
  readonly access: Access;
  /** Housekeeping: forgets invitations that expired 30 days ago, at most `limit`. */
  pruneInvitations(limit: number): Promise<void>;
}

/** The limits on invitations; a `perHour` of 0 switches both off. */
export function invitePolicies(perHour: number): InvitePolicies {
  return {
    user: { name: "invite", limit: perHour, windowMs: 3_600_000 },
    address: { name: "invite-address", limit: perHour === 0 ? 0 : 3, windowMs: 86_400_000 },
  };
}

/** Projects, members and invitations. */
export function createProjects(deps: ProjectsDeps): Projects {
  const { database, policies, basePath } = deps;
  const repository = createProjectRepository();
  const memberRepository = createMemberRepository();
  const invitationRepository = createInvitationRepository();
  const access = createAccess({ database, roles: repository });
  // The change is committed by then: a database that goes away now must not turn it into an error.
  const settled = (seq: number) => deps.authzWatch.settled(seq).catch(() => false);
  const members = createMemberService({
    ...deps,
    repository: memberRepository,
    invitations: invitationRepository,
    access,
    settled,
  });
  const projects = createProjectService({ ...deps, repository, members: memberRepository, access, settled });
  const invitations = createInvitationService({
    ...deps,
    repository: invitationRepository,
    projects: repository,
    memberRepository,
    members,
    access,
    tokens: createInvitationTokens(deps.invitationKey),
    addressPolicy: policies.address,
  });
  return {
    access,
    routes: [
      ...projectRoutes({ projects, basePath }),
      ...memberRoutes({ members, invitations, invitePolicy: policies.user, basePath }),
      ...invitationRoutes({ invitations, invitePolicy: policies.user }),
    ],
    pruneInvitations: (limit) => invitations.prune(limit),
  };
}
