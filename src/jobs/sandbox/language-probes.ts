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
  lua: [
    {
      request: {
        files: {
          "main.lua": 'local add = require "sums.add"\nprint(add(io.read("n"), 2))',
          "sums/add.lua": "return function(a, b) return a + b end",
        },
        entry: "main.lua",
        stdin: "40\n",
      },
      status: "ok",
      stdout: "42\n",
    },
    {
      request: { files: { "main.lua": "os.execute('true') print('out')" }, entry: "main.lua" },
      status: "runtime_error",
      stdout: "",
    },
    {
      request: { files: { "main.lua": "while true do end" }, entry: "main.lua", limits: { cpuMs: 50 } },
      status: "cpu_time_limit",
      stdout: "",
    },
  ],
  sql: [
    {
      request: {
        files: {
          "main.sql": ".read table.sql\nSELECT n + 2 AS sum FROM t;",
          "table.sql": "CREATE TABLE t AS SELECT 40 AS n;",
        },
        entry: "main.sql",
      },
      status: "ok",
      stdout: "sum\n---\n42\n",
    },
    {
      request: { files: { "main.sql": "/* */ ATTACH 'out.db' AS out;" }, entry: "main.sql" },
      status: "compile_error",
      stdout: "",
    },
    {
      request: {
        files: {
          "main.sql": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t;",
        },
        entry: "main.sql",
        limits: { cpuMs: 50 },
      },
      status: "cpu_time_limit",
      stdout: "",
    },
  ],
  pythonNative: [
    {
      request: {
        files: {
          "main.py": "from add import add\nprint(add(int(input()), 2))",
          "add.py": "def add(a, b): return a + b",
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
          "main.py": `
import os, socket
for reach in (lambda: open("/etc/passwd"), lambda: os.listdir("/home"), lambda: socket.socket(), lambda: os.unshare(0x10000000)):
    try:
        reach()
        print("out")
    except (OSError, AttributeError):
        pass
if os.getuid() == 0 or len(os.listdir("/sys" if os.path.exists("/sys") else "/work")) > 1: print("out")
raise SystemExit(3)`,
        },
        entry: "main.py",
      },
      status: "nonzero_exit",
      stdout: "",
    },
    {
      request: {
        files: { "main.py": "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass" },
        entry: "main.py",
        limits: { cpuMs: 300 },
      },
      status: "cpu_time_limit",
      stdout: "",
    },
  ],
  nodeNative: [
    {
      request: {
        files: {
          "main.mjs": 'import { add } from "./add.mjs";\nconsole.log(add(40, 2));',
          "add.mjs": "export const add = (a, b) => a + b;",
        },
        entry: "main.mjs",
      },
      status: "ok",
      stdout: "42\n",
    },
    {
      request: {
        files: {
          "main.mjs":
            'import { readFileSync } from "node:fs"; import { connect } from "node:net"; try { readFileSync("/etc/passwd"); console.log("out"); } catch {} connect(1, "127.0.0.1").on("connect", () => console.log("out")).on("error", () => process.exit(3));',
        },
        entry: "main.mjs",
      },
      status: "nonzero_exit",
      stdout: "",
    },
  ],
  cNative: [
    {
      request: {
        files: {
          "main.c":
            '#include <stdio.h>\nint add(int, int);\nint main(void) { int n; return scanf("%d", &n) == 1 && printf("%d\\n", add(n, 2)) > 0 ? 0 : 1; }',
          "add.c": "int add(int a, int b) { return a + b; }",
        },
        entry: "main.c",
        stdin: "40\n",
      },
      status: "ok",
      stdout: "42\n",
    },
    {
      request: {
        files: {
          "main.c":
            '#include <stdio.h>\n#include <sys/socket.h>\nint main(void) { if (fopen("/etc/passwd", "r") || socket(AF_INET, SOCK_STREAM, 0) >= 0) puts("out"); return 3; }',
        },
        entry: "main.c",
      },
      status: "nonzero_exit",
      stdout: "",
    },
  ],
} as const satisfies Readonly<Record<string, readonly ProbeProgram[]>>;
