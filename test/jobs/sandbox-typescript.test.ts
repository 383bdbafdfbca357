import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { RunRequest, RunResult } from "../../src/jobs/sandbox/sandbox.js";
import type { WasmSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { createSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { finish, runningChildren } from "./sandbox-kit.js";

const before = new Set(runningChildren());
let sandbox: WasmSandbox;

beforeAll(() => {
  sandbox = createSandbox({ slots: 1 });
});
afterAll(async () => {
  await sandbox.close();
  expect(runningChildren().filter((pid) => !before.has(pid))).toEqual([]);
});

async function resultOf(
  files: string | Record<string, string>,
  rest: Partial<RunRequest> = {},
): Promise<RunResult> {
  const all = typeof files === "string" ? { "main.ts": files } : files;
  return (await finish(sandbox, { language: "ts", files: all, entry: "main.ts", ...rest })).result;
}

describe("a TypeScript program", () => {
  it("[SB50] runs without its types, with those parts of the language that are code", async () => {
    const code = `
      enum Level { Low, High = 5 }
      abstract class Shape { constructor(protected readonly name: string, private size = 2) {} abstract area(): number; get twice(): number { return this.size * 2; } }
      class Square extends Shape { override area(): number { return this.twice ** 2; } declare ghost: string; toString() { return \`\${this.name} \${this.area()}\`; } }
      interface Named { name?: string }
      type Fn<T extends object = Named> = (value: T, ...rest: readonly unknown[]) => value is T;
      declare const nowhere: number;
      declare namespace Types { namespace Inner { const a: number } interface X {} }
      declare module "x" { export const b: string }
      declare global { interface Window { c: 1 } }
      const namespace = { module: 1 };
      function pick<const K extends keyof typeof namespace>(this: void, key: K): (typeof namespace)[K] { return namespace[key]!; }
      let module: number = pick("module") as const as unknown as number;
      console.log(Level.High, Level[0], String(new Square("sq")), namespace.module, module satisfies number);`;
    expect(await resultOf(code)).toMatchObject({ status: "ok", stdout: "5 Low sq 16 1 1\n", stderr: "" });
  });

  it("[SB51] may mix modules of both languages; an import that is only a type is none", async () => {
    const files = {
      "main.ts":
        'import { a } from "./a.js";\nimport { b } from "./b";\nimport { Gone } from "./gone.js";\nimport data from "./d.json";\nconst g: Gone = a + b + data.n;\nconsole.log(g);',
      "a.ts": 'import type { Gone } from "./gone.js"; export const a: Gone = 1;',
      "b.js": "export const b = 20;",
      "d.json": '{ "n": 300 }',
    };
    expect(await resultOf(files)).toMatchObject({ status: "ok", stdout: "321\n" });
  });

  it("[SB52] keeps its lines: an error names the place in the source", async () => {
    const code =
      "interface A {\n  a: string;\n}\n\ntype B = {\n  b: A;\n};\nfunction f(x: B | null): string {\n  return x!.b.a;\n}\nf(null);";
    expect(await resultOf(code)).toMatchObject({
      status: "runtime_error",
      error: { kind: "TypeError", file: "main.ts", line: 9 },
    });
  });

  it.each([
    ["a syntax error", "const a = 1;\nlet b: = 2;", "main.ts", 2, "Unexpected token"],
    [
      "a syntax error that only the engine sees",
      "const a: number = 1;\nconst a = 2;",
      "main.ts",
      2,
      expect.any(String),
    ],
    [
      "a namespace",
      "const a = 1;\n  namespace N { export const x = 1 }",
      "main.ts",
      2,
      "Namespaces are not supported here; use modules",
    ],
    [
      "an exported nested namespace",
      "export namespace A.B { export const x = 1 }",
      "main.ts",
      1,
      "Namespaces are not supported here; use modules",
    ],
    [
      "an old module",
      "declare namespace T { const a: 1 }\nmodule M { console.log(1) }",
      "main.ts",
      2,
      "Namespaces are not supported here; use modules",
    ],
    [
      "source nested deeply",
      "(".repeat(100_000),
      "main.ts",
      undefined,
      expect.stringMatching(/nested too deeply|Unexpected token|stack/),
    ],
  ])("[SB53] with %s ends compile_error with its place", async (_what, code, file, line, message) => {
    const result = await resultOf(code);
    expect(result).toMatchObject({
      status: "compile_error",
      stdout: "",
      error: { kind: expect.any(String), message, file },
    });
    expect(result.error?.line).toBe(line);
  });

  it("[SB53] names the module that cannot be compiled, and the error of a late import", async () => {
    const files = { "main.ts": 'console.log(1); import "./lib/b.ts";', "lib/b.ts": "let x = ;\n" };
    expect(await resultOf(files)).toMatchObject({
      status: "compile_error",
      error: { file: "lib/b.ts", line: 1 },
    });
    const late = {
      ...files,
      "main.ts": 'try { await import("./lib/b.ts") } catch (e: any) { console.log(e.name, e.stack) }',
    };
    expect(await resultOf(late)).toMatchObject({ status: "ok", stdout: "SyntaxError \n" });
  });

  it("[SB54] has the same limits, and the compiler's time counts", async () => {
    expect(await resultOf("let n: number = 0; for (;;) n++;", { limits: { cpuMs: 150 } })).toMatchObject({
      status: "cpu_time_limit",
    });
    // The compiler needs twice the time for each level, and cannot be interrupted.
    const slow = `const x = ${"<T>(".repeat(40)}1${")".repeat(40)};`;
    expect(await resultOf(slow, { limits: { cpuMs: 150 } })).toMatchObject({
      status: "cpu_time_limit",
      exitCode: null,
      signal: null,
    });
    expect(await resultOf("console.log(1 as number)", { limits: { cpuMs: 400 } })).toMatchObject({
      status: "ok",
    });
  });

  it("[SB55] is offered when its probes passed", async () => {
    const found = (await sandbox.capabilities()).find(({ id }) => id === "typescript");
    expect(found).toMatchObject({ available: true, extension: "ts", multiFile: true, stdin: true });
  });
});
