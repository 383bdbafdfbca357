import { AtelierError } from "./errors.js";

/** A constructor like the browser's `WebSocket`; the package `ws` has one for Node.js before version 22. */
export type WebSocketConstructor = new (url: string, protocols?: string[]) => object;

/** What is used of a web socket. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null;
  onerror: (() => void) | null;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
}

/** Opens sockets of one service. */
export interface Sockets {
  /** Milliseconds of silence after which the service is asked whether it is there. */
  readonly silenceMs: number;
  /** Where the sockets are, such as `ws://localhost:3001`; asked for once. @throws AtelierError when it cannot be found out. */
  url(): Promise<string>;
  open(url: string, protocols: readonly string[]): WebSocketLike;
}

/**
 * Sockets at `wsUrl`, or where the service says: on a port of its own when the service is reached by a port, else (behind
 * a proxy) at its origin.
 */
export function createSockets(options: {
  readonly url: string;
  readonly wsUrl: string | undefined;
  readonly WebSocket: WebSocketConstructor | undefined;
  readonly silenceMs: number;
  readonly fetch: typeof globalThis.fetch;
}): Sockets {
  const { url, fetch } = options;
  let found: Promise<string> | undefined;

  async function find(): Promise<string> {
    const origin = new URL(url);
    const scheme = origin.protocol === "https:" ? "wss:" : "ws:";
    if (origin.port === "") return `${scheme}//${origin.host}`;
    let port: string;
    try {
      const response = await fetch(`${url}/api/asyncapi.json`);
      const page = (await response.json()) as { servers: { default: { host: string } } };
      port = new URL(`ws://${page.servers.default.host}`).port;
    } catch (cause) {
      throw new AtelierError("network_error", "The service cannot be reached.", { cause });
    }
    return `${scheme}//${origin.hostname}:${port || origin.port}`;
  }

  return {
    silenceMs: options.silenceMs,
    async url() {
      if (options.wsUrl !== undefined) return options.wsUrl.replace(/\/+$/, "");
      found ??= find().catch((error: unknown) => {
        found = undefined;
        throw error;
      });
      return found;
    },
    open(address, protocols) {
      const Socket = options.WebSocket ?? globalThis.WebSocket;
      if (!Socket)
        throw new AtelierError(
          "closed",
          "There is no WebSocket here; give createClient the one of the package `ws`.",
        );
      return new Socket(address, [...protocols]) as WebSocketLike;
    },
  };
}
