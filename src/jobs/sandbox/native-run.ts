import type { Readable } from "node:stream";
import type { HostOutcome, RunSink } from "./engine-host.js";
import type { NativeProcess } from "./native-launch.js";
import { BEGIN_DESCRIPTOR } from "./native-launch.js";
import { nativeVerdict } from "./native-verdict.js";
import { killTree, processesUnder, spentBy } from "./process-tree.js";
import type { Program } from "./program.js";

const WATCH_MS = 40;
// The system's own limit counts whole seconds; this much longer a program may go on.
const CPU_GRACE_MS = 100;
const MOST_TAIL = 8192;

/** Follows a native program to its end, and ends it at its limits. No process of it is left when it resolves. */
export async function superviseNative(
  { child, clean }: NativeProcess,
  program: Program,
  sink: RunSink,
  signal: AbortSignal,
): Promise<HostOutcome> {
  const { limits } = program;
  const startedAt = performance.now();
  let cpuMs = 0;
  let peakMemoryBytes = 0;
  let outputBytes = 0;
  let truncated = false;
  let begun = false;
  let tail = "";
  /** Why it was ended. */
  let verdict: HostOutcome["status"] | undefined;
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    // Not "close": a grandchild may hold the pipes. All die with the first process of their namespace.
    child.once("exit", (code) => resolve(code));
  });

  function stop(status: HostOutcome["status"]): void {
    verdict ??= status;
    killTree(
      child,
      true,
      ended.catch(() => undefined),
    );
  }

  function hear(descriptor: 1 | 2, chunk: Buffer): void {
    const room = limits.outputBytes - outputBytes;
    const piece = chunk.subarray(0, room);
    outputBytes += piece.length;
    if (piece.length > 0) sink.output(descriptor, piece);
    if (descriptor === 2) tail = (tail + piece.toString("latin1")).slice(-MOST_TAIL);
    if (chunk.length <= room) return;
    truncated = true;
    stop("output_limit");
  }

  const streams = [child.stdout, child.stderr].map((stream) => finished(stream));
  child.stdout?.on("data", (chunk: Buffer) => hear(1, chunk));
  child.stderr?.on("data", (chunk: Buffer) => hear(2, chunk));
  const beginning = child.stdio[BEGIN_DESCRIPTOR];
  beginning?.on("data", () => {
    if (!begun) sink.phase("run");
    begun = true;
  });
  beginning?.on("error", () => undefined);
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(program.stdin);
  sink.phase("compile");

  const watch = setInterval(() => {
    if (child.pid === undefined) return;
    const spent = spentBy([child.pid, ...processesUnder(child.pid)]);
    cpuMs = Math.max(cpuMs, spent.cpuMs);
    peakMemoryBytes = Math.max(peakMemoryBytes, spent.residentBytes);
    if (cpuMs > limits.cpuMs + CPU_GRACE_MS) stop("cpu_time_limit");
    else if (spent.residentBytes > limits.memoryBytes) stop("memory_limit");
  }, WATCH_MS);
  const wall = setTimeout(() => stop("wall_time_limit"), limits.wallMs);
  const cancel = () => stop("cancelled");
  signal.addEventListener("abort", cancel);
  if (signal.aborted) cancel();

  try {
    const code = await ended;
    clearTimeout(wall);
    await Promise.race([Promise.all(streams), new Promise((resolve) => setTimeout(resolve, 500))]);
    return {
      ...nativeVerdict({ code, verdict, begun, tail, program }),
      truncated,
      durationMs: performance.now() - startedAt,
      cpuMs: cpuMs === 0 ? null : cpuMs,
      peakMemoryBytes: peakMemoryBytes === 0 ? null : peakMemoryBytes,
    };
  } finally {
    clearInterval(watch);
    clearTimeout(wall);
    signal.removeEventListener("abort", cancel);
    for (const stream of child.stdio) stream?.destroy();
    await clean();
  }
}

function finished(stream: Readable | null): Promise<void> {
  return new Promise((resolve) => {
    if (stream === null) return resolve();
    stream.once("close", resolve);
    stream.once("end", resolve);
    stream.once("error", () => resolve());
  });
}
