import type { IncomingMessage } from "node:http";
import { WebSocket } from "ws";

/** A message as it came. */
export type Message = Record<string, unknown> & { readonly type: string };

/** A client of the JSON dialect that remembers what it was told. */
export interface SocketClient {
  readonly socket: WebSocket;
  readonly messages: Message[];
  /** The `connected` frame. */
  readonly hello: Message;
  send(message: unknown): void;
  /** The first message, seen or to come, that fits; rejects when the socket closes before, or after `ms`. */
  next(fits: (message: Message) => boolean, ms?: number): Promise<Message>;
  /** The code and reason it was closed with. */
  closed(ms?: number): Promise<{ code: number; reason: string }>;
  terminate(): void;
}

/** A refused upgrade. */
export class UpgradeRefused extends Error {
  constructor(
    readonly status: number,
    readonly problem: { readonly code: string; readonly [member: string]: unknown },
    readonly headers: IncomingMessage["headers"],
  ) {
    super(`upgrade refused: ${status} ${problem.code}`);
  }
}

/** Opens a socket and waits for its `connected` frame; @throws UpgradeRefused. */
export function connectSocket(
  url: string,
  options: { headers?: Record<string, string>; protocols?: string[]; origin?: string } = {},
): Promise<SocketClient> {
  const socket = new WebSocket(url, options.protocols ?? [], {
    headers: options.headers ?? {},
    ...(options.origin === undefined ? {} : { origin: options.origin }),
  });
  const messages: Message[] = [];
  const waiters = new Set<() => void>();
  let end: { code: number; reason: string } | undefined;
  const wake = () => {
    for (const waiter of waiters) waiter();
  };
  socket.on("message", (data) => {
    messages.push(JSON.parse((data as Buffer).toString("utf8")) as Message);
    wake();
  });
  socket.on("close", (code, reason) => {
    end = { code, reason: String(reason) };
    wake();
  });

  function until<T>(look: () => T | undefined, ms: number, what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (done: () => void) => {
        clearTimeout(timer);
        waiters.delete(check);
        done();
      };
      const check = () => {
        const found = look();
        if (found !== undefined) settle(() => resolve(found));
      };
      const timer = setTimeout(
        () =>
          settle(() =>
            reject(
              new Error(
                `${what} did not come; got ${JSON.stringify(messages.slice(-5))} ${JSON.stringify(end)}`,
              ),
            ),
          ),
        ms,
      );
      timer.unref();
      waiters.add(check);
      check();
    });
  }

  return new Promise((resolve, reject) => {
    socket.on("unexpected-response", (_request, response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += String(chunk);
      });
      response.on("end", () =>
        reject(
          new UpgradeRefused(
            response.statusCode ?? 0,
            JSON.parse(body) as { code: string },
            response.headers,
          ),
        ),
      );
    });
    socket.on("error", (error) => {
      if (messages.length === 0) reject(error);
    });
    until(() => messages[0], 10_000, "the connected frame").then((hello) => {
      resolve({
        socket,
        messages,
        hello,
        send: (message) => socket.send(typeof message === "string" ? message : JSON.stringify(message)),
        next: (fits, ms = 5_000) => until(() => messages.find(fits), ms, "the message"),
        closed: (ms = 5_000) => until(() => end, ms, "the close"),
        terminate: () => socket.terminate(),
      });
    }, reject);
  });
}
