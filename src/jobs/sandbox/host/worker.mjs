// One program in one thread: prepares an engine, maybe another one when the program turns out to want that, runs the
// program, reports, and is thrown away.
import { parentPort, workerData } from "node:worker_threads";
import { ENGINE_MODULES } from "./engines.mjs";
import { createRunControl } from "./run-control.mjs";

/** @typedef {import("./engine.d.mts").Outcome} Outcome */
/** @typedef {import("./engine.d.mts").ProgramError} ProgramError */
/**
 * @typedef {object} Setting what an engine is prepared for
 * @property {string} language
 * @property {number} memoryBytes
 * @property {unknown} assets
 */
/**
 * @typedef {object} Assignment
 * @property {import("./engine.d.mts").Program} program
 * @property {SharedArrayBuffer} log
 * @property {SharedArrayBuffer} progress
 */

/** @type {{packages: import("./engine.d.mts").Packages}} */
const { packages } = workerData;
/** @type {import("./engine.d.mts").Instance | undefined} */
let instance;

parentPort?.on("message", async (/** @type {{prepare: Setting} | {run: Assignment}} */ order) => {
  parentPort?.postMessage("prepare" in order ? await prepare(order.prepare) : await run(order.run));
});

/** @param {Setting} setting */
async function prepare({ language, memoryBytes, assets }) {
  const engine = await ENGINE_MODULES[language]?.();
  instance = await engine?.prepare(assets, memoryBytes, packages);
  return "prepared";
}

/** @param {Assignment} assignment */
async function run({ program, log, progress }) {
  const control = createRunControl(program.limits, log, progress);
  /** @type {Outcome} */
  let outcome;
  try {
    if (instance === undefined) throw new Error(`No engine for ${program.language}`);
    outcome = await instance.run(program, control);
  } catch {
    // The engine itself gave way: what it says is about us, not about the program.
    outcome = {
      status: "runtime_error",
      exitCode: 1,
      error: { kind: "EngineError", message: "The engine could not go on with this program" },
    };
  }
  if (outcome.error !== undefined) outcome = { ...outcome, error: clip(outcome.error) };
  const { error } = outcome;
  if (error !== undefined && (outcome.status === "runtime_error" || outcome.status === "compile_error")) {
    const title = error.message === "" ? error.kind : `${error.kind}: ${error.message}`;
    const place = error.stack
      ? `\n${error.stack}`
      : error.file
        ? `\n    at ${error.file}:${error.line ?? 1}`
        : "";
    control.write(2, `Uncaught ${title}${place}\n`);
  }
  return outcome;
}

/** Nobody reads more, and the pool takes no longer ones. @param {ProgramError} error @returns {ProgramError} */
function clip(error) {
  const { kind, message, stack } = error;
  const title = { kind: kind.slice(0, 200), message: message.slice(0, 8192) };
  return { ...error, ...title, ...(stack === undefined ? {} : { stack: stack.slice(0, 8192) }) };
}
