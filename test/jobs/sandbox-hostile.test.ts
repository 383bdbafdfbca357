import { afterAll, beforeAll, describe, expect, it, jest } from "@jest/globals";
import type { WasmSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { createSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { DEPTH, ESCAPES, FLOODS, MEMORY, TIME } from "./hostile-programs.js";
import { finish, javascript, runningChildren } from "./sandbox-kit.js";

// Only the time of the processor is theirs; a busy machine may take long over it.
jest.setTimeout(60_000);
const CANARY = "canary-7f3a9c-must-never-be-seen";
const before = new Set(runningChildren());
let sandbox: WasmSandbox;

beforeAll(() => {
  process.env["SANDBOX_CANARY"] = CANARY;
  sandbox = createSandbox({ slots: 2, warm: 2 });
});
afterAll(async () => {
  await sandbox.close();
  delete process.env["SANDBOX_CANARY"];
  expect(runningChildren().filter((pid) => !before.has(pid))).toEqual([]);
});

describe.each([
  ["time", TIME],
  ["memory", MEMORY],
  ["depth", DEPTH],
  ["output", FLOODS],
  ["escape", ESCAPES],
])("[SB30] %s", (_kind, programs) => {
  it.each(programs.map((program) => [program.name, program] as const))("%s", async (_name, program) => {
    const { events, result } = await finish(
      sandbox,
      javascript(program.code, { limits: { wallMs: 30_000, ...program.limits } }),
    );
    const expected = typeof program.status === "string" ? [program.status] : program.status;
    expect({
      ...result,
      status: expected.includes(result.status) ? "as expected" : result.status,
    }).toMatchObject({
      status: "as expected",
      ...(program.stdout === undefined ? {} : { stdout: program.stdout }),
      ...(program.error === undefined ? {} : { error: program.error }),
    });
    const said = JSON.stringify(events);
    expect(said).not.toContain(CANARY);
    expect(said).not.toContain(process.cwd());
    expect(result.error?.kind).not.toBe("EngineError");
  });
});
