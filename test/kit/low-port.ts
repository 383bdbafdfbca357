import { createServer } from "node:net";

/** Below the range from which systems take the ports of outgoing connections: nobody takes it while its server is away. */
const FIRST = 20_000;
const COUNT = 10_000;

/** A free port of the loopback for a server that is to be restarted on it. */
export async function lowPort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer().once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}
