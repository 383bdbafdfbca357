import type { HostOutcome, RunSink } from "./engine-host.js";
import { storable } from "./host-messages.js";
import type { RunEvent, RunResult } from "./sandbox.js";

/** Turns what a host sends into events, and keeps what the result needs. */
export interface RunRecorder {
  readonly sink: RunSink;
  result(outcome: HostOutcome, engine: RunResult["engine"]): RunResult;
}

/** Creates the recorder of one run. */
export function createRunRecorder(emit: (event: RunEvent) => void): RunRecorder {
  const startedAt = performance.now();
  const streams = { stdout: createTextStream(), stderr: createTextStream() };
  let seq = 0;

  function emitText(type: "stdout" | "stderr", data: string): void {
    if (data !== "") emit({ type, seq: seq++, atMs: Math.round(performance.now() - startedAt), data });
  }

  return {
    sink: {
      phase: (phase) => emit({ type: "phase", phase }),
      output(descriptor, bytes) {
        const type = descriptor === 1 ? "stdout" : "stderr";
        emitText(type, streams[type].decode(bytes));
      },
    },
    result(outcome, engine) {
      emitText("stdout", streams.stdout.flush());
      emitText("stderr", streams.stderr.flush());
      const { status, exitCode, signal, error } = outcome;
      return {
        status,
        exitCode,
        signal,
        durationMs: Math.round(outcome.durationMs),
        cpuMs: outcome.cpuMs === null ? null : Math.round(outcome.cpuMs),
        peakMemoryBytes: outcome.peakMemoryBytes === null ? null : Math.round(outcome.peakMemoryBytes),
        stdout: streams.stdout.text(),
        stderr: streams.stderr.text(),
        truncated: outcome.truncated,
        ...(error === undefined ? {} : { error }),
        engine,
      };
    },
  };
}

/** Bytes that may end inside a character, as text that every store takes. */
function createTextStream() {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const parts: string[] = [];
  const keep = (text: string) => {
    const safe = storable(text);
    parts.push(safe);
    return safe;
  };
  return {
    decode: (bytes: Uint8Array) => keep(decoder.decode(bytes, { stream: true })),
    flush: () => keep(decoder.decode()),
    text: () => parts.join(""),
  };
}
