// The first module of every program: turns the few host functions into the globals a program expects, then hides them.
import { createConsole } from "./console.mjs";
import { inspect, userFrames } from "./inspect.mjs";
import { structuredClone } from "./structured-clone.mjs";
import { createTimers } from "./timers.mjs";

/**
 * @typedef {object} HostFunctions
 * @property {(fd: number, text: string) => boolean} write false when the output is full
 * @property {() => void} begin
 * @property {(code: number) => void} exit
 * @property {(kind: string, message: string, stack: string) => void} fail
 */

const scope = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (globalThis));
const host = /** @type {HostFunctions} */ (scope["sandboxHost"]);
delete scope["sandboxHost"];

// Larger pieces would be copied whole into the host before its output limit could refuse them.
const PIECE = 8192;
const now = performance.now.bind(performance);

/** Never returns: the engine has been told to stop and interrupts this loop, past every `catch` and `finally`. */
function halt() {
  for (;;);
}

/** @param {1 | 2} fd @param {string} text */
function write(fd, text) {
  for (let at = 0; at < text.length; ) {
    let end = Math.min(at + PIECE, text.length);
    const last = text.charCodeAt(end - 1);
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end++;
    // The first character is dropped outside: a byte order mark in its place would be, too.
    if (!host.write(fd, `>${text.slice(at, end)}`)) halt();
    at = end;
  }
}

/**
 * Hands an uncaught value to the engine as three strings.
 * @param {unknown} error
 */
export function report(error) {
  let kind = "ThrownValue";
  let message = "";
  let stack = "";
  try {
    if (error instanceof Error) {
      kind = String(error.name);
      message = String(error.message);
      stack = userFrames(error);
    } else {
      message = inspect(error);
    }
  } catch {
    message ||= "The thrown value cannot be shown";
  }
  host.fail(kind.slice(0, 200), message.slice(0, 8192), stack);
}

/** @param {unknown} error */
function uncaught(error) {
  report(error);
  halt();
}

/** Called when every module of the program is parsed and linked, right before the first of them runs. */
export const begin = host.begin;

const timers = createTimers(now, uncaught);
export const nextTimer = () => timers.next();
export const fireTimer = () => timers.fire();

let stdin = "";
let read = 0;

/** The next line of the input without its end, or null after the last. */
function readline() {
  if (read >= stdin.length) return null;
  const at = stdin.indexOf("\n", read);
  const end = at === -1 ? stdin.length : at;
  const line = stdin.slice(read, end > read && stdin[end - 1] === "\r" ? end - 1 : end);
  read = end + 1;
  return line;
}

const process = {
  argv: ["sandbox"],
  env: Object.freeze({}),
  exitCode: /** @type {number | undefined} */ (undefined),
  platform: "sandbox",
  /** @param {unknown} [code] */
  exit(code) {
    host.exit(Number(code ?? process.exitCode ?? 0));
    halt();
  },
  stdout: { write: (/** @type {unknown} */ text) => (write(1, String(text)), true), isTTY: false },
  stderr: { write: (/** @type {unknown} */ text) => (write(2, String(text)), true), isTTY: false },
  stdin: {
    isTTY: false,
    async *[Symbol.asyncIterator]() {
      if (read < stdin.length) {
        const rest = stdin.slice(read);
        read = stdin.length;
        yield rest;
      }
    },
  },
};

/** What the program leaves as its exit code. */
export function exitCode() {
  return Number(process.exitCode ?? 0);
}

/** @param {string} name @param {unknown} value */
function define(name, value) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}

const globals = {
  ...timers.globals,
  console: createConsole(write, now),
  process,
  readline,
  structuredClone,
  queueMicrotask(/** @type {unknown} */ task) {
    if (typeof task !== "function") throw new TypeError("A microtask must be a function");
    void Promise.resolve().then(() => {
      try {
        task();
      } catch (error) {
        uncaught(error);
      }
    });
  },
};
for (const [name, value] of Object.entries(globals)) define(name, value);

/**
 * Gives the program its input, before any of its code runs.
 * @param {string} input
 * @param {string} args JSON strings, one a line
 */
export function start(input, args) {
  stdin = input;
  define("stdin", input);
  process.argv.push(...args.split("\n").map((arg) => JSON.parse(arg)));
}
