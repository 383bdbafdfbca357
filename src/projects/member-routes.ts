import { z } from "zod";
import { defineRoute, type Route, type RouteInput } from "../http/route.js";
import type { RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";
import type { InvitationService } from "./invitations.js";
import type { MemberService } from "./members.js";
import { APPLIED_NOTE, appliedHeader } from "./routes.js";
import {
  inviteBody,
  issuedInvitationSchema,
  memberParams,
  memberPosition,
  memberSchema,
  projectParams,
  roleBody,
} from "./schema.js";

const tag = "Members";
const memberReply = z.strictObject({ member: memberSchema });

const roleChange = {
  path: "/projects/:projectId/members/:userId",
  tag,
  description: `Owners only. The last Owner keeps the role. ${APPLIED_NOTE}`,
  auth: "user",
  params: memberParams,
  body: roleBody,
  conditional: true,
  replies: { 200: { description: "The member as it is now.", body: memberReply } },
  problems: ["forbidden", "not_found", "last_owner"],
} as const;

const setRole = {
  ...roleChange,
  method: "put",
  operationId: "setMemberRole",
  summary: "Set the role of a member",
} as const;

const updateMember = {
  ...roleChange,
  method: "patch",
  operationId: "updateMember",
  summary: "Change the role of a member",
} as const;

/** `/projects/:projectId/members`. */
export function memberRoutes(deps: {
  members: MemberService;
  invitations: InvitationService;
  /** Invitations of one account. */
  invitePolicy: RateLimitPolicy;
  basePath: string;
}): readonly Route[] {
  const { members, invitations, invitePolicy, basePath } = deps;

  async function changeRole(input: RouteInput<typeof setRole | typeof updateMember>) {
    const { projectId, userId } = input.params;
    const { role } = input.body;
    const { member, applied } = await members.setRole(
      input.principal.userId,
      projectId,
      userId,
      role,
      input.ifMatch,
    );
    return {
      status: 200,
      version: member.version,
      headers: appliedHeader(applied),
      body: { member },
    } as const;
  }

  return [
    defineRoute(
      {
        method: "get",
        path: "/projects/:projectId/members",
        operationId: "listMembers",
        tag,
        summary: "List the members, in the order of joining",
        auth: "user",
        params: projectParams,
        list: { position: memberPosition },
        replies: {
          200: {
            description: "One page.",
            body: z.strictObject({ members: z.array(memberSchema), nextCursor: z.string().nullable() }),
          },
        },
        problems: ["not_found"],
      },
      async ({ principal, params, page }) => ({
        status: 200,
        body: await members.list(principal.userId, params.projectId, page),
      }),
    ),
    defineRoute(
      {
        method: "post",
        path: "/projects/:projectId/members",
        operationId: "inviteMember",
        tag,
        summary: "Add an account as a member, or invite an address that has none",
        description:
          "Owners only. An account with this address becomes a member at once. Otherwise the address gets an invitation: its link is in this reply alone, and is mailed too.",
        auth: "user",
        params: projectParams,
        body: inviteBody,
        idempotent: true,
        limits: [invitePolicy],
        replies: {
          201: {
            description: "The new member, or the invitation.",
            body: z.union([memberReply, z.strictObject({ invitation: issuedInvitationSchema })]),
          },
        },
        problems: ["forbidden", "not_found", "already_member"],
      },
      async ({ tx, principal, params, body }) => {
        const { projectId } = params;
        const result = await invitations.invite(tx, principal.userId, projectId, body.email, body.role);
        if ("invitation" in result) {
          const Location = `${basePath}/projects/${projectId}/invitations/${result.invitation.id}`;
          return { status: 201, headers: { Location }, body: result };
        }
        const Location = `${basePath}/projects/${projectId}/members/${result.member.userId}`;
        return { status: 201, headers: { Location }, version: result.member.version, body: result };
      },
    ),
    defineRoute(setRole, changeRole),
    defineRoute(updateMember, changeRole),
    defineRoute(
      {
        method: "delete",
        path: "/projects/:projectId/members/:userId",
        operationId: "removeMember",
        tag,
        summary: "Remove a member, or leave the project",
        description: `Owners remove anybody; everybody may leave. The last Owner cannot go. ${APPLIED_NOTE}`,
        auth: "user",
        params: memberParams,
        conditional: true,
        replies: { 204: { description: "Not a member any more." } },
        problems: ["forbidden", "not_found", "last_owner"],
      },
      async ({ principal, params, ifMatch }) => {
        const { applied } = await members.remove(principal.userId, params.projectId, params.userId, ifMatch);
        return { status: 204, headers: appliedHeader(applied) };
      },
    ),
  ];
}
