import { once } from "node:events";
import type { Request, Response } from "express";
import type { OpenStream } from "./route.js";

/** A client that takes nothing for so long is given up. */
const SLOW_MS = 30_000;

/**
 * Writes a stream as the client takes it: the source is asked for more only when what it gave has left. Resolves when
 * either side has ended; rejects when the source fails.
 */
export async function sendStream(request: Request, response: Response, open: OpenStream): Promise<void> {
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  const gone = new AbortController();
  const abort = () => gone.abort();
  response.once("close", abort);
  try {
    response.flushHeaders();
    for await (const text of open(gone.signal)) {
      if (gone.signal.aborted) return;
      if (!response.write(text)) await drained(response, gone.signal);
    }
    response.end();
  } finally {
    response.off("close", abort);
  }
}

async function drained(response: Response, gone: AbortSignal): Promise<void> {
  const timer = setTimeout(() => response.destroy(), SLOW_MS);
  try {
    await once(response, "drain", { signal: gone });
  } catch (error) {
    if (!gone.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
}
