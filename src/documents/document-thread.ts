import { Worker } from "node:worker_threads";

/** One state, and the text in it, of a document. */
export interface Merged {
  readonly state: Uint8Array;
  /** UTF-8; undefined when it is longer than versions may be. */
  readonly text: Uint8Array | undefined;
}

/** One line of a comparison; `from` and `to` are its numbers in the two texts, counted from 1. */
export interface DiffLine {
  readonly kind: "same" | "removed" | "added";
  readonly from?: number;
  readonly to?: number;
  /** With its line break. */
  readonly text: string;
}

/** What differs between two texts. */
export interface TextDiff {
  readonly hunks: readonly { readonly lines: readonly DiffLine[] }[];
  /** Lines that came and went in all, also those that are not shown. */
  readonly added: number;
  readonly removed: number;
  /** True when there are more lines than are shown. */
  readonly truncated: boolean;
  /** True when the texts differ too much to be compared line by line: what differs is shown as replaced. */
  readonly coarse: boolean;
}

/** Does what takes long for a large document in a thread of its own, one thing at a time. */
export interface DocumentThread {
  /** Merges updates, a snapshot among them; `maxTextBytes` bounds the text that is handed back. @throws when they cannot be. */
  merge(updates: readonly Uint8Array[], maxTextBytes: number): Promise<Merged>;
  /** Compares two texts by lines; at most `maxLines` are shown. */
  diff(before: string, after: string, maxLines: number): Promise<TextDiff>;
  close(): Promise<void>;
}

interface Work {
  readonly operation: "merge" | "diff";
  readonly input: unknown;
  readonly transfer: readonly ArrayBuffer[];
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface Reply {
  readonly id: number;
  readonly output?: unknown;
  readonly error?: string;
}

/** Longest for one document; what takes longer is given up and its thread with it. */
const LIMIT_MS = 60_000;
/** A thread without work costs memory. */
const IDLE_MS = 10_000;
const HEAP_MB = 1_024;

/** The thread, started when there is work and ended a while after. */
export function createDocumentThread(
  options: { readonly limitMs?: number; readonly idleMs?: number } = {},
): DocumentThread {
  const { limitMs = LIMIT_MS, idleMs = IDLE_MS } = options;
  const waiting: Work[] = [];
  let worker: Worker | undefined;
  let current: { readonly id: number; readonly work: Work; readonly timer: NodeJS.Timeout } | undefined;
  let idle: NodeJS.Timeout | undefined;
  let lastId = 0;
  let closed = false;

  function start(): Worker {
    const started = new Worker(new URL("./document-work.mjs", import.meta.url), {
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    });
    // What is worth waiting for is awaited by somebody; the thread alone keeps no process alive.
    started.unref();
    started.on("message", (reply: Reply) => {
      if (current?.id !== reply.id || worker !== started) return;
      if (reply.error === undefined) settle((work) => work.resolve(reply.output));
      else settle((work) => work.reject(new Error(reply.error)));
    });
    started.on("error", (error) => lost(started, error));
    started.on("exit", () => lost(started, new Error("the thread ended")));
    return started;
  }

  function lost(which: Worker, error: unknown): void {
    if (worker !== which) return;
    worker = undefined;
    settle((work) => work.reject(error instanceof Error ? error : new Error(String(error))));
  }

  function settle(how: (work: Work) => void): void {
    if (current) {
      clearTimeout(current.timer);
      const { work } = current;
      current = undefined;
      how(work);
    }
    next();
  }

  function next(): void {
    clearTimeout(idle);
    if (current || closed) return;
    const work = waiting.shift();
    if (!work) {
      idle = setTimeout(end, idleMs);
      idle.unref();
      return;
    }
    worker ??= start();
    lastId += 1;
    const timer = setTimeout(() => {
      const slow = worker;
      end();
      if (slow) settle((late) => late.reject(new Error("the thread took too long")));
    }, limitMs);
    current = { id: lastId, work, timer };
    worker.postMessage({ id: lastId, operation: work.operation, input: work.input }, work.transfer);
  }

  function end(): void {
    const ended = worker;
    worker = undefined;
    void ended?.terminate();
  }

  function run<T>(
    operation: Work["operation"],
    input: unknown,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<T> {
    if (closed) return Promise.reject(new Error("the thread is closed"));
    return new Promise<T>((resolve, reject) => {
      waiting.push({ operation, input, transfer, reject, resolve: (output) => resolve(output as T) });
      next();
    });
  }

  return {
    merge(updates, maxTextBytes) {
      const lengths = updates.map(({ byteLength }) => byteLength);
      const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
      let at = 0;
      for (const update of updates) {
        bytes.set(update, at);
        at += update.byteLength;
      }
      return run<Merged>("merge", { bytes: bytes.buffer, lengths, maxTextBytes }, [bytes.buffer]);
    },
    diff: (before, after, maxLines) => run<TextDiff>("diff", { before, after, maxLines }),
    async close() {
      closed = true;
      clearTimeout(idle);
      const ended = worker;
      worker = undefined;
      settle((work) => work.reject(new Error("the thread is closed")));
      for (const work of waiting.splice(0)) work.reject(new Error("the thread is closed"));
      await ended?.terminate();
    },
  };
}
