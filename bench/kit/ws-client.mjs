import { randomBytes } from "node:crypto";
import net from "node:net";

/**
 * A WebSocket client that costs the load generator as little as possible: it walks frame headers and hands out payload
 * slices without copying. Text and binary frames from the server only; no extensions.
 */
export class RawClient {
  #rest = null;
  #onFrame = () => {};
  bytes = 0;
  frames = 0;

  /** @param {{port: number, path: string, headers?: Record<string, string>, localAddress?: string}} options */
  static connect(options) {
    return new Promise((resolve, reject) => {
      const client = new RawClient();
      const socket = net.connect({
        port: options.port,
        host: "127.0.0.1",
        localAddress: options.localAddress,
      });
      client.socket = socket;
      socket.setNoDelay(true);
      const headers = { Host: `127.0.0.1:${options.port}`, ...options.headers };
      socket.on("connect", () => {
        const lines = Object.entries(headers)
          .map(([name, value]) => `${name}: ${value}\r\n`)
          .join("");
        socket.write(
          `GET ${options.path} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
            `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n${lines}\r\n`,
        );
      });
      let head = Buffer.alloc(0);
      const handshake = (chunk) => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        socket.off("data", handshake);
        const status = head.toString("latin1", 9, 12);
        if (status !== "101") {
          socket.destroy();
          reject(new Error(`upgrade refused: ${head.toString("utf8", 0, 600)}`));
          return;
        }
        socket.on("data", (data) => client.#read(data));
        resolve(client);
        if (head.length > end + 4) client.#read(head.subarray(end + 4));
      };
      socket.on("data", handshake);
      socket.on("error", reject);
      socket.on("close", () => client.onClose?.());
    });
  }

  /** @param {(opcode: number, buffer: Buffer, start: number, end: number) => void} listener */
  onFrame(listener) {
    this.#onFrame = listener;
  }

  #read(chunk) {
    this.bytes += chunk.length;
    let data = chunk;
    if (this.#rest) {
      data = Buffer.concat([this.#rest, chunk]);
      this.#rest = null;
    }
    let at = 0;
    while (at + 2 <= data.length) {
      let length = data[at + 1] & 0x7f;
      let header = 2;
      if (length === 126) {
        if (at + 4 > data.length) break;
        length = data.readUInt16BE(at + 2);
        header = 4;
      } else if (length === 127) {
        if (at + 10 > data.length) break;
        length = Number(data.readBigUInt64BE(at + 2));
        header = 10;
      }
      if (at + header + length > data.length) break;
      const opcode = data[at] & 0x0f;
      if (opcode === 9) this.#pong();
      else {
        this.frames += 1;
        this.#onFrame(opcode, data, at + header, at + header + length);
      }
      at += header + length;
    }
    if (at < data.length) this.#rest = Buffer.from(data.subarray(at));
  }

  #pong() {
    this.socket.write(Buffer.from([0x8a, 0x80, 0, 0, 0, 0]));
  }

  /** Sends one text frame, masked with zeros (allowed, and free). */
  send(text) {
    const body = Buffer.from(text, "utf8");
    const header = body.length < 126 ? 2 : 4;
    const frame = Buffer.allocUnsafe(header + 4 + body.length);
    frame[0] = 0x81;
    if (header === 2) frame[1] = 0x80 | body.length;
    else {
      frame[1] = 0x80 | 126;
      frame.writeUInt16BE(body.length, 2);
    }
    frame.writeUInt32BE(0, header);
    body.copy(frame, header + 4);
    this.socket.write(frame);
  }

  close() {
    this.socket.destroy();
  }
}
