import type { RunRequest, RunStatus } from "../../src/jobs/sandbox/sandbox.js";

/** A program that means harm, and how it must end. */
export interface Hostile {
  readonly name: string;
  readonly code: string | Record<string, string>;
  readonly status: RunStatus | readonly RunStatus[];
  readonly stdout?: string;
  readonly error?: { readonly kind?: string; readonly message?: unknown };
  readonly limits?: RunRequest["limits"];
}

const CPU: RunRequest["limits"] = { cpuMs: 120 };
const endless = (name: string, code: string): Hostile => ({
  name,
  code: `console.log("on"); ${code}`,
  status: "cpu_time_limit",
  stdout: "on\n",
  limits: CPU,
});
const bomb = (name: string, code: string): Hostile => ({
  name,
  code: `console.log("on"); ${code}`,
  status: "memory_limit",
  stdout: "on\n",
  limits: { memoryBytes: 32 * 1024 * 1024, cpuMs: 10_000 },
});
/** A way in which engines were made to crash; the program may catch what it gets, so only the ending is told. */
const recursion = (name: string, code: string): Hostile => ({
  name,
  code: `try { ${code} } catch (error) { console.log(error.name); }`,
  status: ["ok", "cpu_time_limit", "memory_limit"],
  limits: { cpuMs: 1000 },
});
const harmless = (name: string, code: string, stdout: string): Hostile => ({
  name,
  code,
  status: "ok",
  stdout,
});

/** Programs that want all the time there is. */
export const TIME: readonly Hostile[] = [
  endless("an endless loop", "for (;;) {}"),
  {
    ...endless("rejections that nobody handles", "for (;;) Promise.reject(new Error('x'));"),
    limits: { cpuMs: 500, memoryBytes: 8 * 1024 * 1024 },
  },
  endless("a loop that restarts itself in finally", "for (;;) { try { for (;;) {} } finally { continue; } }"),
  endless("a loop that catches everything", "for (;;) { try { for (;;) {} } catch {} }"),
  endless(
    "microtasks that starve the timers",
    "const f = () => Promise.resolve().then(f); f(); setTimeout(() => console.log('never'), 1);",
  ),
  endless("queueMicrotask for ever", "const f = () => queueMicrotask(f); f();"),
  endless("async functions that await for ever", "(async () => { for (;;) await null; })();"),
  endless(
    "an endless async generator",
    "for await (const x of (async function* () { for (;;) yield 1; })()) ;",
  ),
  endless("a thenable that resolves to itself", "const t = { then(r) { r(t); } }; await t;"),
  endless(
    "an endless generator that is spread",
    "const g = { *[Symbol.iterator]() { for (;;) yield; } }; for (const x of g) ;",
  ),
  endless("a getter that never returns", "({ get x() { for (;;) {} } }).x"),
  endless("a proxy that never returns", "new Proxy({}, { get() { for (;;) {} } }).x"),
  endless("a sort whose comparison never returns", "[2, 1].sort(() => { for (;;) {} })"),
  endless(
    "a toString that never returns, while it is printed",
    "console.log(`${{ toString() { for (;;) {} } }}`)",
  ),
  endless(
    "a thrown error whose message never ends",
    "throw { __proto__: Error.prototype, get message() { for (;;) {} } }",
  ),
  endless(
    "a rejected value whose name never ends",
    "Promise.reject({ __proto__: Error.prototype, get name() { for (;;) {} } })",
  ),
  endless("catastrophic backtracking", "/^(a+)+$/.test('a'.repeat(40) + '!')"),
  endless("eval of a loop", "(0, eval)('for (;;) {}')"),
  endless("a Function of a loop", "new Function('for (;;) {}')()"),
  endless("a long BigInt power", "let n = 3n; for (;;) n = (n * n) % (10n ** 5000n) + 3n"),
  endless(
    "timers that fire for ever",
    "const f = () => { for (let i = 0; i < 1e4; i++) ; setTimeout(f, 0); }; f();",
  ),
  endless("a loop after process.exit was replaced", "process.exit = () => {}; process.exit(0); for (;;) {}"),
  {
    name: "a sleep without end",
    code: "await new Promise((r) => setTimeout(r, 2 ** 31 - 1))",
    status: "wall_time_limit",
    limits: { wallMs: 150 },
  },
  { name: "an await that never settles", code: "await new Promise(() => {})", status: "unsettled_await" },
  {
    name: "throwing in finally",
    code: "try { throw new Error('a') } finally { throw new RangeError('b') }",
    status: "runtime_error",
    error: { kind: "RangeError", message: "b" },
  },
];

/** Programs that want all the memory there is. */
export const MEMORY: readonly Hostile[] = [
  bomb("an array that grows", "const a = []; for (;;) a.push([1, 2, 3, 4]);"),
  bomb("a global that keeps it all", "globalThis.a = []; for (;;) a.push({ a: {} });"),
  bomb("strings", "const a = []; for (let i = 0; ; i++) a.push('x'.repeat(100_000) + i);"),
  bomb("buffers", "const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1));"),
  bomb("one huge buffer", "new ArrayBuffer(2 ** 30)"),
  bomb("a shared buffer", "const a = []; for (;;) a.push(new SharedArrayBuffer(1 << 20));"),
  bomb("a Map", "const m = new Map(); for (let i = 0; ; i++) m.set(i, { i });"),
  bomb("a Set of strings", "const s = new Set(); for (let i = 0; ; i++) s.add('k' + i);"),
  bomb("closures", "let f = () => {}; for (;;) { const g = f; const big = [1, 2, 3]; f = () => [g, big]; }"),
  bomb("promises", "const a = []; for (;;) a.push(new Promise(() => {}));"),
  bomb("timers", "for (;;) setTimeout(() => {}, 1e6, new Array(100).fill(1));"),
  bomb(
    "regular expressions",
    "const a = []; for (let i = 0; ; i++) a.push(new RegExp(`${i}(a|b|c){1,100}`));",
  ),
  bomb("symbols and properties", "const o = {}; for (let i = 0; ; i++) o[Symbol(i)] = 'p' + i;"),
  bomb(
    "what is left of memory, error after error",
    "globalThis.a = []; const eat = (n) => { try { for (;;) a.push(new Array(n).fill(0)); } catch { if (n > 1) eat(n >> 1); } }; eat(65536); for (;;) a.push({});",
  ),
  {
    name: "a string that doubles",
    code: "let s = 'x'; for (;;) s += s;",
    status: ["memory_limit", "runtime_error"],
    limits: { memoryBytes: 32 * 1024 * 1024 },
  },
];

/** Programs that want to overflow a stack, the engine's or the one below it. */
export const DEPTH: readonly Hostile[] = [
  recursion("a function that calls itself", "const f = () => f() + 1; f();"),
  recursion("functions that call each other", "const f = () => g(), g = () => f(); f();"),
  recursion("a getter that reads itself", "const o = { get x() { return this.x; } }; o.x;"),
  recursion(
    "a proxy of a proxy of a proxy",
    "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); p.x;",
  ),
  recursion("a toString that prints itself", "const o = { toString() { return `${o}`; } }; String(o);"),
  recursion("JSON nested deeply", "JSON.parse('['.repeat(1e5)); "),
  recursion("JSON of a deep object", "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; JSON.stringify(a);"),
  recursion("a deep array made flat", "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; a.flat(Infinity);"),
  recursion("a deep array joined", "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; a.join();"),
  recursion(
    "a deep object printed",
    "let a = {}; for (let i = 0; i < 1e5; i++) a = { a }; console.dir(a, { depth: null });",
  ),
  recursion(
    "a class that extends itself for ever",
    "let C = class {}; for (let i = 0; i < 2e4; i++) C = class extends C {}; new C();",
  ),
  recursion(
    "bound functions in a chain",
    "let f = () => 1; for (let i = 0; i < 1e5; i++) f = f.bind(null); f();",
  ),
  recursion("replace that calls replace", "const r = () => 'aa'.replace(/a/g, r); r();"),
  recursion("sort that sorts", "const s = () => [2, 1].sort(s); s();"),
  recursion("generators that delegate to themselves", "function* g() { yield* g(); } [...g()];"),
  recursion("a regular expression nested deeply", "new RegExp('('.repeat(1e5) + ')'.repeat(1e5));"),
  recursion("eval nested deeply", "const e = (n) => eval('e(n + 1)'); e(0);"),
  recursion("a deep clone", "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; structuredClone(a);"),
  recursion(
    "an error whose cause is itself",
    "const e = new Error('x'); e.cause = e; console.log(e); throw e;",
  ),
  {
    name: "source that is nested deeply",
    code: `${"(".repeat(50_000)}1${")".repeat(50_000)}`,
    status: ["compile_error", "runtime_error"],
  },
  { name: "source of nested arrays", code: "[".repeat(100_000), status: ["compile_error", "runtime_error"] },
  {
    name: "source of nested blocks",
    code: `${"{".repeat(50_000)}${"}".repeat(50_000)}`,
    status: ["compile_error", "runtime_error", "ok"],
  },
  {
    name: "source with a long sum",
    code: `console.log(${"1+".repeat(60_000)}1)`,
    status: ["compile_error", "ok", "runtime_error"],
  },
  {
    name: "an endless chain of modules",
    code: Object.fromEntries(
      Array.from({ length: 250 }, (_, i) => [
        i === 0 ? "main.js" : `m${i}.js`,
        `import "./${i === 249 ? "main" : `m${i + 1}`}.js";`,
      ]),
    ),
    status: "ok",
  },
];

/** Programs that say more than anyone wants to hear. */
export const FLOODS: readonly Hostile[] = [
  { name: "a flood of lines", code: "for (;;) console.log('flood'.repeat(100))", status: "output_limit" },
  {
    name: "a flood of single characters",
    code: "for (;;) process.stdout.write('x')",
    status: ["output_limit", "cpu_time_limit"],
  },
  {
    name: "a flood on both streams by turns",
    code: "for (;;) { process.stdout.write('o'); process.stderr.write('e'); }",
    status: ["output_limit", "cpu_time_limit"],
  },
  { name: "one enormous line", code: "console.log('x'.repeat(20_000_000))", status: "output_limit" },
  {
    name: "a flood that catches and goes on",
    code: "for (;;) { try { console.log('x'.repeat(1e5)) } catch {} }",
    status: "output_limit",
  },
  {
    name: "a flood from a getter of a printed object",
    code: "console.log(new Proxy({}, { ownKeys() { for (;;) console.log('x'.repeat(1e4)) } }))",
    status: "output_limit",
  },
  {
    name: "a huge thrown message",
    code: "throw new Error('m'.repeat(5_000_000))",
    status: "runtime_error",
    error: { kind: "Error", message: "m".repeat(8192) },
  },
  {
    name: "a huge stack",
    code: "const e = new Error('x'); e.stack = '    at f (main.js:1:1)\\n'.repeat(1e6); throw e",
    status: "runtime_error",
  },
  {
    name: "a huge error name",
    code: "const e = new Error('x'); e.name = 'N'.repeat(1e6); throw e",
    status: "runtime_error",
    error: { kind: "N".repeat(200) },
  },
  {
    name: "a huge import",
    code: `import "./${"x".repeat(200_000)}"`,
    status: "compile_error",
    error: { kind: "ImportError" },
  },
  {
    name: "terminal escapes and NULs",
    code: String.raw`console.log("\x1b]0;title\x07\x1b[2J\0\0")`,
    status: "ok",
    stdout: "\x1b]0;title\x07\x1b[2J\uFFFD\uFFFD\n",
  },
];

const IMPORTS = [
  ..."fs node:fs child_process node:net process quickjs:std std os".split(" "),
  ..."file:///etc/passwd data:text/javascript,1 http://127.0.0.1/ ../../../../etc/passwd /etc/passwd sandbox:prelude.mjs sandbox:begin sandbox:entry".split(
    " ",
  ),
];

/** Programs that want out. */
export const ESCAPES: readonly Hostile[] = [
  harmless(
    "the constructor of a constructor",
    "console.log(typeof [].constructor.constructor('return this')().process.binding)",
    "undefined\n",
  ),
  harmless(
    "the globals of a host",
    "console.log(['require', 'module', 'Buffer', 'fetch', 'WebAssembly', 'Deno', 'Bun', 'global', 'XMLHttpRequest', 'Worker', 'Atomics', 'std', 'os', 'bjson', 'sandboxHost', '__dirname'].filter((name) => name in globalThis))",
    "[]\n",
  ),
  harmless(
    "the environment",
    "console.log(JSON.stringify(process.env), process.env.PATH, Object.keys(process).sort().join())",
    "{} undefined argv,env,exit,exitCode,platform,stderr,stdin,stdout\n",
  ),
  harmless(
    "process.binding and friends",
    "console.log(process.binding, process.mainModule, process.dlopen, process.constructor === Object)",
    "undefined undefined undefined true\n",
  ),
  harmless(
    "the host through a function's caller",
    "function f() { try { return f.caller } catch (e) { return e.name } } console.log(f())",
    "TypeError\n",
  ),
  harmless(
    "the host through an error's stack",
    "try { null.x } catch (e) { console.log(/node:|file:|\\/work|sandbox\\/host|\\.mjs/.test(e.stack)) }",
    "false\n",
  ),
  harmless(
    "the host through a failed import",
    "try { await import('./' + 'x') } catch (e) { console.log(Object.getPrototypeOf(e) === Error.prototype, e.stack) }",
    "true \n",
  ),
  harmless(
    "the host through prepareStackTrace",
    "let seen = []; Error.prepareStackTrace = (e, frames) => { seen.push(...frames.map((f) => [typeof f.getThis, f.getFileName?.()])); return 'x'; }; try { null.x } catch (e) { e.stack } console.log(seen.every(([self, file]) => self !== 'object' && (file === 'main.js' || file === undefined)))",
    "true\n",
  ),
  harmless(
    "tampering with what printing uses",
    "String.prototype.slice = Array.prototype.join = Array.prototype.map = JSON.stringify = () => { throw 1 }; try { console.log('a') } catch { } process.exit(0)",
    "",
  ),
  harmless(
    "objects in place of text",
    "String.prototype.slice = () => ({ evil: true }); console.log('a'); String.prototype.slice = () => 12; console.log('b')",
    "[object Object]12",
  ),
  harmless(
    "a proxy in place of a promise",
    "await new Proxy(Promise.resolve(1), {}).then?.call; console.log('fine')",
    "fine\n",
  ),
  harmless(
    "a poisoned Promise",
    "Promise.prototype.then = () => { throw new Error('no') }; Promise.resolve = null; console.log('fine')",
    "fine\n",
  ),
  harmless(
    "a poisoned Object.prototype",
    "for (const name of ['then', 'get', 'set', 'value', 'status', 'exitCode', 'error', 'message']) Object.prototype[name] = 'evil'; console.log('fine')",
    "fine\n",
  ),
  harmless(
    "SharedArrayBuffer without Atomics",
    "console.log(typeof SharedArrayBuffer, typeof Atomics)",
    "function undefined\n",
  ),
  harmless(
    "stdout that claims to be more",
    "process.stdout.write({ toString() { return 'text\\n' } }); console.log(process.stdout.write.constructor('return typeof process.kill')())",
    "text\nundefined\n",
  ),
  ...IMPORTS.map(
    (name): Hostile => ({
      name: `import of ${name}`,
      code: `import * as x from ${JSON.stringify(name)}; console.log(x);`,
      status: "compile_error",
      stdout: "",
      error: { kind: "ImportError" },
    }),
  ),
  {
    name: "import() of a computed module",
    code: "const all = []; for (const n of ['fs', 'node:fs', 'sandbox:prelude.mjs']) try { all.push(await import(n)) } catch (e) { all.push(e.name) } console.log(all.join())",
    status: "ok",
    stdout: "ImportError,ImportError,ImportError\n",
  },
  {
    name: "import() from code made by eval",
    code: "try { await (0, eval)('import(\"sandbox:prelude.mjs\")') } catch (e) { console.log(e.name) }",
    status: "ok",
    stdout: "ImportError\n",
  },
  {
    name: "a source map comment and a sourceURL",
    code: "//# sourceURL=sandbox:prelude.mjs\n//# sourceMappingURL=file:///etc/passwd\nimport('sandbox:console.mjs').catch((e) => console.log(e.name))",
    status: "ok",
    stdout: "ImportError\n",
  },
  {
    name: "WebAssembly",
    code: "new WebAssembly.Memory({ initial: 1 })",
    status: "runtime_error",
    error: { kind: "ReferenceError" },
  },
  {
    name: "a thrown proxy that throws",
    code: "throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 }, ownKeys() { throw 3 }, getOwnPropertyDescriptor() { throw 4 } })",
    status: "runtime_error",
    error: { kind: "ThrownValue" },
  },
  {
    name: "a thrown error with hostile fields",
    code: "const e = new Error('x'); for (const name of ['name', 'message', 'stack']) Object.defineProperty(e, name, { get() { throw e } }); throw e",
    status: "runtime_error",
  },
  {
    name: "a thrown error with fields that are objects",
    code: "const e = new Error('x'); e.name = { toString: () => ({}) }; e.stack = { evil: 1 }; throw e",
    status: "runtime_error",
  },
  {
    name: "a forged place of an error",
    code: "const e = new Error('x'); e.stack = '    at f (../../etc/passwd:1:1)\\n    at g (main.js:99999999999:1)'; throw e",
    status: "runtime_error",
  },
  { name: "a NUL in the source", code: "console.log('a\0b'.length)", status: ["ok", "compile_error"] },
  { name: "a hashbang, a BOM and nothing else", code: "\uFEFF#!/bin/sh", status: ["ok", "compile_error"] },
  {
    name: "a file that is a lone surrogate",
    code: { "main.js": "import t from './t.txt'; console.log(t.length)", "t.txt": "\ud83d" },
    status: "ok",
    stdout: "1\n",
  },
];
