import type { Job } from "atelier-client";
import { Notice } from "../ui/feedback.js";
import { bytes, duration } from "../ui/time.js";

const ENDINGS: Readonly<Record<string, string>> = {
  nonzero_exit: "The program ended with an error code.",
  runtime_error: "The program failed while it ran.",
  compile_error: "The program could not be compiled.",
  cpu_time_limit: "The program used up its computing time.",
  wall_time_limit: "The program took too long.",
  memory_limit: "The program needed more memory than it may have.",
  output_limit: "The program wrote more than it may.",
  disk_limit: "The program wrote more files than it may.",
  unsettled_await: "The program ended while something was still being waited for.",
  cancelled: "The program was stopped.",
};

interface RunResult {
  readonly status: string;
  readonly exitCode: number | null;
  readonly durationMs: number;
  readonly cpuMs: number | null;
  readonly peakMemoryBytes: number | null;
  readonly truncated: boolean;
  readonly engine: { readonly id: string; readonly version: string };
  readonly error?: { readonly message: string; readonly line?: number | undefined } | undefined;
}

/** What came out of a job. */
export function JobResult({ job }: { readonly job: Job }) {
  if (!job.result) return null;
  if (job.type === "code_execution") return <RunSummary result={job.result} />;
  return (
    <section className="card" aria-labelledby="result">
      <div className="card-head">
        <h2 id="result">Result</h2>
      </div>
      <pre className="output" tabIndex={0} aria-label="Result">
        {JSON.stringify(job.result, undefined, 2)}
      </pre>
    </section>
  );
}

/** How a program ended, in a line. */
export function RunSummary({ result }: { readonly result: RunResult }) {
  const { status, exitCode, durationMs, cpuMs, peakMemoryBytes, truncated, engine, error } = result;
  const facts = [
    `${engine.id} ${engine.version}`,
    duration(durationMs),
    cpuMs === null ? undefined : `${duration(cpuMs)} computing`,
    peakMemoryBytes === null ? undefined : `${bytes(peakMemoryBytes)} memory`,
    exitCode === null ? undefined : `exit code ${exitCode}`,
  ].filter(Boolean);
  return (
    <Notice tone={status === "ok" ? "ok" : "warn"}>
      <p>
        <strong>{status === "ok" ? "The program ended well." : (ENDINGS[status] ?? status)}</strong>
        {error && ` ${error.message}${error.line === undefined ? "" : ` (line ${error.line})`}`}
      </p>
      <p className="small muted">{facts.join(" · ")}</p>
      {truncated && <p className="small">Its output was longer than what is kept.</p>}
    </Notice>
  );
}
