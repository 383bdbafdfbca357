/** How a program ended. All of these complete the job; a failing program is a result, not a failed job. */
export type RunStatus =
  | "ok"
  | "nonzero_exit"
  | "runtime_error"
  | "compile_error"
  | "cpu_time_limit"
  | "wall_time_limit"
  | "memory_limit"
  | "output_limit"
  | "disk_limit"
  | "unsettled_await"
  | "cancelled";

/** Bounds of one run. */
export interface RunLimits {
  readonly cpuMs: number;
  readonly wallMs: number;
  readonly memoryBytes: number;
  /** Standard output and error together. */
  readonly outputBytes: number;
  /** What a program may write to files, in languages that have them. */
  readonly diskBytes: number;
}

/** A program to run. */
export interface RunRequest {
  /** A language id or alias of `capabilities()`. */
  readonly language: string;
  /** Relative path → source text. */
  readonly files: Readonly<Record<string, string>>;
  /** The file of `files` to start with. */
  readonly entry: string;
  readonly stdin?: string;
  readonly args?: readonly string[];
  readonly limits?: Partial<RunLimits>;
  /** Ends the run with status `cancelled`. */
  readonly signal?: AbortSignal;
}

/** What a run ended with. */
export interface RunResult {
  readonly status: RunStatus;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly durationMs: number;
  readonly cpuMs: number | null;
  readonly peakMemoryBytes: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
  readonly error?: {
    readonly kind: string;
    readonly message: string;
    readonly file?: string;
    readonly line?: number;
    readonly column?: number;
    readonly stack?: string;
  };
  readonly engine: {
    readonly id: string;
    readonly version: string;
    readonly isolation: "wasm" | "wasm+os" | "native+os";
  };
}

/** What a run says while it goes on. */
export type RunEvent =
  | { readonly type: "phase"; readonly phase: "queued" | "compile" | "run" }
  | { readonly type: "stdout" | "stderr"; readonly seq: number; readonly atMs: number; readonly data: string }
  | { readonly type: "result"; readonly result: RunResult };

/** A language this machine can run, as probed at start. */
export interface LanguageCapability {
  readonly id: string;
  readonly aliases: readonly string[];
  /** Of the file of a program that is one file, without the dot. */
  readonly extension: string;
  readonly engine: RunResult["engine"];
  readonly available: boolean;
  /** Why it is not available. */
  readonly reason?: string;
  readonly multiFile: boolean;
  readonly stdin: boolean;
  /** Whether programs can read and write files of their own. */
  readonly files: boolean;
  readonly limits: { readonly default: RunLimits; readonly maximum: RunLimits };
}

/**
 * Runs untrusted programs. Throws `AppError("unsupported_language" | "validation_failed")` for what cannot be run at all
 * (no retry), `AppError("overloaded" | "internal_error" | "shutting_down")` for what may succeed later.
 */
export interface Sandbox {
  /** Probed once at start by a program that must work and one that must fail, never assumed. */
  capabilities(): Promise<readonly LanguageCapability[]>;
  /** Starts with the first event that is asked for; ends the program when the reader leaves. The result is the last event. */
  run(request: RunRequest): AsyncIterable<RunEvent>;
  /** Ends everything at once, also what runs; the caller drains before. No process is left when it resolves. */
  close(): Promise<void>;
}
