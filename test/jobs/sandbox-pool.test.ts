import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { AppError } from "../../src/errors.js";
import type { RunEvent, RunRequest } from "../../src/jobs/sandbox/sandbox.js";
import type { SandboxEvent, WasmSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { createSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { finish, javascript, runningChildren, waitGone } from "./sandbox-kit.js";

const before = new Set(runningChildren());
let sandbox: WasmSandbox;

beforeAll(() => {
  sandbox = createSandbox({ slots: 2, warm: 2 });
});
afterAll(async () => {
  await sandbox.close();
  expect(runningChildren().filter((pid) => !before.has(pid))).toEqual([]);
});

describe("a request", () => {
  const refused = async (request: RunRequest) => finish(sandbox, request).catch((error: unknown) => error);

  it("[SB15] for an unknown language is refused with unsupported_language", async () => {
    expect(await refused({ ...javascript("1"), language: "cobol" })).toMatchObject({
      code: "unsupported_language",
    });
    expect(await refused({ ...javascript("1"), language: "__proto__" })).toMatchObject({
      code: "unsupported_language",
    });
  });

  it.each<[string, RunRequest, string]>([
    ["no files", javascript({}), "/entry"],
    ["an entry that is not there", javascript("1", { entry: "other.js" }), "/entry"],
    ["an entry of the prototype", javascript("1", { entry: "constructor" }), "/entry"],
    ["an absolute path", javascript({ "main.js": "", "/etc/passwd": "" }), "/files"],
    ["a path upwards", javascript({ "main.js": "", "a/../../b.js": "" }), "/files"],
    ["a backslash", javascript({ "main.js": "", "a\\b.js": "" }), "/files"],
    ["a NUL in a path", javascript({ "main.js": "", "a\0.js": "" }), "/files"],
    ["a path with our own prefix", javascript({ "main.js": "", "sandbox:prelude.mjs": "" }), "/files"],
    ["a path without end", javascript({ "main.js": "", [`${"a".repeat(300)}.js`]: "" }), "/files"],
    ["too much source", javascript(`"${"é".repeat(140_000)}"`), "/files"],
    [
      "too many files",
      javascript(Object.fromEntries(Array.from({ length: 300 }, (_, i) => [i ? `${i}.js` : "main.js", ""]))),
      "/files",
    ],
    ["too much input", javascript("1", { stdin: "x".repeat(300_000) }), "/stdin"],
    ["too many arguments", javascript("1", { args: Array.from({ length: 100 }, () => "") }), "/args"],
    ["a limit over the most", javascript("1", { limits: { cpuMs: 10_001 } }), "/limits/cpuMs"],
    ["a limit of nothing", javascript("1", { limits: { wallMs: 0 } }), "/limits/wallMs"],
    [
      "a limit that is no number",
      javascript("1", { limits: { memoryBytes: Number.NaN } }),
      "/limits/memoryBytes",
    ],
  ])("[SB15] with %s is refused with validation_failed and the place", async (_what, request, pointer) => {
    const error = await refused(request);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: "validation_failed" });
    expect((error as AppError).errors?.map((fault) => fault.pointer)).toContain(pointer);
  });

  it("[SB15] may name files __proto__ and constructor", async () => {
    const files = JSON.parse(
      '{"main.js":"import a from \\"./__proto__\\"; import b from \\"./constructor\\"; console.log(a, b)","__proto__":"A","constructor":"B"}',
    );
    expect((await finish(sandbox, javascript(files))).result.stdout).toBe("A B\n");
  });
});

describe("cancelling", () => {
  it("[SB16] works before the start, in the queue, and while the program runs", async () => {
    const small = createSandbox({ slots: 1 });
    try {
      const early = await finish(small, javascript("console.log(1)", { signal: AbortSignal.abort() }));
      expect(early.result).toMatchObject({ status: "cancelled", stdout: "", exitCode: null });

      const running = new AbortController();
      const queued = new AbortController();
      const first = small.run(javascript("console.log('on'); for (;;) {}", { signal: running.signal }));
      await eventOf(first, "stdout");
      const second = finish(small, javascript("console.log('second')", { signal: queued.signal }));
      queued.abort();
      expect((await second).events.map(({ type }) => type)).toEqual(["phase", "result"]);
      expect((await second).result).toMatchObject({ status: "cancelled", stdout: "" });

      running.abort();
      expect(await eventOf(first, "result")).toMatchObject({
        result: { status: "cancelled", exitCode: null, signal: null, stdout: "on\n" },
      });
      expect((await finish(small, javascript("console.log('next')"))).result.stdout).toBe("next\n");
    } finally {
      await small.close();
    }
  });

  it("[SB16] is what happens to a program whose events nobody reads any more", async () => {
    const small = createSandbox({ slots: 1 });
    try {
      const patient = javascript("console.log(1); setInterval(() => {}, 1000)", {
        limits: { wallMs: 30_000 },
      });
      for await (const event of small.run(patient)) if (event.type === "stdout") break;
      expect(small.status()).toMatchObject({ busy: 0, waiting: 0 });
      expect((await finish(small, javascript("console.log('next')"))).result.stdout).toBe("next\n");
    } finally {
      await small.close();
    }
  });

  it("[SB16] reaches a program that sleeps, and one in a call the engine cannot interrupt", async () => {
    for (const code of [
      "console.log(1); await new Promise((resolve) => setTimeout(resolve, 20_000));",
      "console.log(1); const a = Array.from({ length: 3e5 }, (_, i) => String(i * 7919 % 3e5)); for (;;) a.sort().join().split(',');",
    ]) {
      const abort = new AbortController();
      const events = sandbox.run(
        javascript(code, { signal: abort.signal, limits: { cpuMs: 10_000, wallMs: 30_000 } }),
      );
      await eventOf(events, "stdout");
      abort.abort();
      expect(await eventOf(events, "result")).toMatchObject({
        result: { status: "cancelled", stdout: "1\n" },
      });
    }
  });
});

describe("the pool", () => {
  it("[SB17] runs as many programs at once as it has slots, queues a few, and refuses the rest as overloaded", async () => {
    const small = createSandbox({ slots: 1, queue: 2 });
    try {
      const order: number[] = [];
      const runs = [1, 2, 3, 4].map((n) =>
        finish(small, javascript(`console.log(${n})`)).then(
          ({ result }) => {
            order.push(n);
            return result.stdout;
          },
          (error: unknown) => (error as AppError).code,
        ),
      );
      // Before a host is there all of them wait.
      expect(await Promise.all(runs)).toEqual(["1\n", "2\n", "overloaded", "overloaded"]);
      expect(order).toEqual([1, 2]);
    } finally {
      await small.close();
    }
  });

  it("[SB18] replaces a host after its share of programs", async () => {
    const events: SandboxEvent[] = [];
    const small = createSandbox({ slots: 1, runsPerHost: 2, onEvent: (event) => events.push(event) });
    try {
      for (let run = 0; run < 5; run++) {
        expect((await finish(small, javascript("console.log(1)"))).result.status).toBe("ok");
      }
    } finally {
      await small.close();
    }
    const pids = events.flatMap((event) => (event.type === "host_ready" ? [event.pid] : []));
    expect(new Set(pids).size).toBe(3);
    expect(await waitGone(pids)).toEqual([]);
  });

  it("[SB19] tells what runs here from probes that really ran", async () => {
    const capabilities = await sandbox.capabilities();
    expect(capabilities.map(({ id, available }) => [id, available])).toEqual([
      ["javascript", true],
      ["typescript", true],
      ["python", true],
      ["lua", true],
      ["sql", true],
      ["python-native", false],
      ["node-native", false],
      ["c-native", false],
    ]);
    expect(capabilities[0]).toEqual(
      expect.objectContaining({
        id: "javascript",
        aliases: expect.arrayContaining(["js"]),
        extension: "js",
        available: true,
        multiFile: true,
        stdin: true,
        files: false,
        engine: expect.objectContaining({ id: "quickjs-ng" }),
        limits: {
          default: {
            cpuMs: 2000,
            wallMs: 5000,
            memoryBytes: 64 * 1024 * 1024,
            outputBytes: 256 * 1024,
            diskBytes: 16 * 1024 * 1024,
          },
          maximum: {
            cpuMs: 10_000,
            wallMs: 30_000,
            memoryBytes: 1024 * 1024 * 1024,
            outputBytes: 1024 * 1024,
            diskBytes: 64 * 1024 * 1024,
          },
        },
      }),
    );
  });

  it("[SB20] closes at once: running and waiting programs fail with shutting_down, no process is left", async () => {
    const events: SandboxEvent[] = [];
    const small = createSandbox({ slots: 1, onEvent: (event) => events.push(event) });
    const running = small.run(
      javascript("console.log(1); for (;;) {}", { limits: { cpuMs: 10_000, wallMs: 30_000 } }),
    );
    await eventOf(running, "stdout");
    const waiting = finish(small, javascript("1")).catch((error: unknown) => error);
    const rest = eventOf(running, "result").catch((error: unknown) => error);
    await small.close();
    expect(await rest).toMatchObject({ code: "shutting_down" });
    expect(await waiting).toMatchObject({ code: "shutting_down" });
    await expect(finish(small, javascript("1"))).rejects.toMatchObject({ code: "shutting_down" });
    const pids = events.flatMap((event) => (event.type === "host_ready" ? [event.pid] : []));
    expect(pids).toHaveLength(1);
    expect(await waitGone(pids)).toEqual([]);
    await small.close();
  });

  it("[SB20] closes while its first host is still starting, or when none ever did", async () => {
    const starting = createSandbox({ slots: 2, warm: 2 });
    const waiting = finish(starting, javascript("1")).catch((error: unknown) => error);
    await starting.close();
    expect(await waiting).toMatchObject({ code: "shutting_down" });
    await createSandbox().close();
  });
});

/** The next event of a type, reading on from where the last call stopped. */
async function eventOf(events: AsyncIterable<RunEvent>, type: RunEvent["type"]): Promise<RunEvent> {
  const iterator = events[Symbol.asyncIterator]();
  for (;;) {
    const next = await iterator.next();
    if (next.done) throw new Error(`No event of type ${type}`);
    if (next.value.type === type) return next.value;
  }
}
