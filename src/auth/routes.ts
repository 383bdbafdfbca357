import { z } from "zod";
import { defineRoute, type Route } from "../http/route.js";
import type { AccountService } from "./account.js";
import type { AuthPolicies } from "./attempt-limits.js";
import type { Refresh } from "./refresh.js";
import {
  linkBody,
  loginBody,
  passwordBody,
  presentUser,
  profileBody,
  refreshBody,
  registerBody,
  tokensSchema,
  userSchema,
} from "./schema.js";
import { APPLIED_NOTE, appliedHeaders } from "./session-routes.js";
import type { SignedIn, SignIn } from "./sign-in.js";
import type { SignInLinks } from "./sign-in-links.js";

const tag = "Accounts";
const signedInReply = z.strictObject({ user: userSchema, tokens: tokensSchema });
const userReply = z.strictObject({ user: userSchema });

/** Registration, login, refresh, and the account's own profile. */
export function accountRoutes(deps: {
  signIn: SignIn;
  links: SignInLinks;
  refresh: Refresh;
  account: AccountService;
  policies: AuthPolicies;
}): readonly Route[] {
  const { signIn, links, refresh, account, policies } = deps;
  return [
    defineRoute(
      {
        method: "post",
        path: "/auth/register",
        operationId: "register",
        tag,
        summary: "Make an account",
        description: "A mail with a link to verify the address follows.",
        auth: "public",
        body: registerBody,
        limits: [policies.register],
        replies: { 201: { description: "The account, signed in.", body: signedInReply } },
        problems: ["email_taken", "overloaded"],
      },
      async ({ body, context }) => ({ status: 201, body: present(await signIn.register(body, context)) }),
    ),
    defineRoute(
      {
        method: "post",
        path: "/auth/login",
        operationId: "login",
        tag,
        summary: "Sign in on this device",
        description: "Only failures count against the limits.",
        auth: "public",
        body: loginBody,
        replies: { 200: { description: "The account, signed in.", body: signedInReply } },
        problems: ["invalid_credentials", "overloaded"],
      },
      async ({ body, context }) => ({ status: 200, body: present(await signIn.login(body, context)) }),
    ),
    defineRoute(
      {
        method: "post",
        path: "/auth/link",
        operationId: "signInByLink",
        tag,
        summary: "Sign in with a link the service printed when it was started",
        description:
          "For trying it out in development: works once, within an hour, from the machine the service runs on. There are no such links in production.",
        auth: "public",
        body: linkBody,
        limits: [policies.register],
        replies: { 200: { description: "The account, signed in.", body: signedInReply } },
        problems: ["link_expired", "invalid_credentials"],
      },
      async ({ body, context }) => {
        const entered = await links.redeem(body.token, context.ip, (userId) => signIn.enter(userId, context));
        return { status: 200, body: present(entered) };
      },
    ),
    defineRoute(
      {
        method: "post",
        path: "/auth/refresh",
        operationId: "refresh",
        tag,
        summary: "Exchange a refresh token for the next pair",
        description:
          "Each refresh token is good for one exchange. When the answer was lost, send the same token again: you get the same successor. A token that was replaced longer ago ends the session.",
        auth: "public",
        body: refreshBody,
        limits: [policies.refreshAddress],
        ownLimits: true,
        replies: { 200: { description: "The next pair.", body: z.strictObject({ tokens: tokensSchema }) } },
        problems: ["invalid_token", "session_expired", "session_revoked", "refresh_reused"],
      },
      async ({ body, context }) => ({
        status: 200,
        body: { tokens: await refresh.refresh(body.refreshToken, context) },
      }),
    ),
    defineRoute(
      {
        method: "get",
        path: "/auth/me",
        operationId: "getMe",
        tag,
        summary: "Read your account",
        auth: "user",
        conditional: true,
        replies: { 200: { description: "Your account.", body: userReply } },
      },
      async ({ principal }) => {
        const user = await account.get(principal);
        return { status: 200, version: user.version, body: { user: presentUser(user) } };
      },
    ),
    defineRoute(
      {
        method: "patch",
        path: "/auth/me",
        operationId: "updateMe",
        tag,
        summary: "Change your name",
        auth: "user",
        conditional: true,
        body: profileBody,
        replies: { 200: { description: "Your account.", body: userReply } },
      },
      async ({ principal, body, ifMatch }) => {
        const user = await account.rename(principal, body.name, ifMatch);
        return { status: 200, version: user.version, body: { user: presentUser(user) } };
      },
    ),
    defineRoute(
      {
        method: "post",
        path: "/auth/password",
        operationId: "changePassword",
        tag,
        summary: "Change your password",
        description: `Every other device is signed out, and links in earlier mails stop working. ${APPLIED_NOTE}`,
        auth: "user",
        body: passwordBody,
        replies: { 204: { description: "Changed." } },
        problems: ["wrong_password", "overloaded"],
      },
      async ({ principal, body, context }) => {
        const applied = await account.changePassword(principal, body, context);
        return { status: 204, headers: appliedHeaders(applied) };
      },
    ),
  ];
}

function present({ user, tokens }: SignedIn): z.input<typeof signedInReply> {
  return { user: presentUser(user), tokens };
}
