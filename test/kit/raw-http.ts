import { once } from "node:events";
import { connect } from "node:net";

/** An answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** A TCP connection to an HTTP server, for requests no client library would send. */
export interface RawConnection {
  send(bytes: string | Uint8Array): void;
  /** The next answer; rejects when the connection ends before it is complete. */
  answer(options?: { readonly toHead?: boolean }): Promise<RawAnswer>;
  /** Resolves when the server has closed; gives what came after the answers taken. */
  closed(): Promise<string>;
  destroy(): void;
}

/** Connects to the server of `url`. */
export async function openRaw(url: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let received: Buffer = Buffer.alloc(0);
  let ended = false;
  let wake = () => undefined as void;
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    wake();
  });
  socket.on("error", () => undefined);
  socket.on("close", () => {
    ended = true;
    wake();
  });
  await once(socket, "connect");
  const more = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  return {
    send: (bytes) => void socket.write(bytes),
    async answer({ toHead = false } = {}) {
      for (;;) {
        const taken = takeAnswer(received, toHead);
        if (taken) {
          received = taken.rest;
          return taken.answer;
        }
        if (ended) throw new Error(`the connection ended after ${JSON.stringify(received.toString())}`);
        await more();
      }
    },
    async closed() {
      while (!ended) await more();
      return received.toString();
    },
    destroy: () => socket.destroy(),
  };
}

function takeAnswer(bytes: Buffer, toHead: boolean): { answer: RawAnswer; rest: Buffer } | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [line = "", ...fields] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const headers = new Headers();
  for (const field of fields) {
    const [name = "", ...value] = field.split(":");
    headers.append(name, value.join(":").trim());
  }
  const status = Number(line.split(" ")[1]);
  const body = bytes.subarray(end + 4);
  const done = (text: Buffer, rest: Buffer) => ({ answer: { status, headers, text: text.toString() }, rest });
  if (toHead || status < 200 || status === 204 || status === 304) return done(Buffer.alloc(0), body);
  if (headers.get("transfer-encoding") === "chunked") return takeChunks(body, done);
  const length = Number(headers.get("content-length") ?? 0);
  return body.length < length ? undefined : done(body.subarray(0, length), body.subarray(length));
}

function takeChunks<T>(body: Buffer, done: (text: Buffer, rest: Buffer) => T): T | undefined {
  const chunks: Buffer[] = [];
  for (let rest = body; ; ) {
    const end = rest.indexOf("\r\n");
    if (end < 0) return undefined;
    const size = Number.parseInt(rest.subarray(0, end).toString(), 16);
    const next = end + 2 + size + 2;
    if (rest.length < next) return undefined;
    chunks.push(rest.subarray(end + 2, end + 2 + size));
    rest = rest.subarray(next);
    if (size === 0) return done(Buffer.concat(chunks), rest);
  }
}
