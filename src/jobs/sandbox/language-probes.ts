import type { RunRequest, RunStatus } from "./sandbox.js";

/** A program of a probe and how it must end. */
export interface ProbeProgram {
  readonly request: Omit<RunRequest, "language">;
  readonly status: RunStatus;
  readonly stdout: string;
}

/** Per language: one program that must work, and some that must be refused or ended. */
export const PROBES = {
  javascript: [
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
  typescript: [
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
  python: [
    {
      request: {
        files: {
          "main.py": "from sums.add import add\nprint(add(int(input()), 2))",
          "sums/add.py": "def add(a, b):\n    return a + b",
        },
        entry: "main.py",
        stdin: "40\n",
      },
      status: "ok",
      stdout: "42\n",
    },
    {
      request: {
        files: {
          "main.py":
            "import os, socket\nif os.system('true') == 0: print('out')\ntry:\n  socket.socket()\n  print('out')\nexcept OSError:\n  raise SystemExit(3)",
        },
        entry: "main.py",
      },
      status: "nonzero_exit",
      stdout: "",
    },
    {
      request: { files: { "main.py": "while True: pass" }, entry: "main.py", limits: { cpuMs: 50 } },
      status: "cpu_time_limit",
      stdout: "",
    },
  ],
} as const satisfies Readonly<Record<string, readonly ProbeProgram[]>>;
