import type { Clock } from "../platform/clock.js";
import type { Sql } from "../platform/database/database.js";
import type { JobAudience, JobLogEntry, JobOutput } from "./job-output.js";
import type { LogStream } from "./job-type.js";
import { LOG_FULL, type LogState, type RunRef, type RunRepository } from "./run-repository.js";
import { storableText } from "./storable.js";

/** Keeps what a run says: log and progress, gathered into few writes. */
export interface JobRecorder {
  progress(percent: number, message?: string): void;
  log(stream: LogStream, text: string): void;
  /** Takes nothing more; gives back the entries that are still to be stored. */
  close(): Promise<readonly JobLogEntry[]>;
}

/** Bounds of one job's log over all its attempts. */
export const LOG_LIMITS = { bytes: 1024 * 1024, entries: 10_000 } as const;

/** How long what is said is gathered before it is written. */
const GATHER_MS = 150;
/** UTF-16 units of one entry. */
const ENTRY_LENGTH = 8 * 1024;
const MESSAGE_LENGTH = 200;

/** The recorder of one run. */
export function createJobRecorder(deps: {
  database: Sql;
  repository: RunRepository;
  run: RunRef;
  audience: JobAudience;
  output: JobOutput;
  clock: Clock;
  /** Where the log of earlier attempts ended. */
  start: LogState;
  /** Called when the run turns out to be none any more. */
  onLost: () => void;
}): JobRecorder {
  const { database, repository, run, audience, output, clock, onLost } = deps;
  let { seq, bytes, full } = deps.start;
  let gathered: JobLogEntry[] = [];
  let said: { readonly percent: number; readonly message: string | null } | undefined;
  let shown = { percent: 0, message: null as string | null };
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> | undefined;
  let closed = false;

  function soon(): void {
    if (closed) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      writing ??= write().finally(() => {
        writing = undefined;
        if (gathered.length > 0 || said) soon();
      });
    }, GATHER_MS);
  }

  async function write(): Promise<void> {
    const entries = gathered;
    const progress = said;
    gathered = [];
    said = undefined;
    try {
      if (!(await repository.appendLogs(database, run, entries))) return onLost();
      if (entries.length > 0) output.log(audience, entries);
    } catch {
      // The database is away: they go along with the next write, or with the end of the run.
      gathered = [...entries, ...gathered];
    }
    if (!progress || (progress.percent === shown.percent && progress.message === shown.message)) return;
    try {
      if (!(await repository.setProgress(database, run, progress.percent, progress.message))) return onLost();
      shown = progress;
      output.progress(audience, progress.percent, progress.message);
    } catch {
      said ??= progress;
    }
  }

  function add(stream: LogStream, text: string): void {
    const last = gathered.at(-1);
    if (last?.stream === stream && last.text.length + text.length <= ENTRY_LENGTH) {
      gathered[gathered.length - 1] = { ...last, text: last.text + text };
      return;
    }
    seq += 1;
    gathered.push({ seq, attempt: run.attempt, at: clock.now(), stream, text });
  }

  return {
    progress(percent, message) {
      if (closed) return;
      said = {
        percent: Math.max(0, Math.min(100, Math.round(percent))),
        message: message === undefined ? null : storableText(message.slice(0, MESSAGE_LENGTH)),
      };
      soon();
    },
    log(stream, text) {
      if (closed || full || text === "") return;
      for (const piece of piecesOf(storableText(text))) {
        bytes += Buffer.byteLength(piece);
        full = bytes > LOG_LIMITS.bytes || seq >= LOG_LIMITS.entries - 1;
        if (full) {
          add("system", LOG_FULL);
          break;
        }
        add(stream, piece);
      }
      soon();
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      await writing;
      return gathered;
    },
  };
}

/** Cuts well-formed text into entries, never through a surrogate pair. */
function piecesOf(text: string): string[] {
  const pieces: string[] = [];
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + ENTRY_LENGTH, text.length);
    if (end < text.length && /[\uD800-\uDBFF]/.test(text.charAt(end - 1))) end -= 1;
    pieces.push(text.slice(start, end));
    start = end;
  }
  return pieces;
}
