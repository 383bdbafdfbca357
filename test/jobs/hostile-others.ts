import { ANY_END, CPU, DISK, type HostileProgram, MEMORY, type Row, rows } from "./hostile-kit.js";

const LUA: readonly Row[] = [
  ["an endless loop", "cpu_time_limit", "while true do end", CPU],
  [
    "a loop that catches all",
    "cpu_time_limit",
    "while true do pcall(function() while true do end end) end",
    CPU,
  ],
  ["a loop in a coroutine", "cpu_time_limit", "coroutine.wrap(function() while true do end end)()", CPU],
  [
    "a loop in a finaliser",
    "cpu_time_limit",
    "setmetatable({}, { __gc = function() while true do end end }) collectgarbage()",
    CPU,
  ],
  [
    "a loop in __close",
    "cpu_time_limit",
    "local x <close> = setmetatable({}, { __close = function() while true do end end })",
    CPU,
  ],
  [
    "a loop in the text of an error",
    "cpu_time_limit",
    "error(setmetatable({}, { __tostring = function() while true do end end }))",
    CPU,
  ],
  ["patterns that go back", "cpu_time_limit", 'string.find(("a"):rep(30000), ("a-"):rep(30) .. "b")', CPU],
  ["goto for ever", "cpu_time_limit", "::again:: goto again", CPU],
  ["tables", "memory_limit", "local t = {} for n = 1, 1e9 do t[n] = { n } end", MEMORY],
  ["text that doubles", "memory_limit", 'local s = "x" while true do s = s .. s end', MEMORY],
  ["one huge text", ["memory_limit", "runtime_error"], '("x"):rep(1 << 40)', MEMORY],
  [
    "a huge concat",
    "memory_limit",
    'local t = {} for n = 1, 1e5 do t[n] = ("x"):rep(1000) end table.concat(t) table.concat(t, ("y"):rep(1000))',
    MEMORY,
  ],
  ["coroutines", "memory_limit", "local t = {} for n = 1, 1e9 do t[n] = coroutine.create(print) end", MEMORY],
  ["recursion", ["runtime_error", "memory_limit"], "local function f() return 1 + f() end f()"],
  [
    "recursion by metatables",
    "runtime_error",
    "local t = setmetatable({}, { __index = function(t, k) return t[k] end }) print(t.x)",
  ],
  ["recursion by coroutines", "runtime_error", "local function f() return coroutine.wrap(f)() end f()"],
  ["deep patterns", "runtime_error", 'string.find("x", ("("):rep(1e5))'],
  ["deep source", "compile_error", `return ${"(".repeat(1000)}1${")".repeat(1000)}`],
  ["a format with a huge width", ANY_END, 'string.format("%99999d", 1)'],
  ["unpack of too much", "runtime_error", "table.unpack({}, 1, 1e8)"],
  ["a flood", "output_limit", 'while true do io.write(("x"):rep(100)) end'],
  ["a flood of errors", "output_limit", 'while true do io.stderr:write(("x"):rep(100)) end'],
  [
    "a full disk",
    "disk_limit",
    'local f = io.open("f", "wb") while true do assert(f:write(("x"):rep(65536))) end',
    DISK,
  ],
  ["a command", "runtime_error", "os.execute('touch /tmp/atelier-escaped')"],
  ["popen", "runtime_error", "print(io.popen('id'):read('a'))"],
  [
    "the environment",
    "ok",
    'print(os.getenv("BATTERY_CANARY"), os.getenv("PATH"))',
    { stdout: "nil\tnil\n" },
  ],
  ["a file of the host", "runtime_error", 'print(assert(io.open("{{SECRET}}")):read("a"))'],
  [
    "system files",
    "ok",
    'for _, p in ipairs { "/etc/passwd", "/proc/self/environ", "../../etc/passwd" } do print(io.open(p)) end io.write("")',
    {},
  ],
  ["C libraries", "runtime_error", 'print(package.loadlib("libc.so.6", "system"))'],
  ["byte code", "ok", 'print(load("\\27LuaT\\0", "x", "b"), pcall(string.dump, print))', {}],
  [
    "the debug library",
    "ok",
    "print(debug.getregistry, debug.sethook, debug.setmetatable, debug.getinfo)",
    { stdout: "nil\tnil\tnil\tnil\n" },
  ],
  [
    "metatables of strings",
    "ok",
    'getmetatable("").__index = function() return nil end print(#"abc")',
    { stdout: "3\n" },
  ],
  ["JavaScript", "ok", "print(js, window, globalThis, require and pcall(require, 'js'))", {}],
];

const ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t)";
const SQL: readonly Row[] = [
  ["an endless query", "cpu_time_limit", `${ENDLESS} SELECT max(n) FROM t`, CPU],
  [
    "a cross join",
    "cpu_time_limit",
    `${ENDLESS}, s AS (SELECT n FROM t LIMIT 3000) SELECT count(*) FROM s a, s b, s c, s d`,
    CPU,
  ],
  ["a slow pattern", ANY_END, "SELECT hex(zeroblob(20000)) GLOB '*0*0*0*0*0*0*0*0*0*0*1'", CPU],
  ["rows without end", "output_limit", `${ENDLESS} SELECT n FROM t`],
  [
    "a table without end",
    "memory_limit",
    `CREATE TABLE b(x); ${ENDLESS} INSERT INTO b SELECT randomblob(9999) FROM t`,
    MEMORY,
  ],
  [
    "a temporary file without end",
    "memory_limit",
    `PRAGMA temp_store = FILE; CREATE TEMP TABLE b(x); ${ENDLESS} INSERT INTO b SELECT randomblob(9999) FROM t`,
    MEMORY,
  ],
  ["a huge value", "memory_limit", "SELECT hex(zeroblob(400000000))", MEMORY],
  [
    "a huge concatenation",
    ["memory_limit", "runtime_error", "cpu_time_limit"],
    `${ENDLESS} SELECT length(group_concat(hex(zeroblob(1000)))) FROM t`,
    MEMORY,
  ],
  ["deep source", "compile_error", `SELECT ${"(".repeat(5000)}1${")".repeat(5000)}`],
  ["many terms", ["compile_error", "ok"], `SELECT ${"1+".repeat(20_000)}1`],
  [
    "triggers that call themselves",
    ["runtime_error", "ok", "memory_limit"],
    "PRAGMA recursive_triggers = 1; CREATE TABLE t(x); CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO t VALUES (new.x + 1); END; INSERT INTO t VALUES (1);",
  ],
  ["a file of the host", "compile_error", "ATTACH '{{SECRET}}' AS s; SELECT * FROM s.sqlite_master"],
  ["attach behind comments", "compile_error", "/* x */ -- y\n;; aTTach 'x' AS y"],
  ["a copy elsewhere", "compile_error", "CREATE TABLE t(x); VACUUM INTO '/tmp/atelier-escaped'"],
  ["an extension", "compile_error", "SELECT load_extension('/lib/x86_64-linux-gnu/libc.so.6')"],
  ["functions of the shell", "compile_error", "SELECT writefile('/tmp/atelier-escaped', 'x')"],
  ["commands of the shell", "compile_error", ".shell touch /tmp/atelier-escaped"],
  [
    "the schema rewritten",
    ANY_END,
    "PRAGMA writable_schema = 1; CREATE TABLE t(x); UPDATE sqlite_master SET sql = 'CREATE TABLE t(' || hex(randomblob(99)); VACUUM; SELECT * FROM t",
  ],
];

const TYPESCRIPT: readonly Row[] = [
  [
    "deep source",
    ["compile_error", "runtime_error"],
    `const a = ${"(".repeat(20_000)}1${")".repeat(20_000)};`,
  ],
  ["deep types", ANY_END, `type A = ${"[".repeat(20_000)}1${"]".repeat(20_000)}; console.log(1);`],
  ["open generics", ANY_END, `let a: ${"A<".repeat(20_000)}`],
  ["a template without end", "compile_error", "const a: string = `${".repeat(5000)],
  ["a loop behind types", "cpu_time_limit", "for (let n: number = 0; ; n++) (n as unknown as string);", CPU],
];

/** Lua, SQL and TypeScript programs. */
export const HOSTILE_OTHERS: readonly HostileProgram[] = [
  ...rows("lua", LUA),
  ...rows("sql", SQL),
  ...rows("typescript", TYPESCRIPT),
];
