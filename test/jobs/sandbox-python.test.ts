import { afterAll, beforeAll, describe, expect, it, jest } from "@jest/globals";
import type { RunRequest, RunResult } from "../../src/jobs/sandbox/sandbox.js";
import type { WasmSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { createSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { finish, runningChildren } from "./sandbox-kit.js";

jest.setTimeout(30_000);
const before = new Set(runningChildren());
let sandbox: WasmSandbox;

beforeAll(() => {
  sandbox = createSandbox({ slots: 1 });
});
afterAll(async () => {
  await sandbox.close();
  expect(runningChildren().filter((pid) => !before.has(pid))).toEqual([]);
});

function python(files: string | Record<string, string>, rest: Partial<RunRequest> = {}): RunRequest {
  const all = typeof files === "string" ? { "main.py": files } : files;
  return {
    language: "python",
    files: all,
    entry: "main.py",
    ...rest,
    limits: { wallMs: 20_000, ...rest.limits },
  };
}
const resultOf = async (
  files: string | Record<string, string>,
  rest: Partial<RunRequest> = {},
): Promise<RunResult> => (await finish(sandbox, python(files, rest))).result;
const outputOf = async (...args: Parameters<typeof resultOf>): Promise<string> => {
  const result = await resultOf(...args);
  expect(result).toMatchObject({ status: "ok", exitCode: 0, stderr: "" });
  return result.stdout;
};

describe("a Python program", () => {
  it("[SB60] runs on CPython 3.13 with the standard library, and says so", async () => {
    const result = await resultOf(
      "import sys, json, re, random, datetime, collections, dataclasses, decimal, itertools\nprint(sys.version_info[:2], json.dumps({'a': [1, None]}), 'ü€😀')",
    );
    expect(result).toMatchObject({
      status: "ok",
      exitCode: 0,
      stdout: '(3, 13) {"a": [1, null]} ü€😀\n',
      stderr: "",
      truncated: false,
      engine: { id: "cpython-wasm", version: "3.13.2" },
    });
    expect(result.peakMemoryBytes).toBeGreaterThan(10_000_000);
  });

  it("[SB60] may be several modules, and its own go before those of the library", async () => {
    const files = {
      "src/main.py":
        "from tools.text import shout\nimport tools, json, re\nprint(shout('a'), tools.NAME, json.MINE, re.MINE, __name__, __file__)",
      "src/tools/__init__.py": "NAME = 'tools'",
      "src/tools/text.py": "from . import NAME\ndef shout(text): return text.upper() + NAME",
      "src/json.py": "MINE = 1",
      "src/re/__init__.py": "MINE = 2",
    };
    expect(await outputOf(files, { entry: "src/main.py" })).toBe(
      "Atools tools 1 2 __main__ /work/src/main.py\n",
    );
  });

  it("[SB60] gets standard input and arguments as they are", async () => {
    const code = "import sys\nprint(repr(input('? ')), [line for line in sys.stdin], sys.argv[1:])";
    expect(await outputOf(code, { stdin: "one\n\ntwo ü", args: ["a b", "", "'\"\n", "ü"] })).toBe(
      "? 'one' ['\\n', 'two ü'] ['a b', '', '\\'\"\\n', 'ü']\n",
    );
    expect((await resultOf("input()")).error?.kind).toBe("EOFError");
  });

  it.each<[string, number, string]>([
    ["import sys; sys.exit(7)", 7, ""],
    ["raise SystemExit", 0, ""],
    ["import sys; sys.exit('bye')", 1, "bye\n"],
    ["import os; os._exit(3)", 3, ""],
    ["import sys\ntry:\n  sys.exit(258)\nfinally:\n  print('end', file=sys.stderr)", 2, "end\n"],
  ])("[SB60] ends with the exit code it asks for: %j", async (code, exitCode, stderr) => {
    const status = exitCode === 0 ? "ok" : "nonzero_exit";
    expect(await resultOf(code)).toMatchObject({ status, exitCode, stderr });
  });

  it("[SB60] runs what it left for its end", async () => {
    const code =
      "import atexit\nclass Last:\n  def __del__(self): print('del')\nlast = Last()\natexit.register(print, 'atexit')\nprint('body')";
    expect(await outputOf(code)).toBe("body\natexit\ndel\n");
  });

  it("[SB60] finds nothing of another one's", async () => {
    await resultOf(
      "import builtins, os, random\nbuiltins.left = 1\nos.environ['LEFT'] = '1'\nopen('left', 'w').close()\nopen('/tmp/left', 'w').close()",
    );
    const code =
      "import builtins, os\nprint(hasattr(builtins, 'left'), dict(os.environ), os.listdir('.'), os.listdir('/tmp'))";
    expect(await outputOf(code)).toBe("False {} ['main.py'] []\n");
    const draws = await Promise.all(
      [1, 2].map(() => outputOf("import random\nprint(random.random(), hash('a'))")),
    );
    expect(draws[0]).not.toBe(draws[1]);
  });

  it("[SB61] reads its own files, and writes others within its share of the disk", async () => {
    const files = {
      "main.py":
        "import os\nos.makedirs('out/a')\nwith open('out/a/b.txt', 'w') as f: f.write(open('data.csv').read().upper())\nprint(open('out/a/b.txt').read(), sorted(os.listdir()))\nos.remove('out/a/b.txt'); os.rmdir('out/a')\nprint(os.listdir('out'))",
      "data.csv": "x,y",
    };
    expect(await outputOf(files)).toBe("X,Y ['data.csv', 'main.py', 'out']\n[]\n");
  });

  it.each([
    ["one long file", "f = open('big', 'wb')\nwhile True: f.write(bytes(65536))"],
    ["many files", "for n in range(1 << 20): open(f'f{n}', 'wb').write(bytes(65536))"],
    ["a hole", "open('hole', 'wb').truncate(1 << 30)"],
    ["a far seek", "f = open('far', 'wb')\nf.seek(1 << 30)\nf.write(b'x')\nf.flush()"],
    [
      "files that are open and gone",
      "import os\nkept = []\nwhile True:\n  f = open('gone', 'wb', 0)\n  f.write(bytes(1 << 20))\n  os.remove('gone')\n  kept.append(f)",
    ],
    ["empty files without end", "n = 0\nwhile True:\n  open(f'e{n}', 'w').close()\n  n += 1"],
    ["folders without end", "import os\nn = 0\nwhile True:\n  os.mkdir(f'd{n}')\n  n += 1"],
  ])("[SB61] that fills the disk ends disk_limit: %s", async (_name, code) => {
    const result = await resultOf(code, { limits: { diskBytes: 4 * 1024 * 1024, cpuMs: 10_000 } });
    expect(result).toMatchObject({
      status: "disk_limit",
      exitCode: 1,
      error: {
        kind: "OSError",
        message: expect.stringContaining("No space left on device"),
        file: "main.py",
      },
    });
  });

  it("[SB61] may go on when it takes care of a full disk, and has the space back that it frees", async () => {
    const code = `
import os
def fill():
    written = 0
    with open('big', 'wb', 0) as f:
        try:
            while True: written += f.write(bytes(65536))
        except OSError as error:
            print(type(error).__name__)
    return written
first = fill()
os.remove('big')
print(first == fill())`;
    expect(await outputOf(code, { limits: { diskBytes: 1024 * 1024 } })).toBe("OSError\nOSError\nTrue\n");
  });

  it("[SB61] cannot change the library for the next one", async () => {
    for (const code of [
      "import os; os.chmod('/lib/python313.zip', 0o777)",
      "f = open('/lib/python313.zip', 'r+b')\nf.write(b'x')\nf.flush()",
      "open('/lib/python313.zip', 'wb')",
      "import os; os.truncate('/lib/python313.zip', 0)",
      "import mmap\nf = open('/lib/python313.zip', 'rb')\nmmap.mmap(f.fileno(), 0, access=mmap.ACCESS_WRITE)[0] = 0",
    ]) {
      expect((await resultOf(code)).status).toBe("runtime_error");
    }
    expect(await outputOf("import base64, zipfile\nprint(zipfile.is_zipfile('/lib/python313.zip'))")).toBe(
      "True\n",
    );
  });

  it("[SB62] that raises ends with kind, message, place and its own traceback", async () => {
    const files = {
      "main.py": "from lib.load import load\ndef start():\n  load(None)\nstart()",
      "lib/load.py": "def load(options):\n  return options['path']",
    };
    expect(await resultOf(files)).toMatchObject({
      status: "runtime_error",
      exitCode: 1,
      error: {
        kind: "TypeError",
        message: "'NoneType' object is not subscriptable",
        file: "lib/load.py",
        line: 2,
        column: 10,
        stack: expect.stringMatching(/^ {2}File "\/work\/main\.py", line 4, in <module>\n/),
      },
      stderr: expect.stringMatching(
        /^Traceback \(most recent call last\):\n {2}File "\/work\/main\.py", line 4, in <module>\n[^]*\nTypeError: 'NoneType' object is not subscriptable\n$/,
      ),
    });
  });

  it.each([
    ["in the entry", { "main.py": "print(1)\nx = = 2" }, "compile_error", "SyntaxError", "main.py", 2],
    ["of indentation", { "main.py": "if 1:\nprint(1)" }, "compile_error", "IndentationError", "main.py", 2],
    [
      "in a module",
      { "main.py": "import b", "b.py": "\n\n  )" },
      "runtime_error",
      "IndentationError",
      "b.py",
      3,
    ],
    [
      "for a module that is not there",
      { "main.py": "import numpy" },
      "runtime_error",
      "ModuleNotFoundError",
      "main.py",
      1,
    ],
  ])("[SB62] tells the place of an error %s", async (_name, files, status, kind, file, line) => {
    expect(await resultOf(files)).toMatchObject({
      status,
      exitCode: 1,
      stdout: "",
      error: { kind, file, line },
    });
  });

  it("[SB62] survives errors that do not want to be shown", async () => {
    const shy = "class Shy(Exception):\n  def __str__(self): raise self\n  __repr__ = __str__\nraise Shy()";
    expect(await resultOf(shy)).toMatchObject({ status: "runtime_error", error: { kind: "Shy", line: 4 } });
    const hook = "import sys\nsys.excepthook = lambda *_: sys.exit(9)\n1/0";
    expect(await resultOf(hook)).toMatchObject({ status: "nonzero_exit", exitCode: 9 });
    const group = "raise ExceptionGroup('many', [ValueError(1), KeyError(2)])";
    expect(await resultOf(group)).toMatchObject({ error: { kind: "ExceptionGroup", line: 1 } });
  });

  it("[SB63] sleeps without using the processor", async () => {
    const result = await resultOf("import time\ntime.sleep(0.6)\nprint('awake')", { limits: { cpuMs: 400 } });
    expect(result).toMatchObject({ status: "ok", stdout: "awake\n" });
    expect(result.durationMs).toBeGreaterThanOrEqual(600);
  });

  it("[SB63] has asyncio: tasks, timeouts, groups, queues", async () => {
    const code = `
import asyncio
async def after(seconds, value):
    await asyncio.sleep(seconds)
    return value
async def main():
    print(await asyncio.gather(after(0.05, 'a'), after(0.01, 'b')))
    try:
        await asyncio.wait_for(after(9, 'c'), 0.02)
    except TimeoutError:
        print('late')
    async with asyncio.TaskGroup() as group:
        queue = asyncio.Queue()
        group.create_task(queue.put(1))
        print(await queue.get())
asyncio.run(main())
loop = asyncio.new_event_loop()
print(loop.run_until_complete(after(0, 'd')))
loop.close()`;
    expect(await outputOf(code)).toBe("['a', 'b']\nlate\n1\nd\n");
  });

  it("[SB63] that waits for what nothing will settle ends unsettled_await", async () => {
    const code =
      "import asyncio\nasync def main():\n  print('before')\n  await asyncio.get_running_loop().create_future()\nasyncio.run(main())";
    expect(await resultOf(code)).toMatchObject({
      status: "unsettled_await",
      exitCode: 13,
      stdout: "before\n",
    });
  });

  it("[SB63] is heard while it runs, also from a busy loop, and keeps bytes that are no text apart", async () => {
    const { events, result } = await finish(
      sandbox,
      python(
        "import sys, time\nfor n in range(3):\n  print(n, end='')\n  end = time.monotonic() + 0.06\n  while time.monotonic() < end: pass\nsys.stdout.buffer.write('€'.encode()[:1])\nsys.stdout.flush()\nsys.stdout.buffer.write('€'.encode()[1:] + b'\\xff')",
      ),
    );
    expect(result.stdout).toBe("012€\uFFFD");
    expect(events.filter(({ type }) => type === "stdout").length).toBeGreaterThan(2);
  });

  it("[SB64] is stopped at its limits, also where it catches everything", async () => {
    const loop =
      "print('on')\nwhile True:\n  try:\n    while True: pass\n  except BaseException: pass\n  finally: continue";
    const cpu = await resultOf(loop, { limits: { cpuMs: 200 } });
    expect(cpu).toMatchObject({ status: "cpu_time_limit", exitCode: null, stdout: "on\n" });
    expect(cpu.cpuMs).toBeLessThan(2000);
    expect(await resultOf("import time\ntime.sleep(1e6)", { limits: { wallMs: 200 } })).toMatchObject({
      status: "wall_time_limit",
    });
    expect(
      await resultOf("a = []\nwhile True: a.append(bytes(100000))", { limits: { memoryBytes: 48 << 20 } }),
    ).toMatchObject({
      status: "memory_limit",
      exitCode: null,
    });
    const flood = await resultOf("while True: print('x' * 99)", { limits: { outputBytes: 1000 } });
    expect(flood).toMatchObject({ status: "output_limit", truncated: true });
    expect(flood.stdout).toHaveLength(1000);
    const caught = "try:\n  bytes(1 << 28)\nexcept MemoryError:\n  print('caught')";
    expect(await outputOf(caught)).toBe("caught\n");
  });

  it("[SB64] is cancelled while it runs and while it sleeps", async () => {
    for (const code of ["print('on')\nwhile True: pass", "import time\nprint('on')\ntime.sleep(60)"]) {
      const cancel = new AbortController();
      let last: RunResult | undefined;
      for await (const event of sandbox.run({
        ...python(code, { limits: { cpuMs: 10_000 } }),
        signal: cancel.signal,
      })) {
        if (event.type === "stdout") cancel.abort();
        if (event.type === "result") last = event.result;
      }
      expect(last).toMatchObject({ status: "cancelled", stdout: "on\n" });
    }
  });

  it("[SB65] is offered with its limits when its probes passed", async () => {
    const found = (await sandbox.capabilities()).find(({ id }) => id === "python");
    expect(found).toMatchObject({
      aliases: ["py", "python3"],
      extension: "py",
      available: true,
      multiFile: true,
      stdin: true,
      files: true,
      limits: {
        default: { memoryBytes: 128 << 20, diskBytes: 16 << 20 },
        maximum: { memoryBytes: 512 << 20, diskBytes: 64 << 20 },
      },
    });
    await expect(resultOf("1", { limits: { memoryBytes: 1 << 30 } })).rejects.toMatchObject({
      code: "validation_failed",
      errors: [{ pointer: "/limits/memoryBytes" }],
    });
  });
});
