import { randomBytes } from "node:crypto";
import net from "node:net";

/** Every socket of this process reads into the same memory: what arrives is looked at before the next read. */
const INCOMING = Buffer.allocUnsafeSlow(256 * 1024);
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);
const CONNECT_MS = 20_000;

/**
 * A WebSocket client that costs the load generator as little as possible: it walks frame headers and hands out slices
 * without copying. Unfragmented frames from the server only, no extensions.
 */
export class RawClient {
  /** Data frames seen, and bytes read. */
  frames = 0;
  bytes = 0;
  closed = false;
  /** @type {import("node:net").Socket} */
  socket;
  #rest = null;
  #onFrame = undefined;
  #take = undefined;

  /**
   * @param {{port: number, path: string, headers?: Record<string, string>, localAddress?: string}} options
   * @returns {Promise<RawClient>} once the server has accepted the upgrade
   */
  static connect(options) {
    return new Promise((resolve, reject) => {
      const client = new RawClient();
      let head = Buffer.alloc(0);
      client.#take = (chunk) => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        if (head.toString("latin1", 9, 12) !== "101") {
          client.close();
          reject(new Error(`upgrade refused: ${head.toString("utf8", 0, 400)}`));
          return;
        }
        clearTimeout(late);
        client.#take = (data) => client.#read(data);
        const early = head.subarray(end + 4);
        resolve(client);
        // After whoever awaits this has set its listener.
        if (early.length > 0) client.#rest = early;
        setImmediate(() => client.#take(Buffer.alloc(0)));
      };
      const socket = net.connect({
        port: options.port,
        host: "127.0.0.1",
        localAddress: options.localAddress,
        noDelay: true,
        onread: {
          buffer: INCOMING,
          callback: (length, buffer) => {
            client.bytes += length;
            client.#take(buffer.subarray(0, length));
            return true;
          },
        },
      });
      client.socket = socket;
      const late = setTimeout(() => {
        reject(new Error("no answer to the upgrade"));
        client.close();
      }, CONNECT_MS);
      socket.on("connect", () => socket.write(upgradeRequest(options)));
      socket.on("error", reject);
      socket.on("close", () => {
        clearTimeout(late);
        client.closed = true;
        reject(new Error("closed before the upgrade"));
      });
    });
  }

  /**
   * @param {(opcode: number, buffer: Buffer, start: number, end: number) => void} listener the bytes are only good
   *   during the call
   */
  onFrame(listener) {
    this.#onFrame = listener;
  }

  #read(chunk) {
    let data = chunk;
    if (this.#rest) {
      data = Buffer.concat([this.#rest, chunk]);
      this.#rest = null;
    }
    const size = data.length;
    let at = 0;
    while (at + 2 <= size) {
      let length = data[at + 1] & 0x7f;
      let header = 2;
      if (length === 126) {
        if (at + 4 > size) break;
        length = data.readUInt16BE(at + 2);
        header = 4;
      } else if (length === 127) {
        if (at + 10 > size) break;
        length = Number(data.readBigUInt64BE(at + 2));
        header = 10;
      }
      const end = at + header + length;
      if (end > size) break;
      const opcode = data[at] & 0x0f;
      if (opcode < 8) {
        this.frames += 1;
        this.#onFrame?.(opcode, data, at + header, end);
      } else if (opcode === 9) this.socket.write(PONG);
      at = end;
    }
    if (at < size) this.#rest = Buffer.from(data.subarray(at));
  }

  /** Sends one text frame, masked with zeros (allowed, and free). */
  send(text) {
    this.socket.write(clientFrame(text));
  }

  /** Stops reading, as a client that hangs does. */
  pause() {
    this.socket.pause();
  }

  /** Drops the connection without a closing handshake. */
  close() {
    this.socket.destroy();
  }
}

function upgradeRequest({ port, path, headers = {} }) {
  const lines = Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
  return (
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n${lines}\r\n`
  );
}

function clientFrame(text) {
  const body = Buffer.from(text, "utf8");
  const header = body.length < 126 ? 2 : 4;
  if (body.length > 65_535) throw new RangeError("the load generator sends at most 64 KiB");
  const frame = Buffer.allocUnsafe(header + 4 + body.length);
  frame[0] = 0x81;
  if (header === 2) frame[1] = 0x80 | body.length;
  else {
    frame[1] = 0x80 | 126;
    frame.writeUInt16BE(body.length, 2);
  }
  frame.writeUInt32BE(0, header);
  body.copy(frame, header + 4);
  return frame;
}

/** Runs `connect(0 … count-1)`, at most `inFlight` at a time. */
export async function connectMany(count, inFlight, connect) {
  const clients = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(inFlight, count) }, async () => {
      while (next < count) {
        const index = next;
        next += 1;
        clients[index] = await connect(index);
      }
    }),
  );
  return clients;
}
