import type { ChildProcess } from "node:child_process";
import type { EngineFiles } from "./engine-packages.js";
import {
  createFrameDecoder,
  encodeMessage,
  FRAME_MESSAGE,
  FRAME_STDERR,
  FRAME_STDOUT,
} from "./host/frames.mjs";
import type { HostReady, HostResult } from "./host-messages.js";
import { parseHostMessage } from "./host-messages.js";
import { LANGUAGES } from "./languages.js";
import type { Launcher } from "./launch.js";
import { killTree, processesUnder, residentBytesOf } from "./process-tree.js";
import type { Program } from "./program.js";

/** How a run on a host ended; from the host, or from the hand that killed it. */
export type HostOutcome = Pick<HostResult, "status" | "exitCode" | "error" | "truncated"> & {
  readonly signal: string | null;
  readonly durationMs: number;
  readonly cpuMs: number | null;
  readonly peakMemoryBytes: number | null;
};

/** What a run says while it goes on. */
export interface RunSink {
  phase(phase: "compile" | "run"): void;
  output(descriptor: 1 | 2, bytes: Uint8Array): void;
}

/** The process went away under a run, or said what no healthy one says. */
export class HostLost extends Error {
  /** Whether the program may have begun. */
  readonly started: boolean;
  constructor(message: string, started: boolean) {
    super(message);
    this.name = "HostLost";
    this.started = started;
  }
}

/** A process that runs one program at a time. */
export interface EngineHost {
  readonly pid: number;
  readonly alive: boolean;
  readonly languages: HostReady["engines"];
  readonly failures: HostReady["failures"];
  readonly completedRuns: number;
  /** After its last run. */
  readonly residentBytes: number;
  /** Rejects with `HostLost` when the process does not live to the end of the run. */
  run(program: Program, sink: RunSink, signal: AbortSignal): Promise<HostOutcome>;
  /** Resolves with the reason when the process is gone. */
  readonly exited: Promise<string>;
  /** Ends the process at once, and resolves when it is gone. */
  close(): Promise<void>;
}

const READY_TIMEOUT_MS = 20_000;
const START_TIMEOUT_MS = 10_000;
const WALL_GRACE_MS = 1500;
const CANCEL_GRACE_MS = 1000;
const WATCH_MS = 50;
// Beyond the program's memory: code, the thread's stack, and compilers at work.
const RESIDENT_SLACK_BYTES = 256 * 1024 * 1024;
const MOST_FRAME_BYTES = 256 * 1024;

/** Starts a host and waits until it can run. */
export async function startEngineHost(
  launcher: Launcher,
  files: EngineFiles,
  slot: number,
  signal: AbortSignal,
): Promise<EngineHost> {
  const languages = Object.fromEntries(
    LANGUAGES.filter(({ native }) => native === undefined).map(({ id, limits }) => [
      id,
      limits.default.memoryBytes,
    ]),
  );
  const child = launcher.launch(
    slot,
    "engine-host.mjs",
    JSON.stringify({ languages, packages: files.packages }),
  );
  return superviseHost(child, launcher.fenced, signal);
}

interface ActiveRun {
  readonly id: number;
  readonly program: Program;
  readonly sink: RunSink;
  readonly startedAt: number;
  outputBytes: number;
  phase: "sent" | "compile" | "run";
  /** Set when the process is killed on purpose: what the run then ended with. */
  verdict?: HostOutcome["status"];
  timer: NodeJS.Timeout;
  cancelTimer?: NodeJS.Timeout;
  readonly settle: (outcome: HostOutcome | HostLost) => void;
}

function superviseHost(child: ChildProcess, fenced: boolean, signal: AbortSignal): Promise<EngineHost> {
  let active: ActiveRun | undefined;
  let nextRun = 1;
  let completedRuns = 0;
  let residentBytes = 0;
  let gone = false;
  let condemned = false;
  let lastWords = "";
  let ready: Pick<HostReady, "engines" | "failures"> = { engines: [], failures: {} };
  let announce: { resolve(host: EngineHost): void; reject(error: Error): void } | undefined;
  const readyTimer = setTimeout(() => fail("it was not ready in time"), READY_TIMEOUT_MS);
  const abandon = () => fail("it was not wanted any more");
  signal.addEventListener("abort", abandon);
  const exited = new Promise<string>((resolve) => {
    const end = (reason: string) => {
      if (gone) return;
      gone = true;
      clearTimeout(readyTimer);
      signal.removeEventListener("abort", abandon);
      announce?.reject(new Error(`The engine host did not start: ${lastWords || reason}`));
      if (active) settleGone(active, reason);
      for (const stream of child.stdio) stream?.destroy();
      resolve(reason);
    };
    child.once("error", (error) => end(error.message));
    child.once("exit", (code, signal) => end(signal ?? `exit code ${code}`));
  });

  const decode = createFrameDecoder(MOST_FRAME_BYTES, (kind, body) => {
    if (kind === FRAME_MESSAGE) onMessage(body);
    else if (kind === FRAME_STDOUT || kind === FRAME_STDERR) onOutput(kind === FRAME_STDOUT ? 1 : 2, body);
    else throw new Error("a frame of an unknown kind");
  });
  child.stdout?.on("data", (chunk: Buffer) => {
    if (gone || condemned) return;
    try {
      decode(chunk);
    } catch (error) {
      fail(error instanceof Error ? error.message : String(error));
    }
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    lastWords = (lastWords + chunk.toString("latin1").replace(/[^ -~]+/g, " ")).slice(-500);
  });
  // Writing to a process that just died is not an error of ours; its exit is on the way.
  child.stdin?.on("error", () => undefined);

  const host: EngineHost = {
    pid: child.pid ?? -1,
    get alive() {
      return !gone;
    },
    get languages() {
      return ready.engines;
    },
    get failures() {
      return ready.failures;
    },
    get completedRuns() {
      return completedRuns;
    },
    get residentBytes() {
      return residentBytes;
    },
    exited,
    run,
    async close() {
      kill();
      await exited;
    },
  };
  return new Promise((resolve, reject) => {
    announce = { resolve, reject };
    if (signal.aborted) abandon();
  });

  function onMessage(body: Uint8Array): void {
    const message = parseHostMessage(body);
    if (message?.type === "ready" && announce) {
      clearTimeout(readyTimer);
      signal.removeEventListener("abort", abandon);
      ready = message;
      announce.resolve(host);
      announce = undefined;
    } else if (message?.type === "phase" && message.id === active?.id && message.phase !== active.phase) {
      onPhase(active, message.phase);
    } else if (message?.type === "result" && message.id === active?.id && active.phase !== "sent") {
      completedRuns++;
      residentBytes = message.residentBytes;
      active.settle({ ...message, signal: null });
    } else {
      throw new Error("a message that makes no sense");
    }
  }

  function onPhase(run: ActiveRun, phase: "compile" | "run"): void {
    if (phase === "compile") {
      clearTimeout(run.timer);
      run.timer = setTimeout(() => end(run, "wall_time_limit"), run.program.limits.wallMs + WALL_GRACE_MS);
    }
    run.phase = phase;
    run.sink.phase(phase);
  }

  function onOutput(descriptor: 1 | 2, bytes: Uint8Array): void {
    if (!active || active.phase === "sent" || bytes.length === 0) throw new Error("output of no run");
    active.outputBytes += bytes.length;
    if (active.outputBytes > active.program.limits.outputBytes) throw new Error("more output than the limit");
    active.sink.output(descriptor, bytes);
  }

  function run(program: Program, sink: RunSink, signal: AbortSignal): Promise<HostOutcome> {
    if (gone || active) return Promise.reject(new HostLost("The engine host is not free", false));
    const memory = watchMemory(program);
    return new Promise<HostOutcome>((resolve, reject) => {
      const current: ActiveRun = {
        id: nextRun++,
        program,
        sink,
        startedAt: performance.now(),
        outputBytes: 0,
        phase: "sent",
        timer: setTimeout(() => fail("it did not start the program in time"), START_TIMEOUT_MS),
        settle(outcome) {
          clearTimeout(current.timer);
          clearTimeout(current.cancelTimer);
          clearInterval(memory);
          signal.removeEventListener("abort", cancel);
          active = undefined;
          if (outcome instanceof HostLost) reject(outcome);
          else resolve(outcome);
        },
      };
      const cancel = () => {
        child.stdin?.write(encodeMessage({ type: "cancel", id: current.id }));
        current.cancelTimer = setTimeout(() => end(current, "cancelled"), CANCEL_GRACE_MS);
      };
      active = current;
      child.stdin?.write(encodeMessage({ type: "run", id: current.id, program }));
      signal.addEventListener("abort", cancel);
      if (signal.aborted) cancel();
    });
  }

  /** The last defence against a program that grows outside its own memory. */
  function watchMemory(program: Program): NodeJS.Timeout {
    const pid = processesUnder(host.pid).at(-1) ?? host.pid;
    const most = (residentBytesOf(pid) ?? 0) + program.limits.memoryBytes + RESIDENT_SLACK_BYTES;
    return setInterval(() => {
      if (active && (residentBytesOf(pid) ?? 0) > most) end(active, "memory_limit");
    }, WATCH_MS);
  }

  /** The last step of the kill ladder. */
  function end(run: ActiveRun, verdict: HostOutcome["status"]): void {
    run.verdict ??= verdict;
    kill();
  }

  function settleGone({ verdict, startedAt, phase, settle }: ActiveRun, reason: string): void {
    if (verdict === undefined)
      return settle(new HostLost(`The engine host ended: ${reason}`, phase !== "sent"));
    const durationMs = performance.now() - startedAt;
    const unknown = { exitCode: null, cpuMs: null, peakMemoryBytes: null, truncated: false };
    settle({ ...unknown, status: verdict, signal: "SIGKILL", durationMs });
  }

  /** Something no healthy host does. */
  function fail(reason: string): void {
    condemned = true;
    lastWords = reason;
    kill();
  }

  function kill(): void {
    if (!gone) killTree(child, fenced, exited);
  }
}
