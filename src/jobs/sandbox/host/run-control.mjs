import { startCpuClock } from "./cpu-clock.mjs";
import { createOutputWriter } from "./output-log.mjs";

/** @typedef {import("./engine.d.mts").Outcome} Outcome */

/** Places in the shared progress record of a run: `Int32Array(PROGRESS_LENGTH)`. */
export const PROGRESS_BEGUN = 0;
export const PROGRESS_PEAK_PAGES = 1;
export const PROGRESS_TRUNCATED = 2;
export const PROGRESS_LENGTH = 3;
/** Unit of PROGRESS_PEAK_PAGES. */
export const PAGE_BYTES = 65_536;

/** Values of the bell of a worker, `Int32Array(1)`: nothing yet, nothing and be quiet, a program was sent. */
export const BELL_SILENT = 0;
export const BELL_HOLD = 1;
export const BELL_ORDER = 2;

/**
 * The worker thread's end of a run.
 * @param {{cpuMs: number}} limits
 * @param {SharedArrayBuffer} log
 * @param {SharedArrayBuffer} progress
 * @returns {import("./engine.d.mts").RunControl}
 */
export function createRunControl(limits, log, progress) {
  const record = new Int32Array(progress);
  const append = createOutputWriter(log);
  const cpuMs = startCpuClock();
  const never = new Int32Array(new SharedArrayBuffer(4));
  /** @type {Outcome | undefined} */
  let stopped;

  return {
    write(descriptor, text) {
      if (append(descriptor, text)) return true;
      Atomics.store(record, PROGRESS_TRUNCATED, 1);
      stopped ??= { status: "output_limit", exitCode: null };
      return false;
    },
    begin() {
      Atomics.store(record, PROGRESS_BEGUN, 1);
    },
    stop(outcome) {
      stopped ??= outcome;
    },
    get stopped() {
      return stopped;
    },
    interrupted() {
      if (stopped === undefined && cpuMs() >= limits.cpuMs) {
        stopped = { status: "cpu_time_limit", exitCode: null };
      }
      return stopped !== undefined;
    },
    sleep(ms) {
      Atomics.wait(never, 0, 0, ms);
    },
    memory(bytes) {
      const pages = Math.ceil(bytes / PAGE_BYTES);
      if (pages > Atomics.load(record, PROGRESS_PEAK_PAGES))
        Atomics.store(record, PROGRESS_PEAK_PAGES, pages);
    },
  };
}
