// One run, seen from the host's main thread: the worker, its output, and the middle steps of the kill ladder.
import { Worker } from "node:worker_threads";
import { startCpuClock } from "./cpu-clock.mjs";
import { allocateOutputLog, createOutputReader } from "./output-log.mjs";
import {
  BELL_ORDER,
  PAGE_BYTES,
  PROGRESS_BEGUN,
  PROGRESS_LENGTH,
  PROGRESS_PEAK_PAGES,
  PROGRESS_TRUNCATED,
} from "./run-control.mjs";

/** @typedef {import("./engine.d.mts").Outcome} Outcome */
/** @typedef {import("./engine.d.mts").Program} Program */

const POLL_MS = 10;
// A call inside the engine that cannot be interrupted may overrun the processor limit by this much.
const CPU_GRACE_MS = 250;
// The thread of a program needs V8 stack for the engine's own recursion, and little heap of its own.
const RESOURCE_LIMITS = { stackSizeMb: 64, maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 16 };

/**
 * @typedef {object} WaitingWorker
 * @property {Worker} worker
 * @property {(value: number) => void} ring tells a thread that may be blocked what is going on, by a BELL_ value
 * @property {(setting: import("./worker.mjs").Setting) => Promise<boolean>} prepare false when the worker ended instead
 */

/**
 * A worker thread that waits for one program.
 * @param {import("./engine.d.mts").Packages} packages
 * @returns {WaitingWorker}
 */
export function startWorker(packages) {
  const bell = new Int32Array(new SharedArrayBuffer(4));
  // Own pipes for its output: this process's standard output is the wire.
  const worker = new Worker(new URL("./worker.mjs", import.meta.url), {
    workerData: { packages, bell: bell.buffer },
    env: {},
    execArgv: [],
    stdin: false,
    stdout: true,
    stderr: true,
    resourceLimits: RESOURCE_LIMITS,
  });
  // Without a listener a worker that fails while it waits would take the host with it.
  worker.on("error", () => {});
  const ended = new Promise((/** @type {(value: false) => void} */ resolve) =>
    worker.once("exit", () => resolve(false)),
  );
  return {
    worker,
    ring(value) {
      Atomics.store(bell, 0, value);
      Atomics.notify(bell, 0);
    },
    prepare(setting) {
      worker.postMessage({ prepare: setting });
      const prepared = new Promise((/** @type {(value: boolean) => void} */ resolve) =>
        worker.once("message", (message) => resolve(message === "prepared")),
      );
      return Promise.race([prepared, ended]);
    },
  };
}

/**
 * @typedef {object} RunReport
 * @property {Outcome} outcome
 * @property {number} durationMs
 * @property {number} cpuMs
 * @property {number} peakMemoryBytes
 * @property {boolean} truncated output was lost
 */

/**
 * Runs a program in a worker that is prepared for it to its end, whatever that is.
 * @param {WaitingWorker} waiting
 * @param {Program} program
 * @param {{output: (descriptor: 1 | 2, bytes: Uint8Array) => void, begun: () => void}} sink
 * @returns {{report: Promise<RunReport>, cancel: () => void}}
 */
export function runProgram({ worker, ring }, program, sink) {
  const log = allocateOutputLog(program.limits.outputBytes);
  const progress = new SharedArrayBuffer(4 * PROGRESS_LENGTH);
  const record = new Int32Array(progress);
  const started = performance.now();
  const cpuMs = startCpuClock();
  const mostResident = process.memoryUsage.rss() + program.limits.memoryBytes + 192 * 1024 * 1024;
  const drainOutput = createOutputReader(log, sink.output);
  let begun = false;
  let ended = false;
  /** @type {(report: RunReport) => void} */
  let settle = () => {};
  /** @type {Promise<RunReport>} */
  const report = new Promise((resolve) => (settle = resolve));

  function drain() {
    if (!begun && Atomics.load(record, PROGRESS_BEGUN) === 1) {
      begun = true;
      sink.begun();
    }
    drainOutput();
  }

  /** @param {Outcome} outcome */
  async function end(outcome) {
    if (ended) return;
    ended = true;
    clearInterval(poll);
    const spent = { durationMs: performance.now() - started, cpuMs: cpuMs() };
    await worker.terminate();
    drain();
    const peakMemoryBytes = Atomics.load(record, PROGRESS_PEAK_PAGES) * PAGE_BYTES;
    settle({ outcome, ...spent, peakMemoryBytes, truncated: Atomics.load(record, PROGRESS_TRUNCATED) === 1 });
  }

  const poll = setInterval(() => {
    drain();
    if (cpuMs() >= program.limits.cpuMs + CPU_GRACE_MS)
      void end({ status: "cpu_time_limit", exitCode: null });
    else if (performance.now() - started >= program.limits.wallMs)
      void end({ status: "wall_time_limit", exitCode: null });
    else if (process.memoryUsage.rss() > mostResident) void end({ status: "memory_limit", exitCode: null });
  }, POLL_MS);

  worker.once("message", (/** @type {Outcome} */ outcome) => void end(outcome));
  worker.once("error", (/** @type {NodeJS.ErrnoException} */ error) => {
    if (error.code === "ERR_WORKER_OUT_OF_MEMORY") void end({ status: "memory_limit", exitCode: null });
    else void end(lost());
  });
  worker.once("exit", () => void end(lost()));
  worker.postMessage({ run: { program, log, progress } });
  ring(BELL_ORDER);
  return { report, cancel: () => void end({ status: "cancelled", exitCode: null }) };
}

/** @returns {Outcome} */
function lost() {
  const message = "The engine could not go on with this program";
  return { status: "runtime_error", exitCode: 1, error: { kind: "EngineError", message } };
}
