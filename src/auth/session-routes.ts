import { z } from "zod";
import { defineRoute, type Principal, type Route } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import {
  logoutAllBody,
  logoutBody,
  presentSession,
  sessionParams,
  sessionPosition,
  sessionSchema,
} from "./schema.js";
import type { Applied, Sessions } from "./sessions.js";
import { TICKET_LIFE_S, type Tickets } from "./tickets.js";

/** What the header of {@link appliedHeaders} means, for the documentation of routes that send it. */
export const APPLIED_NOTE =
  "`X-Access-Applied: true` says that every node refuses what was ended; with `false` a node that cannot be reached stops serving within 3 s.";

/** Says whether every node works with a change of access already. */
export function appliedHeaders(applied: Applied): Readonly<Record<string, string>> {
  return applied === undefined ? {} : { "X-Access-Applied": String(applied) };
}

const tag = "Sessions";

/** The devices of an account, and tickets for sockets. */
export function sessionRoutes(deps: {
  sessions: Sessions;
  tickets: Tickets;
  clock: Clock;
}): readonly Route[] {
  const { sessions, tickets, clock } = deps;
  return [
    defineRoute(
      {
        method: "post",
        path: "/auth/logout",
        operationId: "logout",
        tag,
        summary: "Sign out on this device",
        description: `Ends the session of the access token and, when one is given, that of the refresh token. ${APPLIED_NOTE}`,
        auth: "user",
        signsOut: true,
        body: logoutBody,
        bodyOptional: true,
        replies: { 204: { description: "Signed out." } },
      },
      async ({ principal, body, context }) => {
        const applied = await sessions.logout(principal, body?.refreshToken, context);
        return { status: 204, headers: appliedHeaders(applied) };
      },
    ),
    defineRoute(
      {
        method: "post",
        path: "/auth/logout-all",
        operationId: "logoutAll",
        tag,
        summary: "Sign out on every device",
        description: APPLIED_NOTE,
        auth: "user",
        signsOut: true,
        body: logoutAllBody,
        bodyOptional: true,
        replies: { 204: { description: "Signed out." } },
      },
      async ({ principal, body, context }) => {
        const applied = await sessions.logoutAll(principal, body?.keepCurrent ?? false, context);
        return { status: 204, headers: appliedHeaders(applied) };
      },
    ),
    defineRoute(
      {
        method: "get",
        path: "/auth/sessions",
        operationId: "listSessions",
        tag,
        summary: "List the devices you are signed in on, newest first",
        auth: "user",
        list: { position: sessionPosition },
        replies: {
          200: {
            description: "One page.",
            body: z.strictObject({ sessions: z.array(sessionSchema), nextCursor: z.string().nullable() }),
          },
        },
      },
      async ({ principal, page }) => {
        const { sessions: rows, nextCursor } = await sessions.list(principal, page);
        return {
          status: 200,
          body: { sessions: rows.map((row) => presentSession(row, principal.sessionId)), nextCursor },
        };
      },
    ),
    defineRoute(
      {
        method: "delete",
        path: "/auth/sessions/:id",
        operationId: "endSession",
        tag,
        summary: "Sign out on one device",
        description: APPLIED_NOTE,
        auth: "user",
        params: sessionParams,
        replies: { 204: { description: "Signed out, now or before." } },
        problems: ["not_found"],
      },
      async ({ principal, params, context }) => {
        const applied = await sessions.end(principal, params.id, context);
        return { status: 204, headers: appliedHeaders(applied) };
      },
    ),
    defineRoute(
      {
        method: "post",
        path: "/ws-ticket",
        operationId: "createTicket",
        tag,
        summary: "Get a ticket to open a socket",
        description: "Works once, and no longer than 30 s; it can stand in a URL where a token should not.",
        auth: "user",
        replies: {
          201: {
            description: "The ticket.",
            body: z.strictObject({
              ticket: z.string(),
              expiresIn: z.int().meta({ description: "Seconds." }),
            }),
          },
        },
      },
      async ({ principal }) => {
        const ticket = await tickets.issue({ ...principal, expiresAt: expiryOf(principal, clock) });
        return { status: 201, body: { ticket, expiresIn: TICKET_LIFE_S } };
      },
    ),
  ];
}

/** The socket may live as long as the access token that asked for it; our authenticator notes that on the principal. */
function expiryOf(principal: Principal, clock: Clock): number {
  return "expiresAt" in principal && typeof principal.expiresAt === "number"
    ? principal.expiresAt
    : clock.now() + TICKET_LIFE_S * 1000;
}
