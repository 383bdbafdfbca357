import type { Socket } from "node:net";
import type { WebSocket } from "ws";
import type { Transport } from "./peer.js";

/** Grace for the closing handshake before the connection is dropped. */
const CLOSE_TIMEOUT_MS = 2_000;

/**
 * Writes frames that are framed already straight to the TCP socket, in one write each. Safe beside `ws`, which writes its
 * own control frames in one piece too, as long as compression is off.
 */
export class SocketTransport implements Transport {
  #drained: (() => void)[] = [];
  #waiting = false;
  #closing = false;

  constructor(
    private readonly websocket: WebSocket,
    private readonly socket: Socket,
  ) {}

  get queuedBytes(): number {
    return this.socket.writableLength;
  }

  write(frames: Buffer): boolean {
    // A socket that was destroyed or ended is not writable either.
    return this.#closing || !this.socket.writable || this.socket.write(frames);
  }

  pause(): void {
    this.websocket.pause();
  }

  resume(): void {
    this.websocket.resume();
  }

  onceDrained(listener: () => void): void {
    if (this.socket.destroyed || this.socket.writableLength === 0) {
      setImmediate(listener);
      return;
    }
    this.#drained.push(listener);
    if (this.#waiting) return;
    this.#waiting = true;
    const done = () => {
      this.socket.off("drain", done);
      this.socket.off("close", done);
      this.#waiting = false;
      const listeners = this.#drained;
      this.#drained = [];
      for (const each of listeners) each();
    };
    this.socket.on("drain", done);
    this.socket.on("close", done);
    // Below the stream's own mark no `drain` would come: an empty write calls back when everything before it has left.
    if (!this.socket.writableNeedDrain) this.socket.write("", () => done());
  }

  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    // The client's half of the closing handshake has to be read.
    this.websocket.resume();
    this.websocket.close(code, reason.slice(0, 120));
    setTimeout(() => this.websocket.terminate(), CLOSE_TIMEOUT_MS).unref();
  }

  terminate(): void {
    this.#closing = true;
    this.websocket.terminate();
  }
}
