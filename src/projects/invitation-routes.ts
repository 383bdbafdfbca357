import { z } from "zod";
import { defineRoute, type Route } from "../http/route.js";
import type { RateLimitPolicy } from "../platform/rate-limit/rate-limiter.js";
import type { InvitationService } from "./invitations.js";
import {
  acceptBody,
  idPosition,
  invitationParams,
  invitationSchema,
  issuedInvitationSchema,
  memberSchema,
  projectParams,
  projectSchema,
} from "./schema.js";

const tag = "Invitations";

/** `/projects/:projectId/invitations` and `/invitations/accept`. */
export function invitationRoutes(deps: {
  invitations: InvitationService;
  /** Invitations of one account. */
  invitePolicy: RateLimitPolicy;
}): readonly Route[] {
  const { invitations, invitePolicy } = deps;
  return [
    defineRoute(
      {
        method: "get",
        path: "/projects/:projectId/invitations",
        operationId: "listInvitations",
        tag,
        summary: "List the pending invitations, newest first",
        description: "Owners only. Expired ones are listed for 30 days, so that they can be sent again.",
        auth: "user",
        params: projectParams,
        list: { position: idPosition },
        replies: {
          200: {
            description: "One page.",
            body: z.strictObject({
              invitations: z.array(invitationSchema),
              nextCursor: z.string().nullable(),
            }),
          },
        },
        problems: ["forbidden", "not_found"],
      },
      async ({ principal, params, page }) => ({
        status: 200,
        body: await invitations.list(principal.userId, params.projectId, page),
      }),
    ),
    defineRoute(
      {
        method: "delete",
        path: "/projects/:projectId/invitations/:invitationId",
        operationId: "revokeInvitation",
        tag,
        summary: "Revoke an invitation",
        description: "Owners only. Its link is dead at once.",
        auth: "user",
        params: invitationParams,
        replies: { 204: { description: "It is revoked." } },
        problems: ["forbidden", "not_found"],
      },
      async ({ principal, params }) => {
        await invitations.revoke(principal.userId, params.projectId, params.invitationId);
        return { status: 204 };
      },
    ),
    defineRoute(
      {
        method: "post",
        path: "/projects/:projectId/invitations/:invitationId/resend",
        operationId: "resendInvitation",
        tag,
        summary: "Send an invitation again with a new link",
        description: "Owners only. The link before is dead; the new one works for 7 days.",
        auth: "user",
        params: invitationParams,
        idempotent: true,
        limits: [invitePolicy],
        replies: {
          200: {
            description: "The invitation with its new link.",
            body: z.strictObject({ invitation: issuedInvitationSchema }),
          },
        },
        problems: ["forbidden", "not_found"],
      },
      async ({ tx, principal, params }) => ({
        status: 200,
        body: {
          invitation: await invitations.resend(tx, principal.userId, params.projectId, params.invitationId),
        },
      }),
    ),
    defineRoute(
      {
        method: "post",
        path: "/invitations/accept",
        operationId: "acceptInvitation",
        tag,
        summary: "Accept an invitation",
        description:
          "With the account of the invited address. A link that came by mail also proves that address.",
        auth: "user",
        body: acceptBody,
        idempotent: true,
        replies: {
          200: {
            description: "The project you are now a member of.",
            body: z.strictObject({ project: projectSchema, member: memberSchema }),
          },
        },
        problems: ["invitation_for_another", "link_expired", "already_member"],
      },
      async ({ tx, principal, body }) => ({
        status: 200,
        body: await invitations.accept(tx, principal.userId, body.token),
      }),
    ),
  ];
}
