// One program in one thread: prepares an engine, maybe another one when the program turns out to want that, runs the
// program, reports, and is thrown away.
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { ENGINE_MODULES } from "./engines.mjs";
import { BELL_HOLD, BELL_ORDER, BELL_SILENT, createRunControl } from "./run-control.mjs";

/** @typedef {import("./engine.d.mts").Outcome} Outcome */
/** @typedef {import("./engine.d.mts").ProgramError} ProgramError */
/** @typedef {import("./engine.d.mts").RunControl} RunControl */
/**
 * @typedef {object} Setting what an engine is prepared for
 * @property {string} language
 * @property {number} memoryBytes
 * @property {unknown} assets
 */
/**
 * @typedef {object} Order
 * @property {import("./engine.d.mts").Program} program
 * @property {SharedArrayBuffer} log
 * @property {SharedArrayBuffer} progress
 */

/** @type {{packages: import("./engine.d.mts").Packages, bell: SharedArrayBuffer}} */
const { packages, bell } = workerData;
/** @type {import("./engine.d.mts").Instance | undefined} */
let instance;

parentPort?.on("message", async (/** @type {{prepare: Setting} | {run: Order}} */ order) => {
  if ("run" in order) return report(await run(order.run));
  const engine = await ENGINE_MODULES[order.prepare.language]?.();
  instance = await engine?.prepare(order.prepare.assets, order.prepare.memoryBytes, packages);
  if (instance?.attend) report(attend(instance.attend));
  else parentPort?.postMessage("prepared");
});

/** @param {Order} order @returns {Promise<Finished>} */
async function run({ program, log, progress }) {
  const control = createRunControl(program.limits, log, progress);
  try {
    if (instance === undefined) throw new Error(`No engine for ${program.language}`);
    return { outcome: await instance.run(program, control), control };
  } catch {
    return { outcome: gaveWay(), control };
  }
}

/** @param {NonNullable<import("./engine.d.mts").Instance["attend"]>} work @returns {Finished} */
function attend(work) {
  const ring = new Int32Array(bell);
  let told = false;
  /** @type {RunControl | undefined} */
  let control;
  try {
    const outcome = work((patienceMs) => {
      if (!told) parentPort?.postMessage("prepared");
      told = true;
      Atomics.wait(ring, 0, BELL_SILENT, patienceMs);
      // Another program runs: whatever was done now would count as its work.
      Atomics.wait(ring, 0, BELL_HOLD);
      if (Atomics.load(ring, 0) !== BELL_ORDER) return undefined;
      const { program, log, progress } = nextOrder();
      control = createRunControl(program.limits, log, progress);
      return { program, control };
    });
    return { outcome, control };
  } catch {
    return { outcome: gaveWay(), control };
  }
}

/** What the host has sent before it rang. @returns {Order} */
function nextOrder() {
  for (;;) {
    const received = parentPort && receiveMessageOnPort(parentPort);
    if (received?.message.run) return received.message.run;
  }
}

/** The engine itself gave way: what it says is about us, not about the program. @returns {Outcome} */
function gaveWay() {
  const message = "The engine could not go on with this program";
  return { status: "runtime_error", exitCode: 1, error: { kind: "EngineError", message } };
}

/** @typedef {{outcome: Outcome, control: RunControl | undefined}} Finished */

/** @param {Finished} finished */
function report({ outcome: { told, ...outcome }, control }) {
  const error = outcome.error === undefined ? undefined : clip(outcome.error);
  if (error !== undefined && !told && ["runtime_error", "compile_error"].includes(outcome.status)) {
    const title = error.message === "" ? error.kind : `${error.kind}: ${error.message}`;
    const place = error.stack
      ? `\n${error.stack}`
      : error.file
        ? `\n    at ${error.file}:${error.line ?? 1}`
        : "";
    control?.write(2, `Uncaught ${title}${place}\n`);
  }
  parentPort?.postMessage(error === undefined ? outcome : { ...outcome, error });
}

/** Nobody reads more, and the pool takes no longer ones. @param {ProgramError} error @returns {ProgramError} */
function clip(error) {
  const { kind, message, stack } = error;
  const title = { kind: kind.slice(0, 200), message: message.slice(0, 8192) };
  return { ...error, ...title, ...(stack === undefined ? {} : { stack: stack.slice(0, 8192) }) };
}
