import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { RunRequest, RunResult } from "../../src/jobs/sandbox/sandbox.js";
import type { WasmSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { createSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { finish, javascript, runningChildren } from "./sandbox-kit.js";

const before = new Set(runningChildren());
let sandbox: WasmSandbox;

beforeAll(() => {
  sandbox = createSandbox({ slots: 2, warm: 2 });
});
afterAll(async () => {
  await sandbox.close();
  expect(runningChildren().filter((pid) => !before.has(pid))).toEqual([]);
});

async function resultOf(
  files: string | Record<string, string>,
  rest: Partial<RunRequest> = {},
): Promise<RunResult> {
  return (await finish(sandbox, javascript(files, rest))).result;
}

async function outputOf(
  files: string | Record<string, string>,
  rest: Partial<RunRequest> = {},
): Promise<string> {
  const result = await resultOf(files, rest);
  expect(result).toMatchObject({ status: "ok", stderr: "" });
  return result.stdout;
}

describe("a program", () => {
  it("[SB1] prints, ends with 0 and says which engine ran it in which isolation", async () => {
    const { result, events } = await finish(sandbox, javascript('console.log("hello, world");'));
    expect(result).toEqual({
      status: "ok",
      exitCode: 0,
      signal: null,
      durationMs: expect.any(Number),
      cpuMs: expect.any(Number),
      peakMemoryBytes: expect.any(Number),
      stdout: "hello, world\n",
      stderr: "",
      truncated: false,
      engine: {
        id: "quickjs-ng",
        version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
        isolation: expect.stringMatching(/^wasm/),
      },
    });
    expect(result.peakMemoryBytes).toBeGreaterThan(1_000_000);
    expect(events.map((event) => (event.type === "phase" ? event.phase : event.type))).toEqual([
      "queued",
      "compile",
      "run",
      "stdout",
      "result",
    ]);
  });

  it("[SB2] may be several modules: relative, without extension, index files, cycles, JSON, text and import()", async () => {
    const files = {
      "main.js": `
        import { double } from "./lib/math";
        import * as shapes from "./shapes";
        import config from "./data/config.json" with { type: "json" };
        import motto from "./data/motto.txt";
        const { late } = await import("./late.mjs");
        console.log(double(4), shapes.area(3), config.name, motto.trim(), late);`,
      "lib/math.js":
        'import { area } from "../shapes/index.js"; export const double = (n) => n * 2; export { area };',
      "shapes/index.js": 'import { double } from "/lib/math.js"; export const area = (r) => double(r) * r;',
      "data/config.json": '{ "name": "atelier", "__proto__": { "polluted": true } }',
      "data/motto.txt": 'it "works"\n',
      "late.mjs": "export const late = await Promise.resolve('late');",
    };
    expect(await outputOf(files)).toBe('8 18 atelier it "works" late\n');
  });

  it("[SB3] reads its input line by line with readline(), or whole as stdin", async () => {
    const code = `
      let sum = 0;
      for (let line; (line = readline()) !== null; ) sum += Number(line);
      console.log(sum, stdin.length, readline());`;
    expect(await outputOf(code, { stdin: "1\r\n20\n300" })).toBe("321 9 null\n");
    expect(
      await outputOf("for await (const text of process.stdin) console.log(text);", { stdin: "a\nb" }),
    ).toBe("a\nb\n");
    expect(await outputOf("console.log([stdin, readline()]);")).toBe("[ '', null ]\n");
  });

  it("[SB4] gets its arguments as they are", async () => {
    const args = ["--name=é\n", "", '"; process.exit(9); "', "\u2028", "__proto__"];
    expect(
      JSON.parse(await outputOf("console.log(JSON.stringify(process.argv.slice(2)));", { args })),
    ).toEqual(args);
  });

  it.each([
    ["process.exit()", 0, "ok"],
    ["process.exit(7)", 7, "nonzero_exit"],
    ["process.exitCode = 3", 3, "nonzero_exit"],
    ["process.exitCode = 3; process.exit()", 3, "nonzero_exit"],
    ["process.exit(-1)", 255, "nonzero_exit"],
    ["process.exit('nonsense')", 1, "nonzero_exit"],
    [
      "try { process.exit(4) } catch {} finally { console.log('finally'); process.exit(5) }",
      4,
      "nonzero_exit",
    ],
    ["setTimeout(() => process.exit(6), 5); await new Promise(() => {})", 6, "nonzero_exit"],
  ])("[SB5] ends with the exit code it chose: %s", async (code, exitCode, status) => {
    expect(await resultOf(code)).toMatchObject({ status, exitCode, stdout: "", stderr: "" });
  });

  it("[SB6] runs timers, promises and microtasks in order, and ends when nothing is left to wait for", async () => {
    const code = `
      const log = [];
      setTimeout(() => log.push("timeout"), 1);
      clearTimeout(setTimeout(() => log.push("never"), 1));
      setTimeout(() => log.push("never"), 60_000).unref();
      queueMicrotask(() => log.push("microtask"));
      Promise.resolve().then(() => log.push("promise"));
      setImmediate(() => log.push("immediate"));
      log.push("sync");
      await new Promise((resolve) => {
        const interval = setInterval(() => {
          if (log.push("tick") < 7) return;
          clearInterval(interval);
          resolve();
        }, 5);
      });
      await new Promise((resolve) => setTimeout((...args) => resolve(log.push(...args)), 20, "x", "y"));
      console.log(log.join());`;
    expect(await outputOf(code)).toBe("sync,microtask,promise,timeout,immediate,tick,tick,x,y\n");
  });

  it("[SB7] that waits for a promise nothing can settle ends unsettled_await with exit code 13", async () => {
    const result = await resultOf(
      "console.log('before'); await new Promise(() => {}); console.log('after');",
    );
    expect(result).toMatchObject({ status: "unsettled_await", exitCode: 13, stdout: "before\n" });
    expect(result.error?.kind).toBe("UnsettledAwait");
  });

  it("[SB8] that throws ends with kind, message, place and the frames of its own files", async () => {
    const files = {
      "main.js": 'import { load } from "./lib/load.js";\nfunction start() {\n  load(null);\n}\nstart();',
      "lib/load.js": "export function load(options) {\n  return options.path;\n}",
    };
    expect(await resultOf(files)).toMatchObject({
      status: "runtime_error",
      exitCode: 1,
      error: {
        kind: "TypeError",
        message: "cannot read property 'path' of null",
        file: "lib/load.js",
        line: 2,
        column: 10,
        stack: [
          "    at load (lib/load.js:2:10)",
          "    at start (main.js:3:8)",
          "    at <anonymous> (main.js:5:1)",
        ].join("\n"),
      },
      stderr: expect.stringMatching(
        /^Uncaught TypeError: cannot read property 'path' of null\n {4}at load \(lib\/load.js:2:10\)\n/,
      ),
    });
  });

  it.each([
    ["setTimeout(() => {\n  throw new RangeError('late') }, 1)", "RangeError", "late", 2],
    ["queueMicrotask(() => {\n\n throw new Error('micro') })", "Error", "micro", 3],
    [
      "async function f() {\n  throw new Error('lost') }\nf(); setTimeout(() => console.log('too far'), 50)",
      "Error",
      "lost",
      2,
    ],
    ["Promise.reject({ code: 1 })", "ThrownValue", "{ code: 1 }", undefined],
    ["throw null", "ThrownValue", "null", undefined],
    ["class Mine extends Error { name = 'Mine' }\nthrow new Mine('own')", "Mine", "own", 2],
    [
      "await import('./missing.js')",
      "ImportError",
      "Cannot find module './missing.js' imported from main.js",
      undefined,
    ],
  ])("[SB8] names an error wherever it is thrown: %j", async (code, kind, message, line) => {
    const result = await resultOf(code);
    expect(result).toMatchObject({
      status: "runtime_error",
      exitCode: 1,
      stdout: "",
      error: { kind, message },
    });
    expect(result.error?.line).toBe(line);
  });

  it("[SB8] whose rejection is handled in time is fine", async () => {
    expect(
      await outputOf("const p = Promise.reject(1); await null; p.catch((e) => console.log('caught', e));"),
    ).toBe("caught 1\n");
  });

  it.each([
    ["in the entry", { "main.js": "console.log(1);\nlet a = ;" }, "SyntaxError", "main.js", 2],
    [
      "in a module",
      { "main.js": 'console.log(1);\nimport "./b.js";', "b.js": "\n\n  }" },
      "SyntaxError",
      "b.js",
      3,
    ],
    ["for a package", { "main.js": 'console.log(1); import fs from "fs";' }, "ImportError", "main.js", 1],
    [
      "for a missing export",
      { "main.js": 'import { a } from "./b.js";', "b.js": "" },
      "SyntaxError",
      undefined,
      undefined,
    ],
    ["in JSON", { "main.js": "}" }, "SyntaxError", "main.js", 1],
  ])(
    "[SB9] that cannot be compiled ends compile_error and runs nothing: %s",
    async (_where, files, kind, file, line) => {
      const result = await resultOf(files);
      expect(result).toMatchObject({ status: "compile_error", exitCode: 1, stdout: "", error: { kind } });
      expect([result.error?.file, result.error?.line]).toEqual([file, line]);
      expect(result.stderr).toContain(`Uncaught ${kind}: `);
    },
  );

  it("[SB10] starts from nothing: what another one left is not there", async () => {
    const code =
      "console.log(globalThis.left, Array.prototype.left); globalThis.left = 1; Array.prototype.left = 1;";
    for (let run = 0; run < 4; run++) expect(await outputOf(code)).toBe("undefined undefined\n");
  });

  it("[SB11] is heard while it runs, in order, through timers as in a busy loop", async () => {
    const code = `
      const { now } = Date;
      console.log("one");
      console.error("two");
      for (const start = now(); now() - start < 150; );
      console.log("three");
      await new Promise((resolve) => setTimeout(resolve, 150));
      console.log("four");`;
    const { events, result } = await finish(sandbox, javascript(code));
    const said = events.flatMap((event) => ("seq" in event ? [event] : []));
    expect(said.map(({ type, seq, data }) => [type, seq, data])).toEqual([
      ["stdout", 0, "one\n"],
      ["stderr", 1, "two\n"],
      ["stdout", 2, "three\n"],
      ["stdout", 3, "four\n"],
    ]);
    expect(said[3]!.atMs - said[1]!.atMs).toBeGreaterThanOrEqual(200);
    expect(result).toMatchObject({ stdout: "one\nthree\nfour\n", stderr: "two\n" });
  });

  it("[SB12] may print any character; NUL and lone surrogates become U+FFFD", async () => {
    const text = `é漢🙂${"👩‍👩‍👧‍👦".repeat(3000)}`;
    expect(await outputOf(`process.stdout.write(${JSON.stringify(text)})`)).toBe(text);
    expect(await outputOf(String.raw`process.stdout.write("a\0b\ud83dc\udE00d\uFEFF")`)).toBe(
      "a\uFFFDb\uFFFDc\uFFFDd\uFEFF",
    );
    const bom = await outputOf(String.raw`process.stdout.write("\uFEFFx")`);
    expect(bom).toBe("\uFEFFx");
    const thrown = await resultOf(String.raw`throw new Error("a\0b\ud83d")`);
    expect(thrown.error?.message).toBe("a\uFFFDb\uFFFD");
    expect(JSON.stringify(thrown)).not.toMatch(/\\u0000|\\ud83d/);
  });

  it("[SB13] prints values as Node does", async () => {
    const code = `
      class Point { constructor() { this.x = 1; } get y() { return 2; } }
      const loop = { name: "loop" }; loop.self = loop;
      console.log("%s is %d years, %i, %f, %j, %o %%", "Ann", 3.5, "42px", "1.5", { a: 1 }, [1], "rest");
      console.log([1, "two", null, undefined, -0, 10n, Symbol("s")], { a: { b: { c: { d: 1 } } }, "k-e-y": 1 });
      console.log(new Map([["k", new Set([1])]]), new Point(), loop, [, 1, , ,], Object.create(null));
      console.log(class A extends Point {}, function f() {}, () => {}, new Date(0), /x/g, new Uint8Array(3));
      console.log({ get a() { return 1 }, set b(v) {}, get c() { return 1 }, set c(v) {} }, [new Error("e").message]);
      console.group("group"); console.info("in\\nside"); console.groupEnd(); console.log("out");
      console.table([{ a: 1, b: "x" }, { a: 2 }]);
      console.count(); console.count(); console.assert(true, "no"); console.log();`;
    expect(await outputOf(code)).toBe(
      [
        'Ann is 3.5 years, 42, 1.5, {"a":1}, [ 1 ] % rest',
        "[ 1, 'two', null, undefined, -0, 10n, Symbol(s) ] { a: { b: { c: [Object] } }, 'k-e-y': 1 }",
        "Map(1) { 'k' => Set(1) { 1 } } Point { x: 1 } <ref *1> { name: 'loop', self: [Circular *1] } [ <1 empty item>, 1, <2 empty items> ] [Object: null prototype] {}",
        "[class A extends Point] [Function: f] [Function (anonymous)] 1970-01-01T00:00:00.000Z /x/g Uint8Array(3) [ 0, 0, 0 ]",
        "{ a: [Getter], b: [Setter], c: [Getter/Setter] } [ 'e' ]",
        "group",
        "  in",
        "  side",
        "out",
        "┌─────────┬───┬─────┐",
        "│ (index) │ a │ b   │",
        "├─────────┼───┼─────┤",
        "│ 0       │ 1 │ 'x' │",
        "│ 1       │ 2 │     │",
        "└─────────┴───┴─────┘",
        "default: 1",
        "default: 2",
        "",
        "",
      ].join("\n"),
    );
  });
});

describe("the globals of a program", () => {
  it("[SB21] are those of the language, timers, console, process, stdin, structuredClone and text encoders", async () => {
    const code = `
      const value = { list: [1, , new Date(0)], map: new Map([["k", new Set([1n])]]), bytes: new Uint16Array([1, 2]).subarray(1), re: /x/gi };
      value.self = value;
      const copy = structuredClone(value);
      console.log(copy, copy !== value, copy.self === copy, copy.list !== value.list, 1 in copy.list);
      const error = structuredClone(new TypeError("t", { cause: [1] }));
      console.log(error instanceof TypeError, error.message, error.cause);
      for (const bad of [() => {}, Symbol("s"), new WeakMap(), Promise.resolve()]) {
        try { structuredClone({ bad }); } catch (error) { console.log(error.name); }
      }
      console.log(new TextDecoder().decode(new TextEncoder().encode("é漢")), atob(btoa("x")), typeof performance.now());`;
    expect(await outputOf(code)).toBe(
      [
        "<ref *1> {",
        "  list: [ 1, <1 empty item>, 1970-01-01T00:00:00.000Z ],",
        "  map: Map(1) { 'k' => Set(1) { 1n } },",
        "  bytes: Uint16Array(1) [ 2 ],",
        "  re: /x/gi,",
        "  self: [Circular *1]",
        "} true true true false",
        "true t [ 1 ]",
        "DataCloneError",
        "DataCloneError",
        "DataCloneError",
        "DataCloneError",
        "é漢 x number",
        "",
      ].join("\n"),
    );
  });
});

describe("limits", () => {
  it("[SB14] end a program at its processor time, its wall time, its memory and its output", async () => {
    const cpu = await resultOf("console.log('on'); for (;;) {}", { limits: { cpuMs: 150 } });
    expect(cpu).toMatchObject({ status: "cpu_time_limit", exitCode: null, stdout: "on\n", truncated: false });
    expect(cpu.cpuMs).toBeGreaterThanOrEqual(150);
    const wall = await resultOf("console.log('on'); setInterval(() => {}, 10)", { limits: { wallMs: 500 } });
    expect(wall).toMatchObject({ status: "wall_time_limit", exitCode: null, signal: null, stdout: "on\n" });
    expect(wall.durationMs).toBeGreaterThanOrEqual(500);
    const memory = await resultOf(
      "console.log('on'); const all = []; for (;;) all.push(new Array(1000).fill(1))",
    );
    expect(memory).toMatchObject({ status: "memory_limit", exitCode: null, stdout: "on\n" });
    expect(memory.peakMemoryBytes).toBeLessThanOrEqual(68 * 1024 * 1024);
    const output = await resultOf("for (;;) console.log('€'.repeat(10))", { limits: { outputBytes: 1000 } });
    expect(output).toMatchObject({ status: "output_limit", exitCode: null, truncated: true });
    expect(Buffer.byteLength(output.stdout)).toBeGreaterThan(996);
    expect(Buffer.byteLength(output.stdout)).toBeLessThanOrEqual(1000);
    expect(output.stdout).toBe(`${"€".repeat(10)}\n`.repeat(33).slice(0, output.stdout.length));
  });

  it("[SB14] of memory hold for any number, not only for a power of two", async () => {
    const code = "globalThis.all = []; for (;;) all.push(new Uint8Array(1000).fill(1))";
    const { status, peakMemoryBytes } = await resultOf(code, { limits: { memoryBytes: 40 * 1024 * 1024 } });
    expect(status).toBe("memory_limit");
    expect(peakMemoryBytes).toBeGreaterThan(36 * 1024 * 1024);
    expect(peakMemoryBytes).toBeLessThan(48 * 1024 * 1024);
  });

  it("[SB14] count both streams together and are exact to the byte", async () => {
    const code = "for (let i = 0; i < 50; i++) { process.stdout.write('a'); process.stderr.write('b'); }";
    expect(await resultOf(code, { limits: { outputBytes: 100 } })).toMatchObject({
      status: "ok",
      truncated: false,
    });
    const cut = await resultOf(`${code} process.stdout.write('c')`, { limits: { outputBytes: 100 } });
    expect(cut).toMatchObject({ status: "output_limit", stdout: "a".repeat(50), stderr: "b".repeat(50) });
  });

  it("[SB14] a bigger memory is there when asked for, up to the most", async () => {
    const code =
      "const a = []; for (let i = 0; i < 150; i++) a.push(new Uint8Array(1 << 20).fill(1)); console.log(a.length)";
    expect((await resultOf(code)).status).toBe("memory_limit");
    expect(await outputOf(code, { limits: { memoryBytes: 200 * 1024 * 1024 } })).toBe("150\n");
    expect((await resultOf("console.log(1)", { limits: { memoryBytes: 1024 * 1024 * 1024 } })).status).toBe(
      "ok",
    );
    expect((await resultOf("console.log(1)", { limits: { memoryBytes: 4 * 1024 * 1024 } })).status).toBe(
      "ok",
    );
  });
});
