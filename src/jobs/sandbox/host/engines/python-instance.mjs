import { createRequire } from "node:module";
import { addDevice, addSharedFile, limitDisk } from "./python-disk.mjs";

/** @typedef {import("../engine.d.mts").Assignment} Assignment */
/** @typedef {import("../engine.d.mts").Outcome} Outcome */
/** @typedef {import("../engine.d.mts").Program} Program */
/** @typedef {import("../engine.d.mts").RunControl} RunControl */
/** @typedef {Record<string, (...args: any[]) => unknown>} Imports */
/**
 * The little of Emscripten's module that is used here.
 * @typedef {object} PythonModule
 * @property {import("./python-disk.mjs").FileSystem} FS
 * @property {Record<string, string | undefined>} ENV
 * @property {number} _Py_EMSCRIPTEN_SIGNAL_HANDLING address of a flag
 * @property {(args: string[]) => number} callMain
 */

const HOME = "/work";
// Numbers of WASI; negative, system calls return them.
const EPERM = 63;
const ENOSYS = 52;
const EAI_FAIL = -4;
// Calls between two looks at the clock; each is some fifty jumps of the program.
const CALLS_PER_LOOK = 64;
// The interpreter uses the time it waits to load modules that are likely to be asked for, one between two looks.
const PATIENCE_MS = 5;
const MOST_IDLE_READS = 16;
const NOTHING_YET = Buffer.from("-");
const MOST_SLEEP_MS = 2 ** 31 - 1;
const UNSETTLED_EXIT_CODE = 13;

/** Leaves the interpreter; nothing inside can catch it. */
const LEAVE = new Error("The program has ended");

/**
 * A fresh interpreter. It cannot be left and entered again, so it is started when it is waited with.
 * @param {import("./python.mjs").Assets} assets
 * @param {number} memoryBytes
 * @param {string} script
 * @returns {Promise<import("../engine.d.mts").Instance>}
 */
export async function createInstance(assets, memoryBytes, script) {
  /** @type {(options: object) => Promise<PythonModule>} */
  const create = createRequire(script)(script);
  /** @type {Assignment | undefined} */
  let current;
  /** @type {(patienceMs?: number) => Assignment | undefined} */
  let wait = () => {
    throw new Error("Nobody waits for a program");
  };
  /** @type {WebAssembly.Memory | undefined} */
  let memory;
  let memoryRefused = false;
  /** @type {Outcome | undefined} what the program is about to end with */
  let failure;
  let calls = 0;
  let reads = 0;
  const stdin = { bytes: new Uint8Array(0), at: 0 };
  const decoders = [
    new TextDecoder("utf-8", { ignoreBOM: true }),
    new TextDecoder("utf-8", { ignoreBOM: true }),
  ];

  const python = await create({
    noInitialRun: true,
    print: () => {},
    printErr: () => {},
    instantiateWasm(
      /** @type {{env: Imports}} */ imports,
      /** @type {(made: WebAssembly.Instance) => void} */ made,
    ) {
      const instance = new WebAssembly.Instance(assets.module, {
        ...imports,
        env: fencedImports(imports.env),
      });
      memory = /** @type {WebAssembly.Memory} */ (instance.exports["memory"]);
      made(instance);
    },
    preRun: (/** @type {PythonModule} */ module) => furnish(module),
  });
  new Uint8Array(memory?.buffer ?? new ArrayBuffer(0))[python._Py_EMSCRIPTEN_SIGNAL_HANDLING] = 1;

  return {
    async run() {
      throw new Error("This engine waits inside its interpreter");
    },
    attend(waitForProgram) {
      wait = waitForProgram;
      try {
        return ended(python.callMain(["/lib/sandbox/boot.py"]));
      } catch (error) {
        return crashed(error);
      } finally {
        current?.control.memory(heldBytes());
      }
    },
  };

  function heldBytes() {
    return memory?.buffer.byteLength ?? 0;
  }

  /** @returns {never} */
  function leave() {
    throw LEAVE;
  }

  /** @param {PythonModule} module */
  function furnish({ FS, ENV }) {
    for (const name of ["USER", "LOGNAME", "PATH", "PWD", "LANG", "_"]) ENV[name] = undefined;
    Object.assign(ENV, {
      HOME,
      PYTHONHOME: "/",
      PYTHONPATH: "/lib/python313.zip",
      PYTHONUNBUFFERED: "1",
      PYTHONDONTWRITEBYTECODE: "1",
      PYTHONUTF8: "1",
      PYTHONNOUSERSITE: "1",
    });
    FS.mkdirTree("/lib/sandbox");
    FS.mkdirTree(HOME);
    addSharedFile(FS, "/lib/python313.zip", assets.library);
    for (const [name, source] of assets.guest) FS.writeFile(`/lib/sandbox/${name}`, source);
    for (const path of ["/dev/tty", "/dev/tty1"]) FS.unlink(path);
    addDevice(FS, "/dev/tty", { read: readStdin, write: (bytes) => print(1, bytes) });
    addDevice(FS, "/dev/tty1", { write: (bytes) => print(2, bytes) });
    addDevice(FS, "/dev/sandbox", { read: readOrder, write: (bytes) => hear(bytes) });
  }

  /** @param {Uint8Array} into */
  function readStdin(into) {
    const bytes = stdin.bytes.subarray(stdin.at, stdin.at + into.length);
    into.set(bytes);
    stdin.at += bytes.length;
    return bytes.length;
  }

  /** @param {1 | 2} descriptor @param {Uint8Array} bytes */
  function print(descriptor, bytes) {
    const text = decoders[descriptor - 1]?.decode(bytes, { stream: true }) ?? "";
    if (current !== undefined && text !== "" && !current.control.write(descriptor, text)) leave();
    if (current?.control.interrupted()) leave();
  }

  /** Reads wait for the program, and put it in its place once it is there. @param {Uint8Array} into */
  function readOrder(into) {
    if (current !== undefined) return 0;
    current = wait(reads++ < MOST_IDLE_READS ? PATIENCE_MS : undefined);
    const order = current === undefined ? NOTHING_YET : place(current.program);
    into.set(order);
    return order.length;
  }

  /** @param {Program} program @returns {Uint8Array} the order for it */
  function place(program) {
    for (const [path, source] of program.files) {
      const at = `${HOME}/${path}`;
      python.FS.mkdirTree(at.slice(0, at.lastIndexOf("/")));
      python.FS.writeFile(at, source);
    }
    python.FS.chdir(HOME);
    limitDisk(python.FS, program.limits.diskBytes);
    stdin.bytes = new TextEncoder().encode(program.stdin);
    const texts = [program.entry, ...program.args].map((text) => Buffer.from(text, "utf8"));
    return Buffer.concat(
      texts.flatMap((text) => {
        const length = Buffer.alloc(4);
        length.writeUInt32LE(text.length);
        return [length, text];
      }),
    );
  }

  /** What guest/python/boot.py says, or whoever else writes to its device. @param {Uint8Array} message */
  function hear(message) {
    const control = current?.control;
    const text = new TextDecoder().decode(message.subarray(1));
    switch (String.fromCharCode(message[0] ?? 0)) {
      case "b":
        return control?.begin();
      case "s":
        return control?.sleep(Math.min(Number(text) / 1000 || 0, MOST_SLEEP_MS));
      case "m":
        return void (failure = { status: "memory_limit", exitCode: null });
      case "c":
        return void (failure ??= failed("compile_error", text));
      case "d":
        return void (failure ??= failed("disk_limit", text));
      case "e":
        return void (failure ??= failed("runtime_error", text));
      case "u":
        control?.stop({
          status: "unsettled_await",
          exitCode: UNSETTLED_EXIT_CODE,
          error: {
            kind: "UnsettledAwait",
            message: "The program waits for a future that nothing will settle",
          },
        });
        return leave();
      case "x":
        control?.stop(ended(Number(text)));
        return leave();
    }
  }

  /** @param {number} code @returns {Outcome} */
  function ended(code) {
    if (failure !== undefined && (code !== 0 || failure.status === "memory_limit")) return failure;
    const exitCode = Number.isFinite(code) ? code & 0xff : 1;
    return exitCode === 0 ? { status: "ok", exitCode } : { status: "nonzero_exit", exitCode };
  }

  /** @param {unknown} error @returns {Outcome} */
  function crashed(error) {
    if (current?.control.stopped !== undefined) return current.control.stopped;
    if (memoryRefused) return { status: "memory_limit", exitCode: null };
    // V8's stack, or the interpreter's own inside its memory.
    if (current !== undefined && (error instanceof RangeError || error instanceof WebAssembly.RuntimeError)) {
      const message = "The program broke the interpreter, most likely by recursion that is too deep";
      return { status: "runtime_error", exitCode: 139, error: { kind: "InterpreterCrash", message } };
    }
    throw error;
  }

  /** @param {Imports} env @returns {Imports} */
  function fencedImports(env) {
    const refused = Object.keys(env).filter((name) =>
      /^__syscall_(?:socket|connect|bind|listen|accept4|send|recv|getpeername|getsock|pipe)/.test(name),
    );
    const resize = /** @type {(bytes: number) => boolean} */ (env["emscripten_resize_heap"]);
    return {
      ...env,
      ...Object.fromEntries(refused.map((name) => [name, () => -EPERM])),
      getaddrinfo: () => EAI_FAIL,
      getnameinfo: () => EAI_FAIL,
      getprotobyname: () => 0,
      _emscripten_lookup_name: () => 0,
      _emscripten_system: () => -ENOSYS,
      _setitimer_js: () => -ENOSYS,
      // It names the version of Node.
      _Py_emscripten_runtime: () => 0,
      emscripten_get_heap_max: () => memoryBytes,
      emscripten_resize_heap(/** @type {number} */ bytes) {
        const grown = resize(bytes);
        if (!grown) memoryRefused = true;
        current?.control.memory(heldBytes());
        return grown;
      },
      _Py_CheckEmscriptenSignals_Helper() {
        if (++calls % CALLS_PER_LOOK === 0 && current?.control.interrupted()) leave();
        return 0;
      },
      _abort_js() {
        const error = { kind: "Aborted", message: "The interpreter aborted" };
        const aborted = { status: /** @type {const} */ ("runtime_error"), exitCode: 134, error };
        current?.control.stop(memoryRefused ? { status: "memory_limit", exitCode: null } : aborted);
        leave();
      },
    };
  }
}

/** @param {"compile_error" | "runtime_error" | "disk_limit"} status @param {string} text @returns {Outcome} */
function failed(status, text) {
  const [kind = "", message = "", file = "", line, column, stack = ""] = text.split("\0");
  return {
    status,
    exitCode: 1,
    told: true,
    error: {
      kind,
      message,
      ...(file === "" ? {} : { file: file.slice(0, 200) }),
      ...(isPlace(line) ? { line: Number(line) } : {}),
      ...(isPlace(column) ? { column: Number(column) } : {}),
      ...(stack === "" ? {} : { stack }),
    },
  };
}

/** @param {string | undefined} text */
function isPlace(text) {
  return text !== undefined && /^[1-9]\d{0,9}$/.test(text);
}
