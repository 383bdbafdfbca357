import { instantiate } from "./lua-system.mjs";

/** @typedef {import("../engine.d.mts").Outcome} Outcome */
/** @typedef {import("../engine.d.mts").Program} Program */
/** @typedef {import("../engine.d.mts").RunControl} RunControl */

const OK = 0;
const OUT_OF_MEMORY = 4;
const MASK_COUNT = 8;
const INSTRUCTIONS_PER_LOOK = 20_000;
// Places on Lua's stack of what guest/lua/boot.lua gave back.
const REMEMBER = 1;
const DESCRIBE = 2;
const NO_SPACE = "No space left on device";
const NO_MEMORY = "not enough memory";

/** Leaves the interpreter; nothing inside can catch it. */
const LEAVE = new Error("The program has ended");

// (module (type (func (param i32 i32))) (import "h" "f" (func (type 0))) (export "f" (func 0)))
const HOOK = Uint8Array.from(
  [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 6, 1, 0x60, 2, 0x7f, 0x7f, 0].concat([
    2, 7, 1, 1, 0x68, 1, 0x66, 0, 0, 7, 5, 1, 1, 0x66, 0, 0,
  ]),
);

/**
 * A fresh interpreter with our libraries in it.
 * @param {import("./lua.mjs").Assets} assets
 * @returns {import("../engine.d.mts").Instance}
 */
export function createInstance(assets) {
  /** @type {RunControl | undefined} */
  let control;
  let memoryRefused = false;
  let stdin = new Uint8Array(0);
  const decoders = [1, 2].map(() => new TextDecoder("utf-8", { ignoreBOM: true }));
  const {
    exports: lua,
    disk,
    memory,
  } = instantiate(assets.module, {
    stdin(into) {
      const piece = stdin.subarray(0, into.length);
      into.set(piece);
      stdin = stdin.subarray(piece.length);
      return piece.length;
    },
    print(descriptor, bytes) {
      const text = decoders[descriptor - 1]?.decode(bytes, { stream: true }) ?? "";
      if (control !== undefined && text !== "" && !control.write(descriptor, text)) throw LEAVE;
      if (control?.interrupted()) throw LEAVE;
    },
    exit(code) {
      lua["fflush"](0);
      const exitCode = code & 0xff;
      control?.stop({ status: exitCode === 0 ? "ok" : "nonzero_exit", exitCode });
      throw LEAVE;
    },
    abort() {
      const error = { kind: "Aborted", message: "The interpreter aborted" };
      control?.stop({ status: "runtime_error", exitCode: 134, error });
      throw LEAVE;
    },
    grown: (held) => control?.memory(held),
    refused() {
      memoryRefused = true;
    },
  });
  const state = lua["luaL_newstate"]();
  lua["luaL_openlibs"](state);
  evaluate(assets.boot);
  watch();

  return {
    async run(program, given) {
      control = given;
      control.memory(memory().buffer.byteLength);
      try {
        return execute(program, given);
      } catch (error) {
        if (given.stopped !== undefined) return given.stopped;
        if (memoryRefused) return { status: "memory_limit", exitCode: null };
        if (!(error instanceof RangeError || error instanceof WebAssembly.RuntimeError)) throw error;
        const message = "The program broke the interpreter, most likely by recursion that is too deep";
        return { status: "runtime_error", exitCode: 139, error: { kind: "InterpreterCrash", message } };
      } finally {
        control.memory(memory().buffer.byteLength);
      }
    },
  };

  /** @param {Program} program @param {RunControl} given @returns {Outcome} */
  function execute(program, given) {
    for (const [path, source] of program.files) disk.add(path, Buffer.from(source, "utf8"));
    disk.limit(program.limits.diskBytes);
    stdin = new TextEncoder().encode(program.stdin);
    setArguments([program.entry, ...program.args]);
    const loaded = withText(program.entry, (name) =>
      withText("t", (mode) => lua["luaL_loadfilex"](state, name, mode)),
    );
    if (loaded !== OK) return failure("compile_error", loaded, program);
    given.begin();
    for (const arg of program.args) pushText(arg);
    const ended = lua["lua_pcallk"](state, program.args.length, 0, REMEMBER, 0, 0);
    lua["fflush"](0);
    return ended === OK ? { status: "ok", exitCode: 0 } : failure("runtime_error", ended, program);
  }

  /** Leaves what handles errors on the stack. @param {string} source */
  function evaluate(source) {
    const bytes = Buffer.from(source, "utf8");
    const loaded = withText(source, (at) =>
      withText("=boot", (name) => lua["luaL_loadbufferx"](state, at, bytes.length, name, 0)),
    );
    if (loaded !== OK || lua["lua_pcallk"](state, 0, 2, 0, 0, 0) !== OK)
      throw new Error("The prelude failed");
  }

  /** Looks at the clock every so often; threads of Lua take the hook over from the one that makes them. */
  function watch() {
    const look = () => {
      if (control?.interrupted()) throw LEAVE;
    };
    const { f } = new WebAssembly.Instance(new WebAssembly.Module(HOOK), { h: { f: look } }).exports;
    const table = lua["__indirect_function_table"];
    const index = table.grow(1);
    table.set(index, f);
    lua["lua_sethook"](state, index, MASK_COUNT, INSTRUCTIONS_PER_LOOK);
  }

  /** The global `arg`. @param {readonly string[]} texts */
  function setArguments(texts) {
    lua["lua_createtable"](state, texts.length, 1);
    texts.forEach((text, index) => {
      pushText(text);
      lua["lua_rawseti"](state, -2, BigInt(index));
    });
    withText("arg", (name) => lua["lua_setglobal"](state, name));
  }

  /** @param {string} text */
  function pushText(text) {
    withText(text, (at, length) => lua["lua_pushlstring"](state, at, length));
  }

  /**
   * @template R
   * @param {string} text
   * @param {(at: number, length: number) => R} use
   * @returns {R}
   */
  function withText(text, use) {
    const bytes = Buffer.from(`${text}\0`, "utf8");
    const at = lua["malloc"](bytes.length);
    if (at === 0) {
      memoryRefused = true;
      throw LEAVE;
    }
    new Uint8Array(memory().buffer).set(bytes, at);
    try {
      return use(at, bytes.length - 1);
    } finally {
      lua["free"](at);
    }
  }

  /** The error on top of the stack, as text. */
  function problemText() {
    lua["lua_pushvalue"](state, DESCRIBE);
    lua["lua_rotate"](state, -2, 1);
    lua["lua_pcallk"](state, 1, 1, 0, 0, 0);
    const length = lua["malloc"](4);
    const at = length === 0 ? 0 : lua["lua_tolstring"](state, -1, length);
    if (at === 0) return "";
    const size = new DataView(memory().buffer).getUint32(length, true);
    return Buffer.from(memory().buffer, at, Math.min(size, 65_536)).toString("utf8");
  }

  /** @param {"compile_error" | "runtime_error"} status @param {number} code @param {Program} program @returns {Outcome} */
  function failure(status, code, program) {
    const [text = "", trace = ""] = problemText().split("\0");
    if (code === OUT_OF_MEMORY || (memoryRefused && text.endsWith(NO_MEMORY))) {
      control?.write(2, `lua: ${NO_MEMORY}\n`);
      return { status: "memory_limit", exitCode: null };
    }
    control?.write(2, `lua: ${text}\n${trace === "" ? "" : `${trace}\n`}`);
    const [, named = "", at, rest] = /^(?:\.\/)?([^:\n]+):(\d{1,9}): ([^]*)$/.exec(text) ?? [];
    const place = program.files.has(named) ? { file: named, line: Number(at) } : placeIn(trace, program);
    return {
      status: text.endsWith(NO_SPACE) && disk.full() ? "disk_limit" : status,
      exitCode: 1,
      told: true,
      error: {
        kind: status === "compile_error" ? "SyntaxError" : "Error",
        message: program.files.has(named) ? (rest ?? "") : text,
        ...place,
        ...(trace === "" ? {} : { stack: trace }),
      },
    };
  }
}

/** The innermost frame that lies in a file of the program. @param {string} trace @param {Program} program */
function placeIn(trace, program) {
  for (const [, file = "", line] of trace.matchAll(/^\t(?:\.\/)?([^:\n]+):(\d{1,9}): /gm))
    if (program.files.has(file)) return { file, line: Number(line) };
  return {};
}
