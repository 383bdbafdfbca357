import { backoffMs } from "./backoff.js";
import { AtelierError } from "./errors.js";
import type { NackFrame } from "./generated/frames.js";

/** Where an event stands in the project's stream. */
export interface Position {
  readonly epoch: string;
  readonly seq: number;
}

/** An acknowledged event: it is durable, and everybody gets it at this place. */
export interface Acknowledged extends Position {
  /** The id it was sent with. */
  readonly id: string;
}

interface Waiting {
  readonly id: string;
  readonly text: string;
  /** The connection it went out on. */
  sentOn: number;
  resolve(acknowledged: Acknowledged): void;
  reject(error: Error): void;
}

/** Messages until they are acknowledged: sent again, under the same id, on every connection until then. */
export interface Outbox {
  add(id: string, text: string, signal: AbortSignal | undefined): Promise<Acknowledged>;
  /** A connection is there: sends what waits. */
  flush(connection: number): void;
  acknowledged(id: string, position: Position): void;
  refused(id: string, frame: NackFrame): void;
  /** Rejects everything. */
  fail(error: AtelierError): void;
}

/** What may wait; more is refused rather than lost later. */
const MOST_WAITING = 1_000;
/** Sent and not answered; below the burst the service allows. */
const WINDOW = 64;
const RETRYABLE = ["dependency_unavailable", "rate_limited", "overloaded", "shutting_down"];

/** An outbox over `send`, which answers false when nothing can be sent. */
export function createOutbox(send: (text: string) => boolean): Outbox {
  const waiting = new Map<string, Waiting>();
  let connection = 0;
  let inFlight = 0;
  let paused: ReturnType<typeof setTimeout> | undefined;
  let nacks = 0;

  function pump(): void {
    if (paused !== undefined || connection === 0) return;
    for (const entry of waiting.values()) {
      if (inFlight >= WINDOW) return;
      if (entry.sentOn === connection) continue;
      if (!send(entry.text)) return;
      entry.sentOn = connection;
      inFlight += 1;
    }
  }

  function take(id: string): Waiting | undefined {
    const entry = waiting.get(id);
    if (entry?.sentOn === connection) inFlight -= 1;
    waiting.delete(id);
    return entry;
  }

  return {
    add(id, text, signal) {
      if (waiting.size >= MOST_WAITING) {
        const error = new AtelierError(
          "too_much_waiting",
          `${MOST_WAITING} messages wait to be acknowledged.`,
        );
        return Promise.reject(error);
      }
      if (signal?.aborted) return Promise.reject(signal.reason as Error);
      return new Promise((resolve, reject) => {
        const abort = () => {
          take(id);
          reject(signal?.reason as Error);
          pump();
        };
        const forget = () => signal?.removeEventListener("abort", abort);
        signal?.addEventListener("abort", abort, { once: true });
        waiting.set(id, {
          id,
          text,
          sentOn: 0,
          resolve(value) {
            forget();
            resolve(value);
          },
          reject(error) {
            forget();
            reject(error);
          },
        });
        pump();
      });
    },
    flush(next) {
      connection = next;
      inFlight = 0;
      clearTimeout(paused);
      paused = undefined;
      pump();
    },
    acknowledged(id, { epoch, seq }) {
      nacks = 0;
      take(id)?.resolve({ id, epoch, seq });
      pump();
    },
    refused(id, { code, detail, errors, retryAfterMs }) {
      const entry = waiting.get(id);
      if (!entry) return;
      if (!RETRYABLE.includes(code)) {
        take(id);
        const retryAfter = retryAfterMs === undefined ? undefined : retryAfterMs / 1000;
        entry.reject(new AtelierError(code, detail, { errors, retryAfter }));
        pump();
        return;
      }
      // It may have been accepted all the same: the same id makes it one event.
      if (entry.sentOn === connection) inFlight -= 1;
      entry.sentOn = 0;
      nacks += 1;
      paused ??= setTimeout(
        () => {
          paused = undefined;
          pump();
        },
        (retryAfterMs ?? 500) + backoffMs(nacks, 100, 5_000),
      );
    },
    fail(error) {
      clearTimeout(paused);
      paused = undefined;
      const all = [...waiting.values()];
      waiting.clear();
      inFlight = 0;
      for (const entry of all) entry.reject(error);
    },
  };
}
