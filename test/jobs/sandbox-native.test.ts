import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, it, jest } from "@jest/globals";
import type { RunRequest, RunResult } from "../../src/jobs/sandbox/sandbox.js";
import type { WasmSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { createSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { finish, isRunning, runningChildren } from "./sandbox-kit.js";

jest.setTimeout(60_000);
const before = new Set(runningChildren());
const CANARY = "canary-native-41c7";
const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith("atelier-native-"));
const foldersBefore = folders();
const sandbox: WasmSandbox = createSandbox({ slots: 1, native: true });
const languages = await sandbox.capabilities();
const NATIVE = ["python-native", "node-native", "c-native"] as const;

beforeAll(() => {
  process.env["NATIVE_CANARY"] = CANARY;
});
afterAll(async () => {
  await sandbox.close();
  delete process.env["NATIVE_CANARY"];
  expect(runningChildren().filter((pid) => !before.has(pid))).toEqual([]);
  expect(folders().filter((name) => !foldersBefore.includes(name))).toEqual([]);
});

async function resultOf(
  language: (typeof NATIVE)[number],
  files: string | Record<string, string>,
  rest: Partial<RunRequest> = {},
): Promise<RunResult> {
  const extension = { "python-native": "py", "node-native": "mjs", "c-native": "c" }[language];
  const entry = `main.${extension}`;
  const all = typeof files === "string" ? { [entry]: files } : files;
  const limits = { wallMs: 20_000, ...rest.limits };
  return (await finish(sandbox, { language, files: all, entry, ...rest, limits })).result;
}

describe("native languages", () => {
  it("[SB80] are off unless they are switched on, and say so", async () => {
    const events: string[] = [];
    const plain = createSandbox({ slots: 1, onEvent: ({ type }) => events.push(type) });
    try {
      const found = (await plain.capabilities()).filter(({ id }) => id.endsWith("-native"));
      expect(found.map(({ id }) => id)).toEqual(NATIVE);
      for (const { available, reason } of found) {
        expect(available).toBe(false);
        expect(reason).toMatch(/cannot run here: native languages are switched off \(SANDBOX_NATIVE\)\.$/);
      }
      expect(events).not.toContain("probe_failed");
      // What cannot change is not tried again.
      expect(await plain.capabilities()).toBe(await plain.capabilities());
      const run = finish(plain, { language: "c", files: { "a.c": "" }, entry: "a.c" });
      await expect(run).rejects.toMatchObject({ code: "unsupported_language" });
    } finally {
      await plain.close();
    }
  });

  it("[SB80] that cannot be had on this machine say why", () => {
    for (const id of NATIVE) {
      const found = languages.find((language) => language.id === id);
      expect(found?.available || found?.reason).toBeTruthy();
    }
  });
});

// Where one is missing its tests are shown as skipped, with the reason.
const where = (id: (typeof NATIVE)[number]) => {
  const { available = false, reason = "" } = languages.find((language) => language.id === id) ?? {};
  return { run: available ? describe : describe.skip, name: `${id}${available ? "" : ` (${reason})`}` };
};

const python = where("python-native");
python.run(python.name, () => {
  it("[SB81] runs with several files, input, arguments and a disk of its own", async () => {
    const files = {
      "main.py":
        "import os, sys\nfrom lib.add import add\nopen('out', 'w').write('x')\nprint(add(int(input()), 2), sys.argv[1:], sorted(os.listdir()), os.getcwd())",
      "lib/add.py": "def add(a, b): return a + b",
    };
    const args = ["a b", "$(id)", "'\"`\n", ""];
    const result = await resultOf("python-native", files, { stdin: "40\n", args });
    expect(result).toMatchObject({
      status: "ok",
      exitCode: 0,
      stderr: "",
      engine: { isolation: "native+os" },
    });
    expect(result.stdout).toBe("42 ['a b', '$(id)', '\\'\"`\\n', ''] ['lib', 'main.py', 'out'] /work\n");
  });

  it("[SB82] sees no file, process, environment or user of this machine", async () => {
    const code = `
import glob, os
for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline"):
    try: print(path, open(path, "rb").read())
    except OSError as error: print(path, error.errno)
print(sorted(os.listdir("/")), os.listdir("/etc"), os.getuid(), dict(os.environ))
for path in ("/etc/passwd", "/etc/shadow", "/root", "/home", "/var", "/sys", "/usr/local", "/usr/src", "/tmp/..", "/proc/1/root/etc/shadow"):
    try: print(path, os.listdir(path) if path != "/tmp/.." else "")
    except OSError as error: print(path, "no")
print([pid for pid in os.listdir("/proc") if pid.isdigit()])`;
    const { status, stdout } = await resultOf("python-native", code);
    expect(status).toBe("ok");
    expect(stdout).not.toContain(CANARY);
    expect(stdout).not.toContain(process.cwd());
    expect(stdout).not.toContain("atelier-native");
    expect(stdout).toContain(" 65534 {");
    expect(stdout).toMatch(
      /^\/etc\/passwd no\n\/etc\/shadow no\n\/root no\n\/home no\n\/var no\n\/sys no\n/m,
    );
    expect(stdout).toMatch(/\['1', '2'\]\n$/);
  });

  it("[SB82] gets no system call by which kernels are attacked, no network and no other user", async () => {
    const code = `
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def refused(name, *args):
    return getattr(libc, name)(*args) == -1
print(refused("unshare", 0x10000000), refused("mount", 0, 0, 0, 0, 0), refused("ptrace", 0, 0, 0, 0), refused("chroot", b"/tmp"), refused("setuid", 0), refused("personality", 0xffffffff), refused("syscall", 321, 0, 0, 0), refused("syscall", 425, 1, 0), refused("clone", 0, 0, 0x10000000, 0))
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET):
    try: socket.socket(family); print("open")
    except OSError: print("refused")`;
    expect(await resultOf("python-native", code)).toMatchObject({
      status: "ok",
      stdout: `${Array(9).fill("True").join(" ")}\n${"refused\n".repeat(4)}`,
    });
  });

  it.each<[string, string, object, RunRequest["limits"]]>([
    [
      "an endless loop",
      "print('on', flush=True)\nwhile True: pass",
      { status: "cpu_time_limit", stdout: "on\n" },
      { cpuMs: 200 },
    ],
    [
      "a fork bomb",
      "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass",
      { status: "cpu_time_limit" },
      { cpuMs: 300 },
    ],
    [
      "sleep that ignores signals",
      "import signal, time\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(99)",
      { status: "wall_time_limit" },
      { wallMs: 300 },
    ],
    [
      "closed streams",
      "import os, time\nos.close(1); os.close(2); time.sleep(99)",
      { status: "wall_time_limit" },
      { wallMs: 300 },
    ],
    [
      "memory",
      "a = []\nwhile True: a.append(bytes(1 << 20))",
      { status: "memory_limit" },
      { memoryBytes: 96 << 20 },
    ],
    [
      "memory of many",
      "import os, time\nfor n in range(9): os.fork()\na = b'x' * (20 << 20)\ntime.sleep(9)",
      { status: "memory_limit" },
      { memoryBytes: 96 << 20, cpuMs: 9000 },
    ],
    [
      "a full disk",
      "f = open('big', 'wb')\nwhile True: f.write(bytes(1 << 20))",
      { status: "disk_limit" },
      { diskBytes: 4 << 20 },
    ],
    [
      "a flood",
      "while True: print('x' * 99)",
      { status: "output_limit", truncated: true },
      { outputBytes: 5000 },
    ],
    [
      "a signal",
      "import os\nos.kill(os.getpid(), 11)",
      { status: "runtime_error", signal: "SIGSEGV", exitCode: 139 },
      {},
    ],
    ["an exit code", "raise SystemExit(7)", { status: "nonzero_exit", exitCode: 7 }, {}],
  ])("[SB83] ends with its status after %s", async (_name, code, expected, limits) => {
    expect(await resultOf("python-native", code, { limits: limits ?? {} })).toMatchObject(expected);
  });

  it("[SB83] takes every process with it, also those that left its session", async () => {
    const code =
      "import os, time\nfor n in range(3):\n  if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n      os.close(1); os.close(2)\n      time.sleep(60)\n    os._exit(0)\nprint('gone')";
    expect(await resultOf("python-native", code)).toMatchObject({ status: "ok", stdout: "gone\n" });
    const users = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && isRunning(Number(pid)));
    expect(users.filter((pid) => isNative(pid))).toEqual([]);
  });

  it("[SB83] is cancelled while it runs", async () => {
    const cancel = new AbortController();
    let last: RunResult | undefined;
    const request = {
      language: "python-native",
      files: { "a.py": "print('on', flush=True)\nwhile True: pass" },
      entry: "a.py",
    };
    for await (const event of sandbox.run({ ...request, limits: { cpuMs: 10_000 }, signal: cancel.signal })) {
      if (event.type === "stdout") cancel.abort();
      if (event.type === "result") last = event.result;
    }
    expect(last).toMatchObject({ status: "cancelled", stdout: expect.stringMatching(/^on\n?$/) });
  });
});

const node = where("node-native");
node.run(node.name, () => {
  it("[SB81] runs modules, files and timers; [SB83] is stopped at its limits", async () => {
    const files = {
      "main.mjs":
        'import fs from "node:fs"; import { sum } from "./sum.mjs"; fs.writeFileSync("o", "1"); setTimeout(() => console.log(sum(40, 2), process.argv.slice(2), fs.readdirSync(".").join(), process.env.HOME), 5);',
      "sum.mjs": "export const sum = (a, b) => a + b;",
    };
    expect(await resultOf("node-native", files, { args: ["x y"] })).toMatchObject({
      status: "ok",
      stdout: "42 [ 'x y' ] main.mjs,o,sum.mjs /work\n",
    });
    const limits = { memoryBytes: 96 << 20, cpuMs: 10_000 };
    expect(
      await resultOf("node-native", "const a = []; for (;;) a.push(Buffer.alloc(1e6, 1));", { limits }),
    ).toMatchObject({
      status: "memory_limit",
    });
  });
});

const c = where("c-native");
c.run(c.name, () => {
  it("[SB81] compiles several files and runs them; a refused one names its place", async () => {
    const files = {
      "main.c":
        '#include <math.h>\n#include <stdio.h>\n#include "add.h"\nint main(int n, char **args) { printf("%d %s %.0f\\n", add(40, n), args[1], sqrt(9)); return 5; }',
      "add.h": "int add(int, int);",
      "lib/add.c": "int add(int a, int b) { return a + b; }",
    };
    expect(await resultOf("c-native", files, { args: ["a b"] })).toMatchObject({
      status: "nonzero_exit",
      exitCode: 5,
      stdout: "42 a b 3\n",
    });
    expect(await resultOf("c-native", "int main(void) {\n  retrun 0;\n}")).toMatchObject({
      status: "compile_error",
      exitCode: 1,
      error: { kind: "CompileError", file: "main.c", line: 2, column: 3 },
    });
  });

  it.each([
    [
      "a compiler that reads for ever",
      '#include "/dev/zero"\nint main(void) { return 0; }',
      ["memory_limit", "cpu_time_limit", "compile_error"],
    ],
    [
      "a macro that grows",
      "#define A(x) x x x x x x x x\n#define B(x) A(A(A(A(x))))\nint main(void) { B(B(B(;))) }",
      ["memory_limit", "cpu_time_limit"],
    ],
    ["a wild pointer", "int main(void) { *(volatile int *)8 = 1; }", ["runtime_error"]],
    ["assembly that stops the machine", 'int main(void) { __asm__("hlt"); }', ["runtime_error"]],
  ])("[SB83] survives %s", async (_name, code, expected) => {
    expect(expected).toContain((await resultOf("c-native", code, { limits: { cpuMs: 3000 } })).status);
  });
});

/** Whether a process belongs to a user of native programs. */
function isNative(pid: string): boolean {
  try {
    const uid = Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
    return uid >= 62_000 && uid < 62_500;
  } catch {
    return false;
  }
}
