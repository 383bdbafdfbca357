import { randomUUID } from "node:crypto";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { AppError } from "../errors.js";
import { problemHeaders, problemMessage, toProblem } from "./problem.js";
import { requestIdOf } from "./request-id.js";

/** A listening HTTP server. */
export interface Listener {
  readonly server: Server;
  /** Such as `http://127.0.0.1:3000`. */
  readonly url: string;
  /** Takes no more requests, lets those under way finish for up to `graceMs`, then drops what is left. */
  close(graceMs: number): Promise<void>;
}

/** Opens a port; @throws an error that says which port is taken. */
export async function listen(
  handler: RequestListener,
  options: { readonly host?: string | undefined; readonly port: number },
): Promise<Listener> {
  const server = createServer(
    { maxHeaderSize: 16 * 1024, connectionsCheckingInterval: 2_000, requireHostHeader: false },
    (request, response) => {
      if (hasOneHost(request)) handler(request, response);
      else refuse(request, response, new AppError("bad_request", { detail: "Send one Host header." }));
    },
  );
  server.headersTimeout = 15_000;
  // The bound for uploads; other bodies get less (body.ts).
  server.requestTimeout = 15 * 60_000;
  server.keepAliveTimeout = 65_000;
  server.maxHeadersCount = 200;
  server.on("clientError", answerClientError);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(explain(error, options.port)));
    server.listen(options.port, options.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    server,
    url: `http://${options.host ?? "localhost"}:${port}`,
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

/** What a plain request to the sockets' own port gets. */
export const upgradeOnly: RequestListener = (request, response) => {
  response.setHeader("Upgrade", "websocket");
  refuse(request, response, new AppError("upgrade_required"), "upgrade, close");
};

/** RFC 9112, section 3.2: a request with no Host, or with two, may mean one server to us and another to a proxy. */
function hasOneHost({ rawHeaders, httpVersion }: IncomingMessage): boolean {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]?.toLowerCase() === "host") hosts += 1;
  return hosts === 1 || (hosts === 0 && httpVersion === "1.0");
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  error: AppError,
  connection = "close",
): void {
  const requestId = requestIdOf(request.headers["x-request-id"]);
  const problem = toProblem(error, { requestId, target: request.url });
  response.writeHead(problem.status, { ...problemHeaders(problem), Connection: connection });
  response.end(JSON.stringify(problem.body));
}

/** Requests that are not HTTP: answered and closed, RFC 9112 section 2.2 and 11. */
function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const code =
    error.code === "HPE_HEADER_OVERFLOW"
      ? "headers_too_large"
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? "request_timeout"
        : "bad_request";
  socket.end(problemMessage(toProblem(new AppError(code), { requestId: randomUUID(), target: "/" })));
}

function explain(error: NodeJS.ErrnoException, port: number): Error {
  const why =
    error.code === "EADDRINUSE"
      ? `port ${port} is in use by another program`
      : error.code === "EACCES"
        ? `port ${port} needs more rights`
        : error.message;
  return Object.assign(new Error(`The service cannot listen: ${why}.`), { expected: true, cause: error });
}
