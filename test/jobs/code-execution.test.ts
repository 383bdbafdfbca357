import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createSandbox, type WasmSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { createJobApp, type JobApp } from "../kit/job-app.js";
import type { TestUser } from "../kit/project-app.js";

let app: JobApp;
let sandbox: WasmSandbox;
let ada: TestUser;

beforeAll(async () => {
  sandbox = createSandbox({ slots: 1 });
  app = await createJobApp({ sandbox });
  await app.worker();
  ada = await app.user();
});
afterAll(async () => {
  await app.close();
  await sandbox.close();
});

async function run(payload: Record<string, unknown>) {
  const answer = await app.call("POST", "/jobs", { as: ada, body: { type: "code_execution", payload } });
  expect(answer.text).toContain('"job"');
  const { id } = answer.body.job;
  const ended = await Promise.race([app.event("job_completed", id), app.event("job_failed", id)]);
  return { job: await app.read(ada, id), ended };
}

const javascript = (code: string, more: Record<string, unknown> = {}) =>
  run({ language: "javascript", code, ...more });

describe("code_execution", () => {
  it("[JOB60] runs a program and keeps what it printed, as result and as log", async () => {
    const { job, ended } = await javascript("console.log('Hello World')");
    expect(job).toMatchObject({
      status: "completed",
      attempt: 1,
      result: { status: "ok", exitCode: 0, stdout: "Hello World\n", stderr: "", truncated: false },
    });
    expect(ended.payload).toMatchObject({ status: "ok" });
    const { logs } = (await app.call("GET", `/jobs/${job.id}/logs`, { as: ada })).body;
    expect(logs.map(({ stream, text }) => [stream, text])).toEqual([["stdout", "Hello World\n"]]);
  });

  it("[JOB61] completes when the program fails: that is its result", async () => {
    const { job, ended } = await javascript("console.log(1);\nthrow new Error('mine');");
    expect(job).toMatchObject({
      status: "completed",
      attempt: 1,
      error: null,
      result: { status: "runtime_error", stdout: "1\n", error: { message: "mine", line: 2 } },
    });
    expect(ended).toMatchObject({ type: "job_completed", payload: { status: "runtime_error" } });
    expect((await javascript("for(;;);", { limits: { cpuMs: 100 } })).job.result).toMatchObject({
      status: "cpu_time_limit",
    });
    expect((await javascript("syntax error")).job.result).toMatchObject({ status: "compile_error" });
  });

  it("[JOB62] takes several files with an entry, standard input and arguments", async () => {
    const { job } = await run({
      language: "js",
      files: {
        "src/app.js": 'import { twice } from "./lib/twice.js";\nconsole.log(twice(readline()));',
        "src/lib/twice.js": "export const twice = (text) => text + text;",
      },
      entry: "src/app.js",
      stdin: "ab\n",
      args: ["one"],
    });
    expect(job.result).toMatchObject({ status: "ok", stdout: "abab\n" });
  });

  it("[JOB63] keeps odd output and cuts it at 256 KiB", async () => {
    const { job } = await javascript("console.log('a\\u0000b'); console.log('x'.repeat(400000))");
    expect(job).toMatchObject({ status: "completed", result: { status: "output_limit", truncated: true } });
    const { stdout } = job.result as { stdout: string };
    expect(stdout.startsWith("a\ufffdb\n")).toBe(true);
    expect(Buffer.byteLength(stdout)).toBeLessThanOrEqual(256 * 1024 + 2);
  });

  it("[JOB64] stops the program when the job is cancelled", async () => {
    const body = {
      type: "code_execution",
      payload: { language: "javascript", code: "for(;;);", limits: { cpuMs: 10_000, wallMs: 30_000 } },
    };
    const { job } = (await app.call("POST", "/jobs", { as: ada, body })).body;
    await app.event("job_started", job.id);
    await app.call("POST", `/jobs/${job.id}/cancel`, { as: ada });
    // The only slot of the sandbox is free again long before the program's own limits.
    const { job: next } = await javascript("console.log('next')");
    expect(next.result).toMatchObject({ status: "ok" });
    expect(await app.read(ada, job.id)).toMatchObject({ status: "cancelled", result: null });
  });

  it("[JOB65] says what the workers can run, and refuses other languages with 422", async () => {
    const { status, body } = await app.call("GET", "/languages", { as: ada });
    expect(status).toBe(200);
    expect(body.languages.find(({ id }) => id === "javascript")).toMatchObject({
      id: "javascript",
      aliases: expect.arrayContaining(["js"]),
      extension: "js",
      available: true,
      limits: { default: { cpuMs: 2_000 }, maximum: { cpuMs: 10_000 } },
    });
    const answer = await app.call("POST", "/jobs", {
      as: ada,
      body: { type: "code_execution", payload: { language: "cobol", code: "DISPLAY 'HI'." } },
    });
    expect(answer.status).toBe(422);
    expect(answer.body).toMatchObject({
      code: "unsupported_language",
      errors: [{ pointer: "/payload/language" }],
    });
    expect((await run({ language: "JavaScript", code: "1" })).job.result).toMatchObject({ status: "ok" });
  });
});
