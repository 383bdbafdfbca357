// The contract of a language: one file in engines/ exports an `EngineModule`. Types only.

/** What to run, as the pool checked it. */
export interface Program {
  readonly language: string;
  readonly entry: string;
  /** Relative path → source. A Map, so that `__proto__` is a name like any other. */
  readonly files: ReadonlyMap<string, string>;
  readonly stdin: string;
  readonly args: readonly string[];
  readonly limits: {
    readonly cpuMs: number;
    readonly wallMs: number;
    readonly memoryBytes: number;
    readonly outputBytes: number;
    /** Of languages with files of their own. */
    readonly diskBytes: number;
  };
}

/** An uncaught error or a refused program. */
export interface ProgramError {
  readonly kind: string;
  readonly message: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly stack?: string;
}

/** How a program ended. */
export interface Outcome {
  readonly status:
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
  readonly exitCode: number | null;
  readonly error?: ProgramError;
  /** The language itself has printed the error. */
  readonly told?: true;
}

/** What an engine may do for a program, inside the worker thread. */
export interface RunControl {
  /** Appends to the output; false (and stopped with `output_limit`) when it is full. */
  write(descriptor: 1 | 2, text: string): boolean;
  /** The source is accepted and user code begins. */
  begin(): void;
  /** Ends the program with this outcome; the first call wins. */
  stop(outcome: Outcome): void;
  readonly stopped: Outcome | undefined;
  /** To be asked often while user code runs; true means: return now. */
  interrupted(): boolean;
  /** Sleeps without using the processor. */
  sleep(ms: number): void;
  /** Tells how much memory the program holds, for the peak. */
  memory(bytes: number): void;
}

/** Files of installed packages, found by the pool because the host may not look around on the disk. */
export type Packages = Readonly<Record<string, string>>;

/** A language that is ready, in the host's main thread, which runs no user code. */
export interface Language {
  /** The engine that runs it. */
  readonly id: string;
  readonly version: string;
  /** Whether its instances wait inside their interpreter, and can then become no other's. */
  readonly stays?: true;
  /** What a worker needs for a run with this much memory; must survive a structured clone. */
  assets(memoryBytes: number): unknown;
}

/** A program and what to do for it. */
export interface Assignment {
  readonly program: Program;
  readonly control: RunControl;
}

/** A fresh engine inside a worker thread, for one program. */
export interface Instance {
  run(program: Program, control: RunControl): Promise<Outcome>;
  /**
   * Instead of `run`, for an engine that cannot be left and entered again: calls `wait` once it is ready, until that gives
   * a program, and returns when the program has ended. `wait` blocks for `patienceMs`, for ever without it.
   */
  attend?(wait: (patienceMs?: number) => Assignment | undefined): Outcome;
}

/** What a file in engines/ exports. */
export interface EngineModule {
  /** Throws when the language cannot run here; the reason is shown in `GET /languages`. */
  load(language: string, packages: Packages): Promise<Language>;
  /** In a worker thread, before a program of this language and with this memory comes. */
  prepare(assets: unknown, memoryBytes: number, packages: Packages): Promise<Instance>;
}
