import type { LimitRange } from "./limits.js";
import { WASM_LIMITS } from "./limits.js";
import type { RunRequest, RunStatus } from "./sandbox.js";

/** A program of a probe and how it must end. */
export interface ProbeProgram {
  readonly request: Omit<RunRequest, "language">;
  readonly status: RunStatus;
  readonly stdout: string;
}

/** A language the sandbox knows; whether it runs here is found out by its probes. */
export interface LanguageDefinition {
  readonly id: string;
  readonly aliases: readonly string[];
  /** Of a program's only file, without the dot. */
  readonly extension: string;
  readonly multiFile: boolean;
  readonly stdin: boolean;
  readonly limits: LimitRange;
  /** One that must work, and some that must be refused or ended. */
  readonly probes: readonly ProbeProgram[];
}

/** A new WebAssembly language is an entry here and an engine in host/engines.mjs. */
export const LANGUAGES: readonly LanguageDefinition[] = [
  {
    id: "javascript",
    aliases: ["js", "mjs"],
    extension: "js",
    multiFile: true,
    stdin: true,
    limits: WASM_LIMITS,
    probes: [
      {
        request: {
          files: {
            "main.js": 'import { sum } from "./sum.js";\nconsole.log(sum(Number(readline()), 2));',
            "sum.js": "export const sum = (a, b) => a + b;",
          },
          entry: "main.js",
          stdin: "40\n",
        },
        status: "ok",
        stdout: "42\n",
      },
      {
        request: { files: { "main.js": 'import "node:fs"; console.log("out");' }, entry: "main.js" },
        status: "compile_error",
        stdout: "",
      },
      {
        request: { files: { "main.js": "for (;;) {}" }, entry: "main.js", limits: { cpuMs: 50 } },
        status: "cpu_time_limit",
        stdout: "",
      },
    ],
  },
  {
    id: "typescript",
    aliases: ["ts", "mts"],
    extension: "ts",
    multiFile: true,
    stdin: true,
    limits: WASM_LIMITS,
    probes: [
      {
        request: {
          files: {
            "main.ts":
              'import { sum, type Sum } from "./sum.js";\nconst add: Sum = sum;\nconsole.log(add(40, <number>2) satisfies number);',
            "sum.ts":
              "export type Sum = (a: number, b: number) => number;\nexport const sum: Sum = (a: number, b) => a + b;",
          },
          entry: "main.ts",
        },
        status: "ok",
        stdout: "42\n",
      },
      {
        request: { files: { "main.ts": "namespace Out { console.log(1) }" }, entry: "main.ts" },
        status: "compile_error",
        stdout: "",
      },
      {
        request: {
          files: { "main.ts": "for (let n: number = 0; ; n++);" },
          entry: "main.ts",
          limits: { cpuMs: 150 },
        },
        status: "cpu_time_limit",
        stdout: "",
      },
    ],
  },
];

/** The language of an id or alias, in any case of letters. */
export function findLanguage(name: string): LanguageDefinition | undefined {
  const wanted = name.toLowerCase();
  return LANGUAGES.find(({ id, aliases }) => id === wanted || aliases.includes(wanted));
}
