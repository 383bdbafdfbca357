import { pathToFileURL } from "node:url";
import { moduleSource, resolveImport } from "../modules.mjs";
import { ProgramRefused } from "./program-refused.mjs";
import { languageOf } from "./quickjs-languages.mjs";

/** @typedef {import("../engine.d.mts").Outcome} Outcome */
/** @typedef {import("../engine.d.mts").Program} Program */
/** @typedef {import("../engine.d.mts").ProgramError} ProgramError */
/** @typedef {import("../engine.d.mts").RunControl} RunControl */
/** @typedef {import("../engine.d.mts").Packages} Packages */
/** @typedef {import("quickjs-wasi").JSValueHandle} JSValueHandle */
/** @typedef {(...args: JSValueHandle[]) => JSValueHandle} HostFunction */

// The most the shipped binary supports. V8 must have far more than this below it (`stackSizeMb`), or deep recursion
// overflows V8's stack first and leaves the instance broken.
const STACK_BYTES = 512 * 1024;
const START = 'import "sandbox:begin"; import "sandbox:entry";';
const BEGIN = 'import { begin } from "./prelude.mjs"; begin();';
const PRELUDE_EXPORTS = /** @type {const} */ (["start", "report", "nextTimer", "fireTimer", "exitCode"]);
// The regular expression compiler says it by a SyntaxError.
const OWN_ERRORS = new Set(["InternalError", "SyntaxError"]);
const MOST_REJECTIONS = 1000;
const UNSETTLED_EXIT_CODE = 13;

/** @param {Packages} packages @returns {Promise<typeof import("quickjs-wasi")>} */
export function quickjsLibrary(packages) {
  return import(pathToFileURL(packages["quickjs-wasi"] ?? "").href);
}

/**
 * A fresh engine with our globals in it.
 * @param {import("./quickjs.mjs").Assets} assets
 * @param {number} memoryBytes
 * @param {Packages} packages
 * @returns {Promise<import("../engine.d.mts").Instance>}
 */
export async function createInstance(assets, memoryBytes, packages) {
  const { QuickJS, EvalFlags, JSException } = await quickjsLibrary(packages);
  const language = await languageOf(assets.language, packages);
  /** @type {{program: Program, control: RunControl} | undefined} */
  let current;
  /** Why the program cannot begin. @type {ProgramError | undefined} */
  let refused;
  /** @type {Map<number, {promise: JSValueHandle, reason: JSValueHandle}>} */
  const rejections = new Map();
  /** @type {WebAssembly.Memory | undefined} */
  let memory;
  const heldBytes = () => memory?.buffer.byteLength ?? 0;

  const vm = await QuickJS.create({
    wasm: assets.module,
    extensions: [...assets.extensions],
    memoryLimit: memoryBytes,
    maxStackSize: STACK_BYTES,
    timezoneOffset: 0,
    wasi: (given) => {
      memory = given;
      // The library's own fd_write prints to this process.
      return { fd_write: () => 8 };
    },
    interruptHandler: () => {
      current?.control.memory(heldBytes());
      return current?.control.interrupted() ?? false;
    },
    onUnhandledRejection: trackRejection,
    moduleLoader: { normalize, load },
  });

  const host = vm.newObject();
  for (const [name, call] of Object.entries(hostFunctions())) host.setProp(name, vm.newFunction(name, call));
  vm.setProp(vm.global, "sandboxHost", host);
  const loading = vm.evalCode('export * from "sandbox:prelude.mjs";', "sandbox:start", EvalFlags.TYPE_MODULE);
  vm.executePendingJobs();
  const loaded = await vm.resolvePromise(loading);
  if (!("value" in loaded)) throw new Error("The prelude failed");
  const prelude = Object.fromEntries(PRELUDE_EXPORTS.map((name) => [name, loaded.value.getProp(name)]));

  return { run };

  /** @param {Program} program @param {RunControl} control @returns {Promise<Outcome>} */
  async function run(program, control) {
    current = { program, control };
    try {
      const outcome = await evaluate(program, control);
      return isOutOfMemory(outcome) ? { status: "memory_limit", exitCode: null } : outcome;
    } catch (error) {
      // A stopped program leaves the engine by an exception that nothing inside can catch.
      if (control.stopped !== undefined) return control.stopped;
      if (nearlyFull()) return { status: "memory_limit", exitCode: null };
      throw error;
    } finally {
      control.memory(heldBytes());
      // Never disposed: an instance that was interrupted or ran out of memory cannot be taken down in order.
    }
  }

  /** @param {Program} program @param {RunControl} control @returns {Promise<Outcome>} */
  async function evaluate(program, control) {
    const args = [program.entry, ...program.args].map((arg) => JSON.stringify(arg)).join("\n");
    call("start", vm.newString(program.stdin), vm.newString(args));
    /** @type {JSValueHandle} */
    let entry;
    try {
      entry = vm.evalCode(START, "sandbox:start", EvalFlags.TYPE_MODULE);
    } catch (error) {
      if (control.stopped !== undefined) return control.stopped;
      // Anything else is the engine giving way.
      if (!(error instanceof JSException)) throw error;
      return compileError(error, program.files);
    }
    vm.markPromiseHandled(entry);
    for (;;) {
      vm.executePendingJobs();
      if (control.interrupted() && control.stopped !== undefined) return control.stopped;
      const uncaught = await uncaughtReason(entry);
      if (uncaught !== undefined) {
        call("report", uncaught);
        if (control.stopped !== undefined) return control.stopped;
      }
      const wait = call("nextTimer").toNumber();
      if (wait < 0) break;
      control.memory(heldBytes());
      if (wait > 0) control.sleep(wait);
      call("fireTimer");
    }
    return entry.promiseState === 0 ? unsettled() : exited(call("exitCode").toNumber());
  }

  /** @param {typeof PRELUDE_EXPORTS[number]} name @param {JSValueHandle[]} args */
  function call(name, ...args) {
    const f = prelude[name];
    if (f === undefined) throw new Error(`The prelude has no ${name}`);
    return vm.callFunction(f, vm.undefined, ...args);
  }

  /** @param {JSValueHandle} entry */
  async function uncaughtReason(entry) {
    if (entry.promiseState !== 2) return [...rejections.values()][0]?.reason;
    const settled = await vm.resolvePromise(entry);
    return "error" in settled ? settled.error : undefined;
  }

  /** @param {JSValueHandle} promise @param {JSValueHandle} reason @param {boolean} handled */
  function trackRejection(promise, reason, handled) {
    const known = rejections.get(promise.identity);
    if (handled && known !== undefined) {
      rejections.delete(promise.identity);
      known.promise.dispose();
      known.reason.dispose();
    } else if (!handled && known === undefined && rejections.size < MOST_REJECTIONS) {
      // Both are held: an address that is free again would stand for another promise.
      rejections.set(promise.identity, { promise: promise.dup(), reason: reason.dup() });
    }
  }

  /** @param {string} importer @param {string} specifier */
  function normalize(importer, specifier) {
    if (importer === "sandbox:start")
      return specifier === "sandbox:entry" ? (current?.program.entry ?? "") : specifier;
    if (importer.startsWith("sandbox:")) return `sandbox:${specifier.replace("./", "")}`;
    const found = current && resolveImport(importer, specifier, current.program.files, language.extensions);
    if (found !== undefined) return found;
    throw refuse({
      kind: "ImportError",
      message: `Cannot find module '${specifier}' imported from ${importer}`,
      ...placeOfImport(specifier, importer, current?.program.files),
    });
  }

  /** What the program sees of a problem, which is also the reason when it has not begun. @param {ProgramError} problem */
  function refuse(problem) {
    refused ??= problem;
    const error = new Error(problem.message);
    error.name = problem.kind;
    // The library hands it on, and it names files of this machine.
    error.stack = "";
    return error;
  }

  /** @param {string} name */
  function load(name) {
    if (name === "sandbox:begin") return BEGIN;
    const ours = assets.prelude.get(name);
    if (ours !== undefined) return ours;
    const program = current?.program;
    const file = moduleSource(name, program?.files.get(name) ?? "", name === program?.entry);
    if (!file.code) return file.source;
    try {
      return language.transform(file.source, name);
    } catch (error) {
      throw refuse(
        error instanceof ProgramRefused
          ? error.problem
          : { kind: "SyntaxError", message: "The file cannot be read" },
      );
    }
  }

  /** All that a program can reach outside its own memory. @returns {Record<string, HostFunction>} */
  function hostFunctions() {
    const text = (/** @type {JSValueHandle | undefined} */ value) =>
      value?.isString ? value.toString() : "";
    return {
      write: (descriptor, piece) =>
        current?.control.write(descriptor?.toNumber() === 2 ? 2 : 1, text(piece).slice(1))
          ? vm.true
          : vm.false,
      begin: () => {
        current?.control.begin();
        return vm.undefined;
      },
      exit: (code) => {
        current?.control.stop(exited(code?.toNumber() ?? 0));
        return vm.undefined;
      },
      fail: (kind, message, stack) => {
        const files = current?.program.files ?? new Map();
        const error = locate({ kind: text(kind), message: text(message) }, text(stack), files);
        current?.control.stop({ status: "runtime_error", exitCode: 1, error });
        return vm.undefined;
      },
    };
  }

  /** @param {Error} error @param {ReadonlyMap<string, string>} files @returns {Outcome} */
  function compileError({ name, message, stack }, files) {
    return {
      status: "compile_error",
      exitCode: 1,
      error: refused ?? locate({ kind: name, message }, stack ?? "", files),
    };
  }

  /** @param {Outcome} outcome */
  function isOutOfMemory({ status, error }) {
    if (status !== "runtime_error" && status !== "compile_error") return false;
    if (error?.message === "out of memory" && OWN_ERRORS.has(error.kind)) return true;
    // With no byte left for an error object the engine throws null, and nothing can be said about any value.
    return error?.kind === "ThrownValue" && nearlyFull();
  }

  function nearlyFull() {
    return heldBytes() >= 0.9 * memoryBytes;
  }
}

/** @returns {Outcome} */
function unsettled() {
  const message = "The program waits at top level for a promise that nothing will settle";
  return {
    status: "unsettled_await",
    exitCode: UNSETTLED_EXIT_CODE,
    error: { kind: "UnsettledAwait", message },
  };
}

/** @param {number} code @returns {Outcome} */
function exited(code) {
  const exitCode = Number.isFinite(code) ? code & 0xff : 1;
  return { status: exitCode === 0 ? "ok" : "nonzero_exit", exitCode };
}

/** @param {string} specifier @param {string} importer @param {ReadonlyMap<string, string> | undefined} files */
function placeOfImport(specifier, importer, files) {
  const source = files?.get(importer);
  const at =
    source === undefined ? -1 : Math.max(source.indexOf(`"${specifier}"`), source.indexOf(`'${specifier}'`));
  if (source === undefined || at === -1) return {};
  const before = source.slice(0, at).split("\n");
  return { file: importer, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

/**
 * The place of the topmost frame that lies in a file of the program.
 * @param {ProgramError} error
 * @param {string} stack
 * @param {ReadonlyMap<string, string>} files
 * @returns {ProgramError}
 */
function locate(error, stack, files) {
  const frames = stack.split("\n").filter((line) => line.trim() !== "" && !line.includes("sandbox:"));
  const place = frames
    .map((frame) => /(?:\(|at )([^()]+):(\d{1,7}):(\d{1,7})\)?$/.exec(frame.slice(-400)))
    .find((match) => match?.[1] !== undefined && files.has(match[1]));
  return {
    ...error,
    ...(place ? { file: place[1] ?? "", line: Number(place[2]), column: Number(place[3]) } : {}),
    ...(frames.length > 0 ? { stack: frames.join("\n") } : {}),
  };
}
