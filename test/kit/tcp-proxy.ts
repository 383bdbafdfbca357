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
  /** Resets every connection and serves new ones, like a router that was restarted. */
  cut(): void;
  /** From now on bytes take `latencyMs` longer each way and a connection carries `bytesPerSecond` at most; 0: as many as come. */
  slow(latencyMs: number, bytesPerSecond?: number): void;
  /** From now on bytes go on in pieces of at most `bytes`; 0: as they come. */
  slice(bytes: number): void;
  /** Works again, as fast as it can; connections that lost bytes are cut. */
  restore(): Promise<void>;
  close(): Promise<void>;
}

/** Beyond this a connection is not read on until some of it is through. */
const QUEUE_BYTES = 256 * 1024;

/**
 * Starts a door on a free loopback port that leads to `target`, asked anew for every connection when it is a function; bytes
 * take `latencyMs` longer each way.
 */
export async function startTcpProxy(
  target: NetConnectOpts | (() => NetConnectOpts),
  latencyMs = 0,
): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const frozen = new Set<Socket>();
  const way = { latencyMs, bytesPerSecond: 0, sliceBytes: 0 };
  let stalled = false;
  let port = 0;
  let server = await listen();
  port = (server.address() as AddressInfo).port;

  async function listen(): Promise<Server> {
    const opened = createServer((near) => {
      const far = connect(typeof target === "function" ? target() : target);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(from);
        const carry = carrier(from, to, way);
        from.on("data", (bytes: Buffer) => {
          carry(bytes, () => {
            if (stalled) frozen.add(from);
            return !stalled && !frozen.has(from);
          });
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
    cut() {
      // A socket of a file system knows no reset.
      for (const socket of sockets) {
        if (socket.remotePort === undefined) socket.destroy();
        else socket.resetAndDestroy();
      }
    },
    slow(ms, bytesPerSecond = 0) {
      way.latencyMs = ms;
      way.bytesPerSecond = bytesPerSecond;
    },
    slice(bytes) {
      way.sliceBytes = bytes;
    },
    async restore() {
      stalled = false;
      way.latencyMs = latencyMs;
      way.bytesPerSecond = 0;
      way.sliceBytes = 0;
      cut(frozen);
      if (!server.listening) server = await listen();
    },
    close: stop,
  };
}

/** Hands bytes on in order, late and slowly as `way` says at the moment they came; `passes` is asked when they are due. */
function carrier(
  from: Socket,
  to: Socket,
  way: { readonly latencyMs: number; readonly bytesPerSecond: number; readonly sliceBytes: number },
): (bytes: Buffer, passes: () => boolean) => void {
  const queue: { readonly bytes: Buffer; readonly due: number; readonly passes: () => boolean }[] = [];
  let queued = 0;
  let lastDue = 0;
  let timer: NodeJS.Timeout | undefined;

  function put(bytes: Buffer, passes: () => boolean): void {
    if (!passes() || to.destroyed) return;
    if (way.sliceBytes === 0) {
      to.write(bytes);
      return;
    }
    to.setNoDelay(true);
    for (let at = 0; at < bytes.length; at += way.sliceBytes)
      to.write(bytes.subarray(at, at + way.sliceBytes));
  }

  function work(): void {
    timer = undefined;
    for (let first = queue[0]; first; first = queue[0]) {
      const wait = first.due - performance.now();
      if (wait > 0.5) {
        timer = setTimeout(work, wait);
        break;
      }
      queue.shift();
      queued -= first.bytes.length;
      put(first.bytes, first.passes);
    }
    if (queued < QUEUE_BYTES && from.isPaused()) from.resume();
  }

  return (bytes, passes) => {
    if (way.latencyMs === 0 && way.bytesPerSecond === 0 && queue.length === 0) {
      put(bytes, passes);
      return;
    }
    const transfer = way.bytesPerSecond > 0 ? (bytes.length / way.bytesPerSecond) * 1_000 : 0;
    lastDue = Math.max(lastDue, performance.now() + way.latencyMs) + transfer;
    queue.push({ bytes, due: lastDue, passes });
    queued += bytes.length;
    if (queued > QUEUE_BYTES) from.pause();
    timer ??= setTimeout(work, lastDue - performance.now());
  };
}
