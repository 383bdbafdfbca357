import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { inspect as nodeInspect } from "node:util";
import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { createFrameDecoder, encodeFrame } from "../../src/jobs/sandbox/host/frames.mjs";
import { isProgramPath } from "../../src/jobs/sandbox/program.js";
import { seccompProgram } from "../../src/jobs/sandbox/seccomp.js";

// The host's files are plain JavaScript; these are the shapes their JSDoc gives them.
interface OutputLog {
  readonly allocateOutputLog: (capacity: number) => SharedArrayBuffer;
  readonly createOutputWriter: (shared: SharedArrayBuffer) => (descriptor: 1 | 2, text: string) => boolean;
  readonly createOutputReader: (
    shared: SharedArrayBuffer,
    onBytes: (descriptor: 1 | 2, bytes: Uint8Array) => void,
  ) => () => void;
}
interface WasmMemory {
  readonly capMemory: (binary: Uint8Array, bytes: number) => Uint8Array<ArrayBuffer>;
}
interface Inspect {
  readonly inspect: (value: unknown) => string;
}
interface Modules {
  readonly resolveImport: (
    importer: string,
    specifier: string,
    files: ReadonlySet<string>,
    extensions: readonly string[],
  ) => string | undefined;
}
/** The little of WebAssembly that is used here; Node's types leave it to those of browsers. */
interface WasmModule {
  readonly module: string;
  readonly name: string;
}
interface Wasm {
  readonly Module: (new (bytes: Uint8Array) => WasmModule) & { imports(module: WasmModule): WasmModule[] };
  readonly Instance: new (
    module: WasmModule,
    imports: Record<string, Record<string, () => number>>,
  ) => {
    readonly exports: { readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number } };
  };
}

const part = async <T>(name: string): Promise<T> =>
  (await import(`../../src/jobs/sandbox/host/${name}`)) as T;
const { allocateOutputLog, createOutputWriter, createOutputReader } = await part<OutputLog>("output-log.mjs");
const { capMemory } = await part<WasmMemory>("wasm-memory.mjs");
const { inspect } = await part<Inspect>("guest/inspect.mjs");
const { resolveImport } = await part<Modules>("modules.mjs");
const { Module, Instance } = (globalThis as unknown as { readonly WebAssembly: Wasm }).WebAssembly;

describe("frames", () => {
  it("[SB40] come out as they went in, however the wire cuts them", () => {
    const frame = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 30 })),
        (frames, cuts) => {
          const wire = Buffer.concat(frames.map(([kind, body]) => encodeFrame(kind, body)));
          const received: [number, number[]][] = [];
          const decode = createFrameDecoder(40, (kind, body) => received.push([kind, [...body]]));
          let at = 0;
          for (const cut of [...cuts, wire.length]) {
            decode(wire.subarray(at, at + cut));
            at += cut;
          }
          expect(received).toEqual(frames.map(([kind, body]) => [kind, [...body]]));
        },
      ),
    );
  });

  it("[SB40] over the limit are refused at their header", () => {
    const decode = createFrameDecoder(40, () => undefined);
    expect(() => decode(encodeFrame(1, Buffer.alloc(41)).subarray(0, 5))).toThrow(RangeError);
  });
});

describe("the output log", () => {
  const write = fc.record({
    descriptor: fc.constantFrom<1 | 2>(1, 2),
    text: fc.string({ unit: "binary", maxLength: 12 }),
    drain: fc.boolean(),
  });

  it("[SB41] keeps order, streams and whole characters, up to its capacity, whenever it is read", () => {
    fc.assert(
      fc.property(
        fc.array(write, { maxLength: 40 }),
        fc.integer({ min: 1, max: 120 }),
        (writes, capacity) => {
          const shared = allocateOutputLog(capacity);
          const append = createOutputWriter(shared);
          const read: { descriptor: number; bytes: number[] }[] = [];
          const drain = createOutputReader(shared, (descriptor, bytes) =>
            read.push({ descriptor, bytes: [...bytes] }),
          );
          const expected: { descriptor: number; byte: number }[] = [];
          for (const { descriptor, text, drain: now } of writes) {
            const whole = Buffer.byteLength(text) <= capacity - expected.length;
            expect(append(descriptor, text)).toBe(whole);
            for (const char of text) {
              const bytes = Buffer.from(char);
              if (expected.length + bytes.length > capacity) break;
              for (const byte of bytes) expected.push({ descriptor, byte });
            }
            if (now) drain();
            if (!whole) break;
          }
          drain();
          expect(
            read.flatMap(({ descriptor, bytes }) => bytes.map((byte) => ({ descriptor, byte }))),
          ).toEqual(expected);
        },
      ),
    );
  });
});

describe("the memory cap", () => {
  it("[SB42] is the maximum that the module itself declares", async () => {
    const binary = await readFile(createRequire(import.meta.url).resolve("quickjs-wasi/quickjs.wasm"));
    const capped = capMemory(binary, 8 * 1024 * 1024);
    const module = new Module(capped);
    const imports: Record<string, Record<string, () => number>> = {};
    for (const { module: from, name } of Module.imports(module)) (imports[from] ??= {})[name] = () => 0;
    const { memory } = new Instance(module, imports).exports;
    const left = 128 - memory.buffer.byteLength / 65_536;
    expect(() => memory.grow(left + 1)).toThrow(RangeError);
    expect(() => memory.grow(left)).not.toThrow();
    expect(() => capMemory(binary, 65_536)).toThrow(RangeError);
    expect(() => capMemory(Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0]), 65_536)).toThrow("no memory");
  });
});

describe("names and paths", () => {
  it("[SB43] an import never leaves the files of the program", () => {
    const path = fc.stringMatching(/^[a-z./]{1,12}$/);
    fc.assert(
      fc.property(fc.array(path), path, path, (files, importer, specifier) => {
        const known = new Set(files.filter(isProgramPath));
        const found = resolveImport(importer, specifier, known, [".js"]);
        expect(found === undefined || known.has(found)).toBe(true);
      }),
    );
    const files = new Set(["a.js", "lib/index.js", "lib/b.mjs", "t.ts"]);
    const resolve = (specifier: string, extensions = [".js", ".mjs"]) =>
      resolveImport("lib/main.js", specifier, files, extensions);
    expect(
      ["../a", "./b", "..", ".", "/lib", "a", "./t", "../../a"].map((specifier) => resolve(specifier)),
    ).toEqual([
      "a.js",
      "lib/b.mjs",
      undefined,
      "lib/index.js",
      "lib/index.js",
      undefined,
      undefined,
      undefined,
    ]);
    expect(resolve("../t.js", [".ts", ".js"])).toBe("t.ts");
  });
});

describe("the system call filter", () => {
  it("[SB44] exists for the processors whose calls are known, and only for those", () => {
    for (const architecture of ["x64", "arm64"]) {
      const program = seccompProgram(architecture);
      expect(program?.length).toBeGreaterThan(100 * 8);
      expect((program?.length ?? 1) % 8).toBe(0);
    }
    expect(seccompProgram("riscv64")).toBeUndefined();
    // With processes allowed, the rules that refuse fork and vfork are left out.
    const [strict, loose] = [false, true].map(
      (processes) => seccompProgram("x64", { processes })?.length ?? 0,
    );
    expect((strict ?? 0) - (loose ?? 0)).toBe(2 * 2 * 8);
  });
});

class Point {
  x = 1;
  get y() {
    return 2;
  }
}
const loop: Record<string, unknown> = { name: "loop" };
loop["self"] = loop;
const list = <T>(length: number, make: (i: number) => T) => Array.from({ length }, (_, i) => make(i));

describe("printed values", () => {
  it.each<[string, unknown]>([
    ["primitives", [1, -0, Number.NaN, "a", "it's", `"it's"`, "a\nb\t\x01\\", undefined, null, true]],
    ["more primitives", [10n, Symbol("s"), "x".repeat(30)]],
    ["nothing", [[], {}, new Map(), new Set(), Object.create(null)]],
    ["depth", { a: { b: { c: {} } }, d: { e: { f: { g: 1 } } } }],
    ["deep arrays", [[[[[]]]], [[[[1]]]]]],
    ["keys", { a: 1, "k-e-y": 2, 3: 4, [Symbol("q")]: 5 }],
    ["a list of numbers", list(20, (i) => i)],
    ["a long list of numbers", list(150, (i) => i * 1000)],
    ["a list of strings", list(30, (i) => `item ${i}`)],
    ["a list of objects", list(8, (i) => ({ id: i, name: `name ${i}` }))],
    [
      "collections",
      [new Map([["k", new Set([1])]]), new Map([[{ a: 1 }, [1]]]), new Set(list(10, (i) => `v${i}`))],
    ],
    [
      "classes and functions",
      [new Point(), Point, class extends Point {}, function f() {}, () => {}, async () => {}],
    ],
    ["cycles", [loop, loop]],
    ["holes", Object.assign([], { 1: 1, length: 4 })],
    ["builtins", [new Date(0), new Date(Number.NaN), /x/g, Math, JSON, new WeakMap()]],
    ["bytes", [new Uint8Array(3), new Float64Array([1.5, -2]), new ArrayBuffer(4)]],
    [
      "accessors",
      {
        get a() {
          return 1;
        },
        set b(_: number) {},
        c: 1,
      },
    ],
    ["boxes", [Object(3), Object("abc"), Object(false), Object(Symbol("z")), Object(5n)]],
    ["long values", { a: "x".repeat(100), b: "y".repeat(50), c: ["z".repeat(60), "z".repeat(60)] }],
    ["entries", Object.entries({ a: 1, b: 2 })],
  ])("[SB13] look as Node prints them: %s", (_what, value) => {
    expect(inspect(value)).toBe(nodeInspect(value));
  });
});
