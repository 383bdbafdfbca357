import { AppError } from "../errors.js";
import type { EventLog } from "../platform/event-log/event-log.js";

/** Whether the store of events answers. */
export interface StoreHealth {
  /** The log, with an eye on how its calls end. */
  readonly log: EventLog;
  /** Name of the store that is away; undefined while it answers. */
  readonly away: string | undefined;
}

/** Watches `log`; `changed` is told once when its store goes away and once when it is back. */
export function watchStore(
  log: EventLog,
  changed: (type: "server.degraded" | "server.recovered", dependency: string) => void,
): StoreHealth {
  let away: string | undefined;
  /** Calls begun so far, and how many had been when the last failure was seen: an older success proves nothing. */
  let begun = 0;
  let failedAt = 0;

  async function watch<T>(call: Promise<T>): Promise<T> {
    begun += 1;
    const turn = begun;
    try {
      const result = await call;
      if (away !== undefined && turn > failedAt) {
        const dependency = away;
        away = undefined;
        changed("server.recovered", dependency);
      }
      return result;
    } catch (error) {
      if (error instanceof AppError && error.code === "dependency_unavailable") {
        failedAt = begun;
        if (away === undefined) {
          const { dependency } = error.extensions;
          away = typeof dependency === "string" ? dependency : "event store";
          changed("server.degraded", away);
        }
      }
      throw error;
    }
  }

  return {
    log: {
      append: (stream, id, data) => watch(log.append(stream, id, data)),
      readAfter: (stream, after, limit) => watch(log.readAfter(stream, after, limit)),
      position: (stream) => watch(log.position(stream)),
      channelOf: (stream) => log.channelOf(stream),
      close: () => log.close(),
    },
    get away() {
      return away;
    },
  };
}
