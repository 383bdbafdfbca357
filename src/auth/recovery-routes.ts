import { defineRoute, type Route } from "../http/route.js";
import type { AuthPolicies } from "./attempt-limits.js";
import type { Recovery } from "./recovery.js";
import { forgotBody, resetBody, verifyBody } from "./schema.js";
import { APPLIED_NOTE, appliedHeaders } from "./session-routes.js";

const tag = "Recovery";

/** What a mailbox proves: a new password, a verified address. */
export function recoveryRoutes(deps: { recovery: Recovery; policies: AuthPolicies }): readonly Route[] {
  const { recovery, policies } = deps;
  return [
    defineRoute(
      {
        method: "post",
        path: "/auth/password/forgot",
        operationId: "forgotPassword",
        tag,
        summary: "Ask for a mail to choose a new password",
        description: "The answer does not tell whether there is such an account.",
        auth: "public",
        body: forgotBody,
        limits: [policies.register],
        replies: { 202: { description: "If there is such an account, a mail is on its way." } },
      },
      async ({ body }) => {
        await recovery.forgot(body.email);
        return { status: 202 };
      },
    ),
    defineRoute(
      {
        method: "post",
        path: "/auth/password/reset",
        operationId: "resetPassword",
        tag,
        summary: "Choose a new password",
        description: `The link works once within 30 minutes. Every device is signed out, and the address counts as verified. ${APPLIED_NOTE}`,
        auth: "public",
        body: resetBody,
        replies: { 204: { description: "Changed; sign in with it." } },
        problems: ["link_expired", "overloaded"],
      },
      async ({ body, context }) => {
        const applied = await recovery.reset(body.token, body.password, context);
        return { status: 204, headers: appliedHeaders(applied) };
      },
    ),
    defineRoute(
      {
        method: "post",
        path: "/auth/email/verify",
        operationId: "verifyEmail",
        tag,
        summary: "Verify your e-mail address",
        auth: "public",
        body: verifyBody,
        replies: { 204: { description: "Verified." } },
        problems: ["link_expired"],
      },
      async ({ body, context }) => {
        await recovery.verifyEmail(body.token, context);
        return { status: 204 };
      },
    ),
    defineRoute(
      {
        method: "post",
        path: "/auth/email/verify/resend",
        operationId: "resendVerification",
        tag,
        summary: "Ask for another mail to verify your address",
        auth: "user",
        limits: [policies.register],
        replies: { 202: { description: "Unless the address is verified, a mail is on its way." } },
      },
      async ({ principal }) => {
        await recovery.resendVerification(principal);
        return { status: 202 };
      },
    ),
  ];
}
