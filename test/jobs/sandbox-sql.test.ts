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
  const all = typeof files === "string" ? { "main.sql": files } : files;
  const limits = { wallMs: 20_000, ...rest.limits };
  return (await finish(sandbox, { language: "sql", files: all, entry: "main.sql", ...rest, limits })).result;
}
const ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t)";

describe("an SQL program", () => {
  it("[SB75] is run by SQLite statement by statement, and prints what they find as tables", async () => {
    const code = `
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, height REAL, photo BLOB); -- a comment; with a semicolon
INSERT INTO people (name, height, photo) VALUES ('Ada ü€', 1.65, x'00ff'), ('Bob
\tb', NULL, zeroblob(1000)), ('c''; SELECT 1;', 9.5e300, NULL);
/* another */ SELECT * FROM people;
UPDATE people SET height = 1;;
SELECT 9223372036854775807 AS big, '' AS "", "name" FROM people WHERE id > 7;
SELECT json_extract('{"a": [1, 2]}', '$.a[1]') AS two, count(*) OVER () FROM people LIMIT 1`;
    const result = await resultOf(code);
    expect(result).toMatchObject({ status: "ok", exitCode: 0, stderr: "" });
    expect(result.engine).toMatchObject({ id: "sqlite-wasm", version: expect.stringMatching(/^3\.\d+/) });
    expect(result.stdout).toBe(
      [
        "id  name           height    photo",
        `--  -------------  --------  ${"-".repeat(60)}`,
        "1   Ada ü€         1.65      x'00ff'",
        `2   Bob\\n\\tb       NULL      x'${"0".repeat(128)}…' (1000 bytes)`,
        "3   c'; SELECT 1;  9.5e+300  NULL",
        "",
        "big    name",
        "---  -  ----",
        "",
        "two  count(*) OVER ()",
        "---  ----------------",
        "2    3",
        "",
      ].join("\n"),
    );
  });

  it("[SB75] reads other files of the program with .read", async () => {
    const files = {
      "main.sql": ".read db/schema.sql\n.read 'db/my rows.sql'\nSELECT sum(n) AS sum FROM t;",
      "db/schema.sql": "CREATE TABLE t (n);",
      "db/my rows.sql": "INSERT INTO t VALUES (40), (2);",
    };
    expect((await resultOf(files)).stdout).toBe("sum\n---\n42\n");
    for (const line of [".read gone.sql", ".read", ".shell id", ".read main.sql"]) {
      expect(await resultOf(`SELECT 1;\n ${line}`)).toMatchObject({
        status: "compile_error",
        error: { kind: "ReadError", file: "main.sql", line: 2, column: 2 },
      });
    }
  });

  it.each([
    ["SELECT 1;\n\n  SELEC 2;", "compile_error", 'near "SELEC": syntax error', 3, 3],
    ["SELECT *\nFROM nope", "compile_error", "no such table: nope", 1, 1],
    [
      "CREATE TABLE a (x UNIQUE);\nINSERT INTO a VALUES (1);\nINSERT INTO a VALUES (1);",
      "runtime_error",
      "UNIQUE constraint failed: a.x",
      3,
      1,
    ],
    ["SELECT load_extension('x')", "compile_error", "no such function: load_extension", 1, 1],
    ["SELECT readfile('/etc/passwd')", "compile_error", "no such function: readfile", 1, 1],
  ])(
    "[SB76] stops at the first error and tells its statement: %j",
    async (code, status, message, line, column) => {
      expect(await resultOf(code)).toMatchObject({
        status,
        exitCode: 1,
        error: { kind: "SqlError", message, file: "main.sql", line, column },
        stderr: expect.stringContaining(message),
      });
    },
  );

  it.each([
    "ATTACH 'x' AS y",
    "\uFEFF -- c\n;/* c */ aTTaCH DATABASE ':memory:' AS y",
    "DETACH main",
    "VACUUM main INTO 'x.db'",
  ])("[SB76] cannot open or write other databases: %j", async (code) => {
    expect(await resultOf(code)).toMatchObject({ status: "compile_error", error: { kind: "NotAllowed" } });
  });

  it("[SB77] is stopped at its limits, and keeps what it printed before", async () => {
    const first = "SELECT 1 AS a;\n";
    expect(
      await resultOf(`${first}${ENDLESS} SELECT max(n) FROM t`, { limits: { cpuMs: 100 } }),
    ).toMatchObject({
      status: "cpu_time_limit",
      stdout: "a\n-\n1\n",
    });
    expect(await resultOf(`${ENDLESS} SELECT n FROM t`, { limits: { outputBytes: 999 } })).toMatchObject({
      status: "output_limit",
      truncated: true,
    });
    for (const code of [
      `CREATE TABLE b (x); ${ENDLESS} INSERT INTO b SELECT randomblob(10000) FROM t`,
      "SELECT hex(zeroblob(100000000))",
      `PRAGMA temp_store = FILE; CREATE TEMP TABLE b (x); ${ENDLESS} INSERT INTO b SELECT randomblob(10000) FROM t`,
    ]) {
      expect(await resultOf(code, { limits: { cpuMs: 10_000 } })).toMatchObject({ status: "memory_limit" });
    }
    await expect(resultOf("SELECT 1", { stdin: "x" })).rejects.toMatchObject({ code: "validation_failed" });
  });
});
