import { spawn } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, describe, expect, it } from "@jest/globals";
import { transform } from "@swc/core";
import type { EngineHost } from "../../src/jobs/sandbox/engine-host.js";
import { HostLost, startEngineHost } from "../../src/jobs/sandbox/engine-host.js";
import { findEngineFiles } from "../../src/jobs/sandbox/engine-packages.js";
import { encodeFrame, encodeMessage } from "../../src/jobs/sandbox/host/frames.mjs";
import type { Launcher } from "../../src/jobs/sandbox/launch.js";
import { launchers } from "../../src/jobs/sandbox/launch.js";
import { chooseLauncher } from "../../src/jobs/sandbox/launcher-choice.js";
import { createHostPool } from "../../src/jobs/sandbox/pool.js";
import { processesUnder } from "../../src/jobs/sandbox/process-tree.js";
import { checkProgram } from "../../src/jobs/sandbox/program.js";
import type { SandboxEvent, SandboxOptions } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { createSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
import { finish, isRunning, javascript, runningChildren, waitGone } from "./sandbox-kit.js";

const before = new Set(runningChildren());
const open: { close(): Promise<void> }[] = [];
const files = findEngineFiles();
const never = new AbortController().signal;

afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()));
});
afterAll(() => {
  expect(runningChildren().filter((pid) => !before.has(pid))).toEqual([]);
});

async function hostOf(launcher: Launcher, slot: number): Promise<EngineHost> {
  const host = await startEngineHost(launcher, files, slot, never);
  open.push(host);
  return host;
}

function sandboxWith(options: SandboxOptions) {
  const events: SandboxEvent[] = [];
  const sandbox = createSandbox({ slots: 1, ...options, onEvent: (event) => events.push(event) });
  open.push(sandbox);
  const hosts = () => events.flatMap((event) => (event.type === "host_ready" ? [event.pid] : []));
  /** The process that runs programs: inside bubblewrap the innermost. */
  const innermost = () => {
    const pid = hosts().at(-1) ?? -1;
    return processesUnder(pid).at(-1) ?? pid;
  };
  return { sandbox, events, hosts, innermost };
}

const LOOP = javascript("console.log('on'); for (;;) {}", { limits: { cpuMs: 10_000, wallMs: 20_000 } });

describe.each([
  ["with the fence this system has", undefined],
  ["without one", false],
])("hosts %s", (_name, operatingSystemFence) => {
  const options: SandboxOptions = operatingSystemFence === undefined ? {} : { operatingSystemFence };

  it("[SB31] killed under a program fail it with internal_error; the next one runs", async () => {
    const { sandbox, innermost, hosts, events } = sandboxWith(options);
    const failure = (async () => {
      for await (const event of sandbox.run(LOOP)) {
        if (event.type === "stdout") process.kill(innermost(), "SIGKILL");
      }
    })();
    await expect(failure).rejects.toMatchObject({ code: "internal_error" });
    expect((await finish(sandbox, javascript("console.log('next')"))).result.stdout).toBe("next\n");
    expect(hosts()).toHaveLength(2);
    expect(await waitGone(hosts().slice(0, 1))).toEqual([]);
    expect(events.map(({ type }) => type)).toContain("host_exited");
  });

  it("[SB31] killed while idle are replaced without anyone noticing", async () => {
    const { sandbox, innermost, hosts } = sandboxWith(options);
    await finish(sandbox, javascript("1"));
    process.kill(innermost(), "SIGKILL");
    expect((await finish(sandbox, javascript("console.log('next')"))).result.stdout).toBe("next\n");
    expect(hosts()).toHaveLength(2);
  });

  it("[SB32] that hang are killed after the wall limit, and after a cancel that is not answered", async () => {
    const { sandbox, innermost } = sandboxWith(options);
    const stopped = async (
      limits: { wallMs: number },
      signal?: AbortSignal,
      onOutput = () => undefined as void,
    ) => {
      for await (const event of sandbox.run({
        ...LOOP,
        limits: { cpuMs: 10_000, ...limits },
        ...(signal ? { signal } : {}),
      })) {
        if (event.type === "stdout") {
          process.kill(innermost(), "SIGSTOP");
          onOutput();
        }
        if (event.type === "result") return event.result;
      }
      throw new Error("no result");
    };
    expect(await stopped({ wallMs: 1000 })).toMatchObject({
      status: "wall_time_limit",
      signal: "SIGKILL",
      exitCode: null,
      cpuMs: null,
      peakMemoryBytes: null,
      stdout: "on\n",
    });
    const cancel = new AbortController();
    expect(await stopped({ wallMs: 20_000 }, cancel.signal, () => cancel.abort())).toMatchObject({
      status: "cancelled",
      signal: "SIGKILL",
      stdout: "on\n",
    });
  });

  it("[SB33] go when their parent is killed", async () => {
    const dir = await builtCopy();
    try {
      const main = `import { createSandbox } from "./jobs/sandbox/wasm-sandbox.js";
        const sandbox = createSandbox({ slots: 1, ...${JSON.stringify(options)}, onEvent: (e) => e.pid && console.log(e.pid) });
        const run = sandbox.run({ language: "js", entry: "a.js", files: { "a.js": "console.log(1); for (;;) {}" }, limits: { cpuMs: 10000, wallMs: 30000 } });
        for await (const event of run) if (event.type === "stdout") console.log("running");`;
      await writeFile(join(dir, "main.js"), main);
      const parent = spawn(process.execPath, [join(dir, "main.js")], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let said = "";
      for await (const chunk of parent.stdout) {
        said += String(chunk);
        if (said.includes("running")) break;
      }
      const host = Number.parseInt(said, 10);
      const all = [host, ...processesUnder(host)];
      expect(all.filter(isRunning)).toEqual(all);
      parent.kill("SIGKILL");
      expect(await waitGone(all)).toEqual([]);
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it("[SB34] have no environment, and run under another user when this process is root", async () => {
    const { sandbox, innermost, events } = sandboxWith(options);
    const { result } = await finish(sandbox, javascript("1"));
    const chosen = events.find((event) => event.type === "launcher_chosen");
    expect(result.engine.isolation).toBe(chosen?.name.startsWith("bubblewrap") ? "wasm+os" : "wasm");
    if (operatingSystemFence === false) expect(result.engine.isolation).toBe("wasm");
    if (process.platform !== "linux") return;
    const pid = innermost();
    const environment = (await readFile(`/proc/${pid}/environ`, "utf8")).split("\0").filter(Boolean);
    expect(environment.filter((entry) => !entry.startsWith("PWD="))).toEqual([]);
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    if (chosen?.name.endsWith("user")) expect(status).toMatch(/^Uid:\t61000\t61000/m);
    if (result.engine.isolation === "wasm+os") {
      expect(status).toMatch(/^CapEff:\t0+$/m);
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      if (["x64", "arm64"].includes(process.arch)) expect(status).toMatch(/^Seccomp:\t2$/m);
    }
  });
});

/** A launcher that runs a script of our own in place of the host. */
function impostor(script: string): Launcher {
  return {
    name: "plain",
    fenced: false,
    launch: () => spawn(process.execPath, ["--input-type=module", "-e", script], { detached: true }),
  };
}

const READY = { type: "ready", engines: [{ language: "javascript", id: "x", version: "1" }], failures: {} };
const RESULT = {
  type: "result",
  id: 1,
  status: "ok",
  exitCode: 0,
  durationMs: 1,
  cpuMs: 1,
  peakMemoryBytes: 1,
  truncated: false,
  residentBytes: 1,
};
const phase = (name: string, id = 1) => ({ type: "phase", id, phase: name });
const message = (...messages: unknown[]) => Buffer.concat(messages.map((body) => encodeMessage(body)));
const bytes = (kind: number, body: string) => encodeFrame(kind, Buffer.from(body));

describe("a host that was taken over", () => {
  const program = checkProgram(javascript("1", { limits: { outputBytes: 100 } }));
  const sink = { phase: () => undefined, output: () => undefined };
  const saying = (onRun: Uint8Array) =>
    impostor(`process.stdout.write(Buffer.from("${Buffer.from(message(READY)).toString("base64")}", "base64"));
      process.stdin.once("data", () => process.stdout.write(Buffer.from("${Buffer.from(onRun).toString("base64")}", "base64")));
      process.stdin.on("end", () => process.exit());`);

  it.each<[string, Uint8Array]>([
    ["bytes that are no frame", Buffer.from("HTTP/1.1 200 OK\r\n\r\n")],
    ["a frame larger than any", Buffer.from([255, 255, 255, 255, 1])],
    ["a frame of an unknown kind", bytes(9, "x")],
    ["a message that is not JSON", bytes(1, "{")],
    ["a message of Node's own channel", message({ cmd: "NODE_HANDLE", type: "nope" })],
    ["deep JSON", bytes(1, "[".repeat(50_000))],
    ["a message with another field", message({ ...phase("compile"), extra: 1 })],
    ["a second ready", message(READY)],
    ["a phase of another run", message(phase("compile", 2))],
    ["a phase twice", message(phase("compile"), phase("compile"))],
    ["output of no bytes", Buffer.concat([message(phase("compile")), bytes(2, "")])],
    ["output before the program began", bytes(2, "x")],
    [
      "more output than the limit",
      Buffer.concat([message(phase("compile")), bytes(2, "x".repeat(60)), bytes(3, "y".repeat(60))]),
    ],
    ["a result before the program began", message(RESULT)],
    ["a status that does not exist", message(phase("compile"), { ...RESULT, status: "__proto__" })],
    ["an exit code that is no number", message(phase("compile"), { ...RESULT, exitCode: "0" })],
    ["a negative duration", message(phase("compile"), { ...RESULT, durationMs: -1 })],
    [
      "an endless error message",
      message(phase("compile"), { ...RESULT, error: { kind: "x", message: "m".repeat(10_000) } }),
    ],
    [
      "an error that is more than text",
      message(phase("compile"), { ...RESULT, error: { kind: "x", message: { toString: 1 } } }),
    ],
  ])("[SB35] is killed for %s, and only its own run fails", async (_what, said) => {
    const host = await hostOf(saying(said), 0);
    await expect(host.run(program, sink, never)).rejects.toBeInstanceOf(HostLost);
    expect(host.alive).toBe(false);
    expect(await waitGone([host.pid])).toEqual([]);
  });

  it("[SB35] cannot put NUL, lone surrogates or foreign fields into a result", async () => {
    const error = { kind: "a\0", message: "b\ud83d", file: "c\0", line: 1, column: 2, stack: "d\0" };
    const said = message(phase("compile"), { ...RESULT, status: "runtime_error", exitCode: 1, error });
    const host = await hostOf(saying(said), 0);
    const outcome = await host.run(program, sink, never);
    expect(outcome.error).toEqual({
      kind: "a\uFFFD",
      message: "b\uFFFD",
      file: "c\uFFFD",
      line: 1,
      column: 2,
      stack: "d\uFFFD",
    });
    await host.close();
  });

  it.each([
    ["ends at once", "process.exit(3)"],
    ["talks nonsense", "process.stdout.write('nonsense\\n'); setInterval(() => {}, 1000)"],
    [
      "claims engines without end",
      `process.stdout.write(Buffer.from("${Buffer.from(message({ ...READY, engines: Array.from({ length: 1000 }, () => READY.engines[0]) })).toString("base64")}", "base64")); setInterval(() => {}, 1000)`,
    ],
  ])("[SB35] does not become a host when it %s", async (_what, script) => {
    await expect(startEngineHost(impostor(script), files, 0, never)).rejects.toThrow("did not start");
  });
});

const ENGINES = {
  javascript: "quickjs-ng",
  typescript: "quickjs-ng",
  python: "cpython-wasm",
  lua: "lua-wasm",
  sql: "sqlite-wasm",
};

describe("the choice of a launcher", () => {
  it("[SB36] takes none that leaves an environment, and none fenced that reads, connects or starts processes", async () => {
    const leaky = (name: Launcher["name"], fenced: boolean, env: NodeJS.ProcessEnv): Launcher => ({
      name,
      fenced,
      launch: (_slot, script, argument) =>
        spawn(process.execPath, [join(files.hostDir, script), argument], { env }),
    });
    const forbidden: Launcher = {
      name: "bubblewrap-user",
      fenced: true,
      launch: () => {
        throw new Error("spawn EPERM");
      },
    };
    const missing: Launcher = { name: "user", fenced: true, launch: () => spawn("/nonexistent/bwrap") };
    const candidates = [
      forbidden,
      leaky("bubblewrap", true, {}),
      missing,
      leaky("plain", false, { A: "1" }),
      leaky("plain", false, {}),
    ];
    const { launcher, refused } = await chooseLauncher(candidates);
    expect(launcher).toBe(candidates[4]);
    expect(refused).toEqual([
      { name: "bubblewrap-user", reason: "it did not start (spawn EPERM)" },
      { name: "bubblewrap", reason: "it reads files of this machine" },
      { name: "user", reason: expect.stringContaining("ENOENT") },
      { name: "plain", reason: "it has an environment" },
    ]);
    await expect(chooseLauncher([missing])).rejects.toThrow("No engine host can be started");
  });

  it("[SB36] ends with one that works on this machine, fenced where the system can", async () => {
    const { launcher, refused } = await chooseLauncher(launchers(files));
    const host = await hostOf(launcher, 3);
    expect(host.languages).toEqual(
      Object.entries(ENGINES).map(([language, id]) => ({ language, id, version: expect.any(String) })),
    );
    expect(refused.every(({ reason }) => reason !== "")).toBe(true);
    await host.close();
    expect(await waitGone([host.pid])).toEqual([]);
  });
});

describe("Python", () => {
  const hostWith = async (packages: typeof files.packages, packageDirs: readonly string[]) => {
    const changed = { ...files, packages, packageDirs };
    const launcher = launchers(changed).find(({ name }) => name === "plain");
    if (launcher === undefined) throw new Error("every system has the plain launcher");
    const host = await startEngineHost(launcher, changed, 0, never);
    open.push(host);
    return { languages: host.languages.map(({ language }) => language), failures: host.failures };
  };

  it("[SB65] is not there, with a reason, without its package or with another build of it", async () => {
    const without = Object.fromEntries(
      Object.entries(files.packages).filter(([name]) => !name.startsWith("just-bash/")),
    );
    expect(await hostWith(without, files.packageDirs)).toEqual({
      languages: expect.not.arrayContaining(["python"]),
      failures: { python: "the package just-bash is not installed" },
    });
    const dir = await mkdtemp(join(tmpdir(), "sandbox-python-"));
    try {
      await chmod(dir, 0o755);
      const name = "just-bash/vendor/cpython-emscripten/python.cjs";
      await writeFile(join(dir, "python.cjs"), "module.exports = 1;");
      const other = { ...files.packages, [name]: join(dir, "python.cjs") };
      expect(await hostWith(other, [...files.packageDirs, dir])).toEqual({
        languages: expect.arrayContaining(["javascript"]),
        failures: {
          python: "the package just-bash is another build than the one that is known",
        },
      });
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});

describe("a pool whose hosts do not start", () => {
  it("[SB37] tries a few times with growing pauses, then refuses at once", async () => {
    let attempts = 0;
    const events: string[] = [];
    const pool = createHostPool({
      slots: 2,
      queue: 10,
      runsPerHost: 10,
      mostResidentBytes: Infinity,
      start: async () => {
        attempts++;
        throw new Error("no luck");
      },
      onEvent: ({ type }) => events.push(type),
    });
    await expect(pool.withHost(never, async () => 1)).rejects.toMatchObject({ code: "overloaded" });
    expect(attempts).toBe(5);
    expect(pool.status()).toMatchObject({ broken: true, waiting: 0, idle: 0, busy: 0 });
    expect(events).toEqual([...Array.from({ length: 5 }, () => "host_failed"), "pool_broken"]);
    await expect(pool.withHost(never, async () => 1)).rejects.toMatchObject({ code: "overloaded" });
    expect(attempts).toBe(5);
    await pool.close();
  });
});

/** The sandbox as `npm run build` leaves it: JavaScript, with the host folder beside it as it is. */
async function builtCopy(): Promise<string> {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const dir = await mkdtemp(join(tmpdir(), "sandbox-built-"));
  const sources = [
    "errors.ts",
    ...(await readdir(join(root, "src/jobs/sandbox")))
      .filter((name) => /(?<!test)\.ts$/.test(name))
      .map((name) => join("jobs/sandbox", name)),
  ];
  await mkdir(join(dir, "jobs/sandbox"), { recursive: true });
  for (const source of sources) {
    const { code } = await transform(await readFile(join(root, "src", source), "utf8"), {
      jsc: { target: "es2022", parser: { syntax: "typescript" } },
      module: { type: "es6" },
    });
    await writeFile(join(dir, source.replace(/ts$/, "js")), code);
  }
  await cp(join(root, "src/jobs/sandbox/host"), join(dir, "jobs/sandbox/host"), { recursive: true });
  await symlink(join(root, "node_modules"), join(dir, "node_modules"));
  await writeFile(join(dir, "package.json"), '{ "type": "module" }');
  await chmod(dir, 0o755);
  return dirname(join(dir, "package.json"));
}
