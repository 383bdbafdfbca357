import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { z } from "zod";
import { AppError } from "../errors.js";
import { toAppError, toProblem, validationProblem } from "../http/problem.js";
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
  const path = (request.url ?? "/").split("?")[0] ?? "/";
  const problem = toProblem(known, { requestId: randomUUID(), path: path.slice(0, 300) });
  const body = JSON.stringify(problem.body);
  const headers = {
    ...problem.headers,
    "Content-Type": "application/problem+json",
    "Content-Length": String(Buffer.byteLength(body)),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    Connection: "close",
  };
  const head = Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
  socket.once("error", () => socket.destroy());
  socket.end(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ""}\r\n${head}\r\n${body}`);
  return known;
}
