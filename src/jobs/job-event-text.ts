import { AppError } from "../errors.js";

/** Tells a client to come back a second after it was cut off. */
export const RETRY = "retry: 1000\n\n";

/** A comment that keeps proxies from taking the stream for dead. */
export const HEARTBEAT = ":\n\n";

/** One event of a stream (HTML, section 9.2); JSON holds no line breaks. */
export function serverSentEvent(name: string, data: unknown, id?: string): string {
  return `event: ${name}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;
}

/** Id of the event that says that a job has ended; its log ended with the entry `seq`. */
export function endId(seq: number): string {
  return `${seq}-end`;
}

/**
 * What a client has had, by the id of the last event it got.
 *
 * @throws AppError `validation_failed` for what is no id of ours.
 */
export function positionOf(lastEventId: string | undefined): {
  readonly after: number;
  readonly ended: boolean;
} {
  if (lastEventId === undefined || lastEventId === "") return { after: 0, ended: false };
  const found = /^(\d{1,9})(-end)?$/.exec(lastEventId);
  if (!found) {
    const message = "must be the id of an event of this stream";
    throw new AppError("validation_failed", {
      errors: [{ pointer: "Last-Event-ID", code: "invalid_format", message }],
    });
  }
  return { after: Number(found[1]), ended: found[2] !== undefined };
}
