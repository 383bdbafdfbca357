// One program in one thread: prepares an engine ahead, waits for the program, runs it, reports, and is thrown away.
import { parentPort, workerData } from "node:worker_threads";
import { ENGINE_MODULES } from "./engines.mjs";
import { createRunControl } from "./run-control.mjs";

/** @typedef {import("./engine.d.mts").EngineModule} EngineModule */
/** @typedef {import("./engine.d.mts").Outcome} Outcome */
/** @typedef {import("./engine.d.mts").ProgramError} ProgramError */
/**
 * @typedef {object} Setting what an engine can be prepared for
 * @property {string} language
 * @property {number} memoryBytes
 * @property {unknown} assets
 */
/**
 * @typedef {object} Assignment
 * @property {import("./engine.d.mts").Program} program
 * @property {unknown} assets
 * @property {SharedArrayBuffer} log
 * @property {SharedArrayBuffer} progress
 */

/** @type {{expected: Setting | undefined, packages: import("./engine.d.mts").Packages}} */
const { expected, packages } = workerData;

/** Nobody reads more, and the pool takes no longer ones. @param {ProgramError} error @returns {ProgramError} */
function clip(error) {
  const { kind, message, stack } = error;
  const title = { kind: kind.slice(0, 200), message: message.slice(0, 8192) };
  return { ...error, ...title, ...(stack === undefined ? {} : { stack: stack.slice(0, 8192) }) };
}

/** @param {string} language */
async function engineOf(language) {
  const engine = await ENGINE_MODULES[language]?.();
  if (engine === undefined) throw new Error(`No engine for ${language}`);
  return engine;
}

const ahead = expected && {
  engine: await engineOf(expected.language),
  memoryBytes: expected.memoryBytes,
  instance: await (await engineOf(expected.language)).prepare(
    expected.assets,
    expected.memoryBytes,
    packages,
  ),
};

parentPort?.postMessage("ready");
parentPort?.once("message", async (/** @type {Assignment} */ { program, assets, log, progress }) => {
  const control = createRunControl(program.limits, log, progress);
  /** @type {Outcome} */
  let outcome;
  try {
    const { memoryBytes } = program.limits;
    const engine = await engineOf(program.language);
    const fits = ahead?.engine === engine && ahead.memoryBytes === memoryBytes;
    const instance = fits ? ahead.instance : await engine.prepare(assets, memoryBytes, packages);
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
  parentPort?.postMessage(outcome);
});
