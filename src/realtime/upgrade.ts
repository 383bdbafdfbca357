import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { z } from "zod";
import { AppError } from "../errors.js";
import { problemMessage, toAppError, toProblem, validationProblem } from "../http/problem.js";
import { requestIdOf } from "../http/request-id.js";
import type { StreamPosition } from "../platform/event-log/event-log.js";

/** What a client asks for when it opens a socket of the JSON dialect. */
export interface EventsRequest {
  readonly projectId: string;
  /** Access token; in the query, in `Authorization`, or as the sub-protocol after `bearer`. */
  readonly token: string | undefined;
  /** Single-use ticket in place of a token. */
  readonly ticket: string | undefined;
  /** Where the client left off. */
  readonly since: StreamPosition | undefined;
  /** Sub-protocol to answer with. */
  readonly protocol: string | undefined;
}

const query = z.strictObject({
  token: z.string().min(1).max(8_192).optional(),
  ticket: z.string().min(1).max(256).optional(),
  projectId: z.uuid(),
  epoch: z.string().min(1).max(64).optional(),
  since: z
    .string()
    .regex(/^\d{1,15}$/, "must be a whole number")
    .transform(Number)
    .optional(),
});

/** The path and query of an upgrade; the base only makes the URL absolute. */
export function upgradeUrl(request: IncomingMessage): URL {
  try {
    return new URL(request.url ?? "/", "http://socket.invalid");
  } catch (cause) {
    throw new AppError("bad_request", { detail: "The request target is not a URL.", cause });
  }
}

/** Reads the request of the JSON dialect; @throws AppError `validation_failed`. */
export function readEventsRequest(request: IncomingMessage, url: URL): EventsRequest {
  const parameters: Record<string, string | string[]> = {};
  for (const name of new Set(url.searchParams.keys())) {
    const values = url.searchParams.getAll(name);
    parameters[name] = values.length === 1 ? (values[0] ?? "") : values;
  }
  const parsed = query.safeParse(parameters);
  if (!parsed.success) throw validationProblem(parsed.error, "?");
  const { projectId, ticket, epoch, since } = parsed.data;
  const protocols = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((part) => part.trim());
  const fromProtocol = protocols[0] === "bearer" ? protocols[1] : undefined;
  const fromHeader = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  return {
    projectId,
    token: parsed.data.token ?? fromHeader ?? fromProtocol,
    ticket,
    since: epoch !== undefined && since !== undefined ? { epoch, seq: since } : undefined,
    protocol: fromProtocol === undefined ? undefined : "bearer",
  };
}

/** The token or ticket of an upgrade whose query is not ours to judge: in the query, in `Authorization`, or as sub-protocol. */
export function tokenOf(
  request: IncomingMessage,
  url: URL,
): { readonly token: string | undefined; readonly ticket: string | undefined } {
  const protocols = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((part) => part.trim());
  const fromProtocol = protocols[0] === "bearer" ? protocols[1] : undefined;
  const fromHeader = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  return {
    token: url.searchParams.get("token") ?? fromHeader ?? fromProtocol,
    ticket: url.searchParams.get("ticket") ?? undefined,
  };
}

/**
 * Checks a browser's `Origin` by equality; a client without one is no browser.
 *
 * @param allowed origins of `CORS_ORIGIN`; the host the request came to is allowed too when none are set.
 * @throws AppError `origin_refused`.
 */
export function checkOrigin(request: IncomingMessage, allowed: readonly string[]): void {
  const { origin, host } = request.headers;
  if (origin === undefined) return;
  if (allowed.includes(origin)) return;
  if (allowed.length === 0 && host !== undefined && sameHost(origin, host)) return;
  throw new AppError("origin_refused");
}

/** Same machine name; ports may differ, because the API and the sockets have one each. */
function sameHost(origin: string, host: string): boolean {
  try {
    const from = new URL(origin);
    return /^https?:$/.test(from.protocol) && from.hostname === new URL(`http://${host}`).hostname;
  } catch {
    return false;
  }
}

/** Answers an upgrade that is refused: a problem over plain HTTP, then the end of the connection. */
export function refuseUpgrade(socket: Duplex, request: IncomingMessage, error: unknown): AppError {
  const known = toAppError(error);
  const requestId = requestIdOf(request.headers["x-request-id"]);
  socket.once("error", () => socket.destroy());
  socket.end(problemMessage(toProblem(known, { requestId, target: request.url })));
  return known;
}
