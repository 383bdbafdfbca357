import { once } from "node:events";
import {
  type AddressInfo,
  connect,
  createServer,
  type NetConnectOpts,
  type Server,
  type Socket,
} from "node:net";

/** A TCP door in front of a store, for tests of what happens when the store goes away. */
export interface TcpProxy {
  readonly host: string;
  readonly port: number;
  /** Cuts every connection and refuses new ones, like a server that was stopped. */
  stop(): Promise<void>;
  /** Swallows every byte from now on and keeps connections open, like a network that lost its route. */
  stall(): void;
  /** Swallows the bytes of the connections there are and serves new ones, like a server whose address moved. */
  freeze(): void;
  /** Works again; connections that lost bytes are cut. */
  restore(): Promise<void>;
  close(): Promise<void>;
}

/** Starts a door on a free loopback port that leads to `target`; bytes take `latencyMs` longer each way. */
export async function startTcpProxy(target: NetConnectOpts, latencyMs = 0): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const frozen = new Set<Socket>();
  let stalled = false;
  let port = 0;
  let server = await listen();
  port = (server.address() as AddressInfo).port;

  async function listen(): Promise<Server> {
    const opened = createServer((near) => {
      const far = connect(target);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(from);
        from.on("data", (bytes: Buffer) => {
          const pass = () => {
            if (stalled) frozen.add(from);
            else if (!frozen.has(from) && !to.destroyed) to.write(bytes);
          };
          if (latencyMs > 0) setTimeout(pass, latencyMs);
          else pass();
        });
        from.on("error", () => from.destroy());
        from.on("close", () => {
          sockets.delete(from);
          frozen.delete(from);
          to.destroy();
        });
      }
    });
    opened.listen(port, "127.0.0.1");
    await once(opened, "listening");
    return opened;
  }

  function cut(which: Set<Socket>): void {
    for (const socket of which) socket.destroy();
  }

  async function stop(): Promise<void> {
    if (!server.listening) return;
    server.close();
    cut(sockets);
    await once(server, "close");
  }

  return {
    host: "127.0.0.1",
    port,
    stop,
    stall() {
      stalled = true;
    },
    freeze() {
      for (const socket of sockets) frozen.add(socket);
    },
    async restore() {
      stalled = false;
      cut(frozen);
      if (!server.listening) server = await listen();
    },
    close: stop,
  };
}
