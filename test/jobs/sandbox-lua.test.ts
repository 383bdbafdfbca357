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

async function resultOf(
  files: string | Record<string, string>,
  rest: Partial<RunRequest> = {},
): Promise<RunResult> {
  const all = typeof files === "string" ? { "main.lua": files } : files;
  const limits = { wallMs: 20_000, ...rest.limits };
  return (await finish(sandbox, { language: "lua", files: all, entry: "main.lua", ...rest, limits })).result;
}
const outputOf = async (...args: Parameters<typeof resultOf>): Promise<string> => {
  const result = await resultOf(...args);
  expect(result).toMatchObject({ status: "ok", exitCode: 0, stderr: "" });
  return result.stdout;
};

describe("a Lua program", () => {
  it("[SB70] runs on Lua 5.4 with several modules, standard input and arguments", async () => {
    const files = {
      "src/main.lua":
        'local text, pack = require "src.text", require "src.pack"\nprint(_VERSION, text.shout(io.read("l")), pack, io.read("n"), io.read("a"))\nprint(arg[0], arg[1], arg[2], ...)',
      "src/text.lua": "return { shout = function(text) return text:upper() end }",
      "src/pack/init.lua": 'return "pack"',
    };
    expect(
      await outputOf(files, { entry: "src/main.lua", stdin: "ü ab\n42 rest\n", args: ["a b", "'\"\n"] }),
    ).toBe("Lua 5.4\tü AB\tpack\t42\t rest\n\nsrc/main.lua\ta b\t'\"\n\ta b\t'\"\n\n");
    expect((await resultOf("print(1)")).engine).toMatchObject({ id: "lua-wasm", version: "5.4" });
  });

  it("[SB70] ends with the exit code it asks for", async () => {
    expect(await resultOf('io.write("x") os.exit(5)')).toMatchObject({
      status: "nonzero_exit",
      exitCode: 5,
      stdout: "x",
    });
    expect(await resultOf("os.exit(true, true)")).toMatchObject({ status: "ok", exitCode: 0 });
    expect(await resultOf("os.exit(false)")).toMatchObject({ status: "nonzero_exit", exitCode: 1 });
  });

  it("[SB70] has the calendar, in UTC", async () => {
    const code = `
for _, time in ipairs { 0, 951782400, 1e9, 1798761599 } do
  print(os.date("!%Y-%m-%d %H:%M:%S %a %b %j %U %W %G-W%V %p %I", time))
end
print(os.time { year = 2020, month = 14, day = -1, hour = 12 }, os.date("*t", 1e9).yday, os.date("%z %Z %c %%", 0))`;
    expect(await outputOf(code)).toBe(
      [
        "1970-01-01 00:00:00 Thu Jan 001 00 00 1970-W01 AM 12",
        "2000-02-29 00:00:00 Tue Feb 060 09 09 2000-W09 AM 12",
        "2001-09-09 01:46:40 Sun Sep 252 36 36 2001-W36 AM 01",
        "2026-12-31 23:59:59 Thu Dec 365 52 52 2026-W53 PM 11",
        "1612008000\t252\t+0000 UTC Thu Jan  1 00:00:00 1970 %",
        "",
      ].join("\n"),
    );
  });

  it("[SB71] has files in memory, its own and others up to the disk limit", async () => {
    const files = {
      "main.lua": `
local file <close> = assert(io.open("out.txt", "w+"))
file:write(io.open("data/in.txt"):read("a"), "\\n", "end")
file:seek("set", 2)
print(file:read("L", "a"))
print(os.rename("out.txt", "b.txt"), os.remove("b.txt"), (os.remove("b.txt")))
print((select(2, io.open("/etc/passwd"))), (select(2, io.open("nowhere/x", "w"))))
local temporary = io.tmpfile()
temporary:write("t") temporary:seek("set") print(temporary:read())
for line in io.lines("data/in.txt") do print(line) end`,
      "data/in.txt": "one\ntwo",
    };
    expect(await outputOf(files)).toBe(
      "e\n\ttwo\nend\ntrue\ttrue\tnil\n/etc/passwd: No such file or directory\tnowhere/x: No such file or directory\nt\none\ntwo\n",
    );
    const limits = { diskBytes: 1 << 20, cpuMs: 10_000 };
    for (const code of [
      'local f = io.open("big", "wb") while true do assert(f:write(("x"):rep(65536))) assert(f:flush()) end',
      'for n = 1, 1e6 do assert(io.open("f" .. n, "w")):close() end',
      'local f = io.open("hole", "wb") f:seek("set", 1e9) f:write("x") assert(f:flush())',
      'local kept = {} for n = 1, 1e6 do local f = io.open("x", "wb") assert(f:write(("x"):rep(65536))) os.remove("x") kept[n] = f end',
    ]) {
      expect(await resultOf(code, { limits })).toMatchObject({ status: "disk_limit", exitCode: 1 });
    }
  });

  it.each<[string, Record<string, string>, object]>([
    [
      "a wrong value",
      { "main.lua": "local function f(x)\n  return x.y.z\nend\nf({})" },
      {
        status: "runtime_error",
        error: {
          kind: "Error",
          message: "attempt to index a nil value (field 'y')",
          file: "main.lua",
          line: 2,
        },
        stderr:
          "lua: main.lua:2: attempt to index a nil value (field 'y')\nstack traceback:\n\tmain.lua:2: in local 'f'\n\tmain.lua:4: in main chunk\n",
      },
    ],
    [
      "a module",
      { "main.lua": 'require "lib.m"', "lib/m.lua": '\nerror("own")' },
      { status: "runtime_error", error: { message: "own", file: "lib/m.lua", line: 2 } },
    ],
    [
      "an object",
      { "main.lua": "\nerror(setmetatable({}, { __tostring = function() return 'shown' end }))" },
      { status: "runtime_error", error: { message: "shown", file: "main.lua", line: 2 } },
    ],
    [
      "the source",
      { "main.lua": "print(1)\nlocal = 2" },
      {
        status: "compile_error",
        stdout: "",
        error: { kind: "SyntaxError", message: "<name> expected near '='", file: "main.lua", line: 2 },
      },
    ],
  ])("[SB72] tells the place of an error in %s", async (_name, files, expected) => {
    expect(await resultOf(files)).toMatchObject({ exitCode: 1, ...expected });
  });

  it("[SB73] finds no way out, to the engine, or to what another one left", async () => {
    expect(
      await outputOf(
        'print(os.execute, io.popen, package.loadlib, string.dump, os.getenv("PATH"), #package.searchers, (next(debug)), next(debug, "traceback"), load("\\27Lua"), pcall(require, "socket.core") == false)\nleft = 1 io.open("left", "w"):close()',
      ),
    ).toBe("nil\tnil\tnil\tnil\tnil\t2\ttraceback\tnil\tnil\ttrue\n");
    expect(await outputOf('print(left, (io.open("left")))')).toBe("nil\tnil\n");
  });

  it("[SB74] is stopped at its limits, also in coroutines and where it catches everything", async () => {
    const loop =
      'print("on") coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()';
    expect(await resultOf(loop, { limits: { cpuMs: 150 } })).toMatchObject({
      status: "cpu_time_limit",
      stdout: "on\n",
    });
    expect(
      await resultOf("local t = {} for n = 1, 1e9 do t[n] = { n } end", {
        limits: { memoryBytes: 32 << 20 },
      }),
    ).toMatchObject({
      status: "memory_limit",
    });
    expect(await resultOf('while true do print("x") end', { limits: { outputBytes: 99 } })).toMatchObject({
      status: "output_limit",
      truncated: true,
    });
    expect(await resultOf("local function f() return 1 + f() end f()")).toMatchObject({
      status: "runtime_error",
      error: { message: "stack overflow" },
    });
    expect(
      await resultOf('print(string.find(("a"):rep(30000), ("a-"):rep(30) .. "b"))', {
        limits: { cpuMs: 100 },
      }),
    ).toMatchObject({ status: "cpu_time_limit" });
  });
});
