import { randomUUID } from "node:crypto";
import { createServer, type RequestListener, type Server, STATUS_CODES } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { AppError } from "../errors.js";
import { toProblem } from "./problem.js";

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
  const server = createServer({ maxHeaderSize: 16 * 1024, connectionsCheckingInterval: 2_000 }, handler);
  server.headersTimeout = 15_000;
  server.requestTimeout = 30_000;
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
  const problem = toProblem(new AppError("upgrade_required"), {
    requestId: randomUUID(),
    path: (request.url ?? "/").split("?")[0] ?? "/",
  });
  response.writeHead(problem.status, {
    "Content-Type": "application/problem+json",
    Upgrade: "websocket",
    "X-Content-Type-Options": "nosniff",
  });
  response.end(JSON.stringify(problem.body));
};

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
  const problem = toProblem(new AppError(code), { requestId: randomUUID(), path: "/" });
  const body = JSON.stringify(problem.body);
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ""}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n${body}`,
  );
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
