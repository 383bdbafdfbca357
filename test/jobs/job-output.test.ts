import { afterEach, describe, expect, it } from "@jest/globals";
import type { JobAudience, JobLogEntry } from "../../src/jobs/job-output.js";
import { createJobApp, eventually, type JobApp, type JobAppOptions } from "../kit/job-app.js";
import { createGate } from "../kit/job-queue.js";

let app: JobApp;
afterEach(() => app.close());

async function open(options: JobAppOptions = {}): Promise<JobApp> {
  app = await createJobApp(options);
  return app;
}

async function logsOf(as: { id: string; email: string; name: string }, jobId: string, query = "") {
  return (await app.call("GET", `/jobs/${jobId}/logs${query}`, { as })).body;
}

describe("what a job says", () => {
  it("[JOB50] can be read while it runs and afterwards, in order, from any entry on", async () => {
    const { handlers } = await open();
    const gate = createGate();
    handlers.set("talk", async ({ log, progress }) => {
      log("stdout", "a");
      log("stdout", "b\n");
      log("stderr", "oh\n");
      progress(40, "working");
      await gate.opened;
      log("stdout", "end\n");
    });
    await app.worker();
    const ada = await app.user();
    const job = await app.task(ada, "talk");
    await eventually(async () =>
      expect(await app.read(ada, job.id)).toMatchObject({ progress: 40, progressMessage: "working" }),
    );
    const early = await logsOf(ada, job.id);
    expect(early.logs.map(({ seq, stream, text }) => [seq, stream, text])).toEqual([
      [1, "stdout", "ab\n"],
      [2, "stderr", "oh\n"],
    ]);
    expect(early.nextAfter).toBe(2);
    gate.open();
    await app.event("job_completed", job.id);
    const rest = await logsOf(ada, job.id, `?after=${early.nextAfter}`);
    expect(rest.logs.map(({ seq, text }) => [seq, text])).toEqual([[3, "end\n"]]);
    expect(await logsOf(ada, job.id, "?after=3")).toEqual({ logs: [], nextAfter: 3 });
    const first = await logsOf(ada, job.id, "?limit=1");
    expect(first.logs.map(({ seq }) => seq)).toEqual([1]);
    expect(first.nextAfter).toBe(1);
  });

  it("[JOB51] is told to listeners once it is stored, to the job's audience", async () => {
    const told: [string, JobAudience, unknown][] = [];
    const { handlers, projects } = await open({
      output: {
        log: (job, entries: readonly JobLogEntry[]) =>
          told.push(["log", job, entries.map(({ text }) => text)]),
        progress: (job, progress, message) => told.push(["progress", job, [progress, message]]),
      },
    });
    const gate = createGate();
    handlers.set("talk", async ({ log, progress }) => {
      log("stdout", "early\n");
      progress(140, "x".repeat(500));
      await gate.opened;
      log("stdout", "late\n");
    });
    await app.worker();
    const ada = await app.user();
    const projectId = await projects.project(ada);
    const job = await app.task(ada, "talk", { projectId });
    await eventually(() => expect(told).toHaveLength(2));
    gate.open();
    await eventually(() => expect(told).toHaveLength(3));
    expect(told.map(([kind, , what]) => [kind, what])).toEqual([
      ["log", ["early\n"]],
      ["progress", [100, "x".repeat(200)]],
      ["log", ["late\n"]],
    ]);
    const audience = { jobId: job.id, type: "task", ownerId: ada.id, projectId, attempt: 1 };
    for (const [, job] of told) expect(job).toEqual(audience);
  });

  it("[JOB52] is kept up to 1 MiB per job, over all attempts, and then says that it is full", async () => {
    const { handlers } = await open();
    handlers.set("flood", ({ attempt, log }) => {
      for (let i = 0; i < 150; i += 1) log("stdout", `${attempt}${"é".repeat(2_000)}`);
      if (attempt < 3) throw new Error("again");
    });
    await app.worker();
    const ada = await app.user();
    const job = await app.task(ada, "flood");
    await app.event("job_completed", job.id);
    let after = 0;
    let bytes = 0;
    const systems: string[] = [];
    for (;;) {
      const { logs, nextAfter } = await logsOf(ada, job.id, `?after=${after}`);
      if (logs.length === 0) break;
      for (const { stream, text } of logs) {
        if (stream === "system") systems.push(text);
        else bytes += Buffer.byteLength(text);
      }
      after = nextAfter;
    }
    expect(bytes).toBeLessThanOrEqual(1024 * 1024);
    expect(bytes).toBeGreaterThan(1024 * 1024 - 20_000);
    expect(systems).toEqual(["The log is full; what follows is not kept."]);
  });

  it("[JOB53] is kept whatever characters it holds, and so are results", async () => {
    const { handlers } = await open();
    const odd = "nul \u0000, half \ud83d, whole 😀";
    const kept = "nul \ufffd, half \ufffd, whole 😀";
    handlers.set("odd", ({ log, progress }) => {
      log("stdout", odd);
      progress(1, odd);
      return { [odd]: [odd], list: [1, [2]], nothing: null };
    });
    await app.worker();
    const ada = await app.user();
    const job = await app.task(ada, "odd");
    await app.event("job_completed", job.id);
    const { result } = await app.read(ada, job.id);
    expect(result).toEqual({ value: { [kept]: [kept], list: [1, [2]], nothing: null } });
    expect((await logsOf(ada, job.id)).logs[0]?.text).toBe(kept);
  });

  it("[JOB54] keeps long text whole, in entries that cut no character", async () => {
    const { handlers } = await open();
    const long = `x${"😀".repeat(20_000)}`;
    handlers.set("long", ({ log }) => log("stdout", long));
    await app.worker();
    const ada = await app.user();
    const job = await app.task(ada, "long");
    await app.event("job_completed", job.id);
    const { logs } = await logsOf(ada, job.id);
    expect(logs.length).toBeGreaterThan(4);
    expect(logs.map(({ text }) => text).join("")).toBe(long);
  });
});
