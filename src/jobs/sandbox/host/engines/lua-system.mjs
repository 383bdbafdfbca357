// What Lua's WebAssembly module asks of the system it runs on: a few system calls, the clock, and the jumps of its errors.

import { createDisk, EINVAL, SystemError } from "./lua-disk.mjs";
import { formatTime, timeParts } from "./lua-time.mjs";

const ENOTTY = 59;
const ENOSYS = 52;
const PAGE = 65_536;
/** What `longjmp` throws; `invoke_vii` is the `setjmp` that catches it. */
const LONG_JUMP = new Error("longjmp");

/**
 * @typedef {object} Hooks
 * @property {(into: Uint8Array) => number} stdin
 * @property {(descriptor: 1 | 2, bytes: Uint8Array) => void} print
 * @property {(code: number) => never} exit
 * @property {() => never} abort
 * @property {(held: number) => void} grown
 * @property {() => void} refused memory was asked for in vain
 */
/** @typedef {Record<string, any>} Exports */

/**
 * @param {WebAssembly.Module} module
 * @param {Hooks} hooks
 */
export function instantiate(module, hooks) {
  const disk = createDisk(hooks);
  const decoder = new TextDecoder();
  /** @type {Exports} */
  let exports = {};
  const memory = () => /** @type {WebAssembly.Memory} */ (exports["memory"]);
  const view = () => new DataView(memory().buffer);
  const bytes = (/** @type {number} */ at, /** @type {number} */ length) =>
    new Uint8Array(memory().buffer, at, length);

  /** @param {number} at */
  function textAt(at) {
    const from = new Uint8Array(memory().buffer, at);
    return decoder.decode(from.subarray(0, from.indexOf(0)));
  }

  /** Calls answer with minus the number of their error. @param {() => number | void} act */
  function call(act) {
    try {
      return act() ?? 0;
    } catch (error) {
      if (error instanceof SystemError) return -error.errno;
      throw error;
    }
  }

  /**
   * @param {number} vectors
   * @param {number} count
   * @param {number} result address of the number of bytes
   * @param {(piece: Uint8Array) => number} move
   */
  function eachVector(vectors, count, result, move) {
    return -call(() => {
      let total = 0;
      for (let index = 0; index < count; index++) {
        const at = view().getUint32(vectors + 8 * index, true);
        const length = view().getUint32(vectors + 8 * index + 4, true);
        const moved = move(bytes(at, length));
        total += moved;
        if (moved < length) break;
      }
      view().setUint32(result, total, true);
    });
  }

  /** @param {bigint} seconds @param {number} at address of a `struct tm` */
  function putTime(seconds, at) {
    timeParts(Number(seconds)).forEach((part, index) => view().setInt32(at + 4 * index, part, true));
  }

  const imports = {
    env: {
      abort: hooks.abort,
      exit: hooks.exit,
      system: () => 0,
      invoke_vii(/** @type {number} */ index, /** @type {number} */ first, /** @type {number} */ second) {
        const stack = exports["stackSave"]();
        try {
          exports["__indirect_function_table"].get(index)(first, second);
        } catch (error) {
          exports["stackRestore"](stack);
          if (error !== LONG_JUMP) throw error;
          exports["setThrew"](1, 0);
        }
      },
      _emscripten_throw_longjmp() {
        throw LONG_JUMP;
      },
      emscripten_date_now: () => Date.now(),
      _emscripten_get_now_is_monotonic: () => 1,
      emscripten_resize_heap(/** @type {number} */ wanted) {
        const held = memory().buffer.byteLength;
        for (const size of [Math.max(wanted >>> 0, held * 1.2), wanted >>> 0]) {
          try {
            memory().grow(Math.ceil((size - held) / PAGE));
            hooks.grown(memory().buffer.byteLength);
            return 1;
          } catch {
            // A smaller step may fit.
          }
        }
        hooks.refused();
        return 0;
      },
      __syscall_openat: (
        /** @type {number} */ _folder,
        /** @type {number} */ path,
        /** @type {number} */ flags,
      ) => call(() => disk.open(textAt(path), flags)),
      __syscall_unlinkat: (/** @type {number} */ _folder, /** @type {number} */ path) =>
        call(() => disk.remove(textAt(path))),
      __syscall_rmdir: () => -EINVAL,
      __syscall_renameat: (
        /** @type {number} */ _folder,
        /** @type {number} */ from,
        /** @type {number} */ _other,
        /** @type {number} */ to,
      ) => call(() => disk.rename(textAt(from), textAt(to))),
      __syscall_readlinkat: () => -EINVAL,
      __syscall_fcntl64: () => 0,
      __syscall_ioctl: () => -ENOTTY,
      __syscall_dup3: () => -ENOSYS,
      _gmtime_js: putTime,
      _localtime_js: putTime,
      _mktime_js(/** @type {number} */ at) {
        const part = (/** @type {number} */ index) => view().getInt32(at + 4 * index, true);
        const time = Date.UTC(part(5) + 1900, part(4), part(3), part(2), part(1), part(0)) / 1000;
        if (!Number.isFinite(time)) return -1n;
        putTime(BigInt(time), at);
        return BigInt(time);
      },
      _tzset_js(/** @type {number} */ zone, /** @type {number} */ daylight) {
        view().setInt32(zone, 0, true);
        view().setInt32(daylight, 0, true);
      },
      strftime(
        /** @type {number} */ into,
        /** @type {number} */ most,
        /** @type {number} */ format,
        /** @type {number} */ at,
      ) {
        const parts = Array.from({ length: 8 }, (_, index) => view().getInt32(at + 4 * index, true));
        const text = new TextEncoder().encode(`${formatTime(textAt(format), parts)}\0`);
        if (text.length > most) return 0;
        bytes(into, text.length).set(text);
        return text.length - 1;
      },
    },
    wasi_snapshot_preview1: {
      fd_write: (
        /** @type {number} */ descriptor,
        /** @type {number} */ vectors,
        /** @type {number} */ count,
        /** @type {number} */ result,
      ) => eachVector(vectors, count, result, (piece) => disk.write(descriptor, piece)),
      fd_read: (
        /** @type {number} */ descriptor,
        /** @type {number} */ vectors,
        /** @type {number} */ count,
        /** @type {number} */ result,
      ) => eachVector(vectors, count, result, (piece) => disk.read(descriptor, piece)),
      fd_close: (/** @type {number} */ descriptor) => -call(() => disk.close(descriptor)),
      fd_seek: (
        /** @type {number} */ descriptor,
        /** @type {bigint} */ offset,
        /** @type {number} */ whence,
        /** @type {number} */ result,
      ) =>
        -call(() => view().setBigInt64(result, BigInt(disk.seek(descriptor, Number(offset), whence)), true)),
      environ_sizes_get(/** @type {number} */ count, /** @type {number} */ size) {
        view().setUint32(count, 0, true);
        view().setUint32(size, 0, true);
        return 0;
      },
      environ_get: () => 0,
    },
  };
  exports = new WebAssembly.Instance(module, imports).exports;
  exports["__wasm_call_ctors"]();
  return { exports, disk, memory };
}
