import net from "node:net";
import { sleep } from "./process.mjs";

const INCOMING = Buffer.allocUnsafeSlow(64 * 1024);

/** One kept-alive connection that asks the same thing again and again, one request at a time. */
class Connection {
  answers = 0;
  failures = 0;
  stopped = false;
  #head = "";
  #body = 0;

  constructor(port, request) {
    this.ready = new Promise((resolve, reject) => {
      this.socket = net.connect({
        port,
        host: "127.0.0.1",
        noDelay: true,
        onread: {
          buffer: INCOMING,
          callback: (length, buffer) => this.#read(buffer.toString("latin1", 0, length)),
        },
      });
      this.socket.on("connect", resolve);
      this.socket.on("error", reject);
    });
    this.request = request;
  }

  ask() {
    this.socket.write(this.request);
  }

  #read(text) {
    if (this.#body > 0) this.#body -= text.length;
    else {
      this.#head += text;
      const end = this.#head.indexOf("\r\n\r\n");
      if (end < 0) return true;
      if (this.#head.slice(9, 12) !== "200") this.failures += 1;
      const length = /content-length: (\d+)/i.exec(this.#head)?.[1];
      if (length === undefined) throw new Error("the load generator wants a Content-Length");
      this.#body = Number(length) - (this.#head.length - end - 4);
      this.#head = "";
    }
    if (this.#body > 0) return true;
    this.answers += 1;
    if (!this.stopped) this.ask();
    return true;
  }
}

/**
 * Requests a second over `connections` kept-alive connections.
 *
 * @param {{port: number, path: string, headers?: Record<string, string>, connections: number, seconds: number}} options
 */
export async function requestsPerSecond({ port, path, headers = {}, connections, seconds }) {
  const lines = Object.entries({ Host: `127.0.0.1:${port}`, ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  const request = Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  const pool = Array.from({ length: connections }, () => new Connection(port, request));
  await Promise.all(pool.map(({ ready }) => ready));
  const started = performance.now();
  for (const connection of pool) connection.ask();
  await sleep(seconds * 1_000);
  const answers = pool.reduce((sum, connection) => sum + connection.answers, 0);
  const elapsed = (performance.now() - started) / 1_000;
  for (const connection of pool) {
    connection.stopped = true;
    connection.socket.destroy();
  }
  const failures = pool.reduce((sum, connection) => sum + connection.failures, 0);
  if (failures > 0) throw new Error(`${failures} of ${answers} requests were not answered with 200`);
  return answers / elapsed;
}
