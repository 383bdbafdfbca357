import { availableParallelism } from "node:os";
import { AppError } from "../../errors.js";
import { describeLanguage, probeLanguage } from "./capabilities.js";
import type { EngineHost, HostOutcome, RunSink } from "./engine-host.js";
import { HostLost, startEngineHost } from "./engine-host.js";
import { findEngineFiles } from "./engine-packages.js";
import { createEventChannel } from "./event-channel.js";
import { LANGUAGES } from "./languages.js";
import type { Launcher } from "./launch.js";
import { launchers } from "./launch.js";
import type { RefusedLauncher } from "./launcher-choice.js";
import { chooseLauncher } from "./launcher-choice.js";
import { createNativeEngines } from "./native-engines.js";
import type { PoolEvent, PoolStatus } from "./pool.js";
import { createHostPool } from "./pool.js";
import type { Program } from "./program.js";
import { checkProgram } from "./program.js";
import { createRunRecorder } from "./run-recorder.js";
import type { LanguageCapability, RunEvent, RunRequest, RunResult, Sandbox } from "./sandbox.js";

/** What happened inside the sandbox, for a log: no user data in it. */
export type SandboxEvent =
  | PoolEvent
  | {
      readonly type: "launcher_chosen";
      readonly name: Launcher["name"];
      readonly refused: readonly RefusedLauncher[];
    }
  | { readonly type: "probe_failed"; readonly language: string; readonly reason: string };

/** Options of the sandbox. */
export interface SandboxOptions {
  /** Programs that run at the same time; the number of processors, at most 4, by default. */
  readonly slots?: number;
  /** Hosts to start at once; by default they start with the first programs. */
  readonly warm?: number;
  /** Programs that may wait; 100 by default. */
  readonly queue?: number;
  /** Programs after which a host is replaced; 200 by default. */
  readonly runsPerHost?: number;
  /** `false` leaves bubblewrap aside even where it works. */
  readonly operatingSystemFence?: boolean;
  /** Whether this machine's own compilers and interpreters may be used where it can hold their programs; not by default. */
  readonly native?: boolean;
  readonly onEvent?: (event: SandboxEvent) => void;
}

/** The sandbox of this machine: WebAssembly engines in processes that can be killed, and native ones where they may be. */
export interface WasmSandbox extends Sandbox {
  status(): PoolStatus;
}

const MOST_IDLE_RESIDENT_BYTES = 400 * 1024 * 1024;

/** Creates the sandbox; nothing is started before it is needed, unless `warm` says so. */
export function createSandbox(options: SandboxOptions = {}): WasmSandbox {
  const onEvent = options.onEvent ?? (() => undefined);
  const files = findEngineFiles();
  const engines = new Map<string, RunResult["engine"]>();
  const native = createNativeEngines(options.native ?? false);
  const closing = new AbortController();
  let choice: Promise<Launcher> | undefined;
  let probed: Promise<readonly LanguageCapability[]> | undefined;

  const pool = createHostPool({
    slots: options.slots ?? Math.min(availableParallelism(), 4),
    queue: options.queue ?? 100,
    runsPerHost: options.runsPerHost ?? 200,
    mostResidentBytes: MOST_IDLE_RESIDENT_BYTES,
    start: startHost,
    onEvent,
  });
  pool.warm(options.warm ?? 0);

  async function startHost(slot: number, signal: AbortSignal): Promise<EngineHost> {
    choice ??= findLauncher();
    const launcher = await choice.catch((error: unknown) => {
      choice = undefined;
      throw error;
    });
    signal.throwIfAborted();
    const host = await startEngineHost(launcher, files, slot, signal);
    for (const { language, id, version } of host.languages) {
      engines.set(language, { id, version, isolation: launcher.fenced ? "wasm+os" : "wasm" });
    }
    return host;
  }

  async function findLauncher(): Promise<Launcher> {
    const all = launchers(files);
    const wanted = options.operatingSystemFence === false ? all.filter(({ fenced }) => !fenced) : all;
    const { launcher, refused } = await chooseLauncher(wanted);
    onEvent({ type: "launcher_chosen", name: launcher.name, refused });
    return launcher;
  }

  async function* run(request: RunRequest): AsyncGenerator<RunEvent, void, undefined> {
    const program = checkProgram(request);
    const channel = createEventChannel<RunEvent>();
    const ending = new AbortController();
    const unlink = follow(ending, [closing.signal, request.signal]);
    const work = execute(program, ending.signal, channel.push).finally(channel.end);
    // Awaited below; a failure before that is nobody's yet.
    work.catch(() => undefined);
    try {
      yield* channel.events();
      await work;
    } finally {
      ending.abort();
      unlink();
      await work.catch(() => undefined);
    }
  }

  /** Runs a program and says everything about it, the result last. */
  async function execute(
    program: Program,
    signal: AbortSignal,
    emit: (event: RunEvent) => void,
  ): Promise<void> {
    const recorder = createRunRecorder(emit);
    emit({ type: "phase", phase: "queued" });
    const startedAt = performance.now();
    let outcome: HostOutcome;
    try {
      outcome = await runOnHost(program, recorder.sink, signal);
    } catch (error) {
      if (!signal.aborted) throw failureOf(error);
      outcome = cancelledOutcome(performance.now() - startedAt);
    }
    // The program did not ask for its end, so it may run again elsewhere.
    if (closing.signal.aborted && outcome.status === "cancelled") throw new AppError("shutting_down");
    emit({ type: "result", result: recorder.result(outcome, engineOf(program.language)) });
  }

  async function runOnHost(program: Program, sink: RunSink, signal: AbortSignal): Promise<HostOutcome> {
    // It takes a place among the others, whose host rests meanwhile.
    if (native.engineOf(program.language) !== undefined)
      return pool.withHost(signal, () => native.run(program, sink, signal));
    const attempt = () =>
      pool.withHost(signal, async (host) => {
        if (!host.languages.some(({ language }) => language === program.language)) {
          const reason = host.failures[program.language] ?? "its engine is missing";
          throw new AppError("unsupported_language", {
            detail: `${program.language} cannot run here: ${reason}.`,
          });
        }
        return host.run(program, sink, signal);
      });
    try {
      return await attempt();
    } catch (error) {
      // A host that died while it was idle did nothing yet that a second one would repeat.
      if (error instanceof HostLost && !error.started && !signal.aborted) return attempt();
      throw error;
    }
  }

  function engineOf(language: string): RunResult["engine"] {
    const own = native.obstacle(language) === undefined ? native.engineOf(language) : undefined;
    return own ?? engines.get(language) ?? { id: "none", version: "0", isolation: "wasm" };
  }

  async function probe(): Promise<readonly LanguageCapability[]> {
    const capabilities: LanguageCapability[] = [];
    for (const language of LANGUAGES) {
      const failure = await probeLanguage(language, (request) => resultOf(run(request))).then(
        () => undefined,
        (error: unknown) => error ?? new Error("unknown"),
      );
      const capability = describeLanguage(language, engineOf(language.id), failure);
      if (!capability.available && native.obstacle(language.id) === undefined) {
        onEvent({ type: "probe_failed", language: language.id, reason: capability.reason ?? "" });
      }
      capabilities.push(capability);
    }
    return capabilities;
  }

  return {
    run,
    async capabilities() {
      probed ??= probe();
      const found = await probed;
      // What failed may have failed for a reason that passes.
      if (found.some(({ id, available }) => !available && native.obstacle(id) === undefined))
        probed = undefined;
      return found;
    },
    status: () => pool.status(),
    async close() {
      closing.abort();
      await pool.close();
    },
  };
}

/** The result at the end of a run's events. */
async function resultOf(events: AsyncIterable<RunEvent>): Promise<RunResult> {
  for await (const event of events) if (event.type === "result") return event.result;
  throw new Error("The run ended without a result");
}

function failureOf(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError("internal_error", {
    detail: "The sandbox lost the program while it ran.",
    cause: error,
  });
}

function cancelledOutcome(durationMs: number): HostOutcome {
  const unknown = { exitCode: null, signal: null, cpuMs: null, peakMemoryBytes: null, truncated: false };
  return { ...unknown, status: "cancelled", durationMs };
}

/** Aborts a controller with any of the signals. Unlike `AbortSignal.any` it leaves nothing on a signal that outlives it. */
function follow(controller: AbortController, signals: readonly (AbortSignal | undefined)[]): () => void {
  const abort = () => controller.abort();
  for (const signal of signals) {
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
  }
  return () => {
    for (const signal of signals) signal?.removeEventListener("abort", abort);
  };
}
