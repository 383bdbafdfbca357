import { WebSocket } from "ws";

/** A socket that speaks raw bytes, for what no honest client sends. */
export interface RawSocket {
  readonly frames: Buffer[];
  readonly texts: string[];
  send(bytes: Uint8Array | string): void;
  closed(): Promise<number>;
  terminate(): void;
}

/** Opens a binary socket; rejects with `{status, code}` when the upgrade is refused. */
export function openRawSocket(url: string, headers: Record<string, string> = {}): Promise<RawSocket> {
  const socket = new WebSocket(url, { headers });
  const frames: Buffer[] = [];
  const texts: string[] = [];
  let code: number | undefined;
  const waiting: ((code: number) => void)[] = [];
  socket.on("message", (data, isBinary) => {
    if (isBinary) frames.push(data as Buffer);
    else texts.push((data as Buffer).toString("utf8"));
  });
  socket.on("close", (closeCode) => {
    code = closeCode;
    for (const each of waiting) each(closeCode);
  });
  return new Promise((resolve, reject) => {
    socket.on("unexpected-response", (_request, response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += String(chunk);
      });
      response.on("end", () => reject({ status: response.statusCode, code: JSON.parse(body).code }));
    });
    socket.on("error", () => undefined);
    socket.on("open", () =>
      resolve({
        frames,
        texts,
        send: (bytes) => socket.send(bytes),
        closed: () =>
          code === undefined ? new Promise((done) => waiting.push(done)) : Promise.resolve(code),
        terminate: () => socket.terminate(),
      }),
    );
  });
}
