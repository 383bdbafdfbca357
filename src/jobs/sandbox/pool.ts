import { AppError } from "../../errors.js";
import type { EngineHost } from "./engine-host.js";

/** What happened to a host of the pool, for a log. */
export type PoolEvent =
  | { readonly type: "host_ready"; readonly slot: number; readonly pid: number }
  | { readonly type: "host_exited"; readonly slot: number; readonly pid: number; readonly reason: string }
  | { readonly type: "host_failed"; readonly slot: number; readonly reason: string }
  | { readonly type: "pool_broken"; readonly reason: string };

/** What a pool is made of. */
export interface HostPoolOptions {
  readonly slots: number;
  /** Runs that may wait for a slot. */
  readonly queue: number;
  /** Runs after which a host is replaced. */
  readonly runsPerHost: number;
  /** Resident memory of an idle host over which it is replaced. */
  readonly mostResidentBytes: number;
  /** Rejects when no host came to be; leaves no process behind then, nor when the signal aborts. */
  start(slot: number, signal: AbortSignal): Promise<EngineHost>;
  onEvent(event: PoolEvent): void;
}

/** How the slots stand. */
export interface PoolStatus {
  readonly slots: number;
  readonly idle: number;
  readonly busy: number;
  readonly waiting: number;
  readonly broken: boolean;
}

/** Hosts that are started when needed, lent to one run at a time, and replaced when used up. */
export interface HostPool {
  /** Throws `overloaded` when the queue is full or hosts do not start, `shutting_down`, or the reason of the signal. */
  withHost<T>(signal: AbortSignal, use: (host: EngineHost) => Promise<T>): Promise<T>;
  /** Starts hosts until this many are there. */
  warm(slots: number): void;
  status(): PoolStatus;
  /** Ends all hosts at once; resolves when their processes are gone. */
  close(): Promise<void>;
}

type Slot =
  | { state: "empty" }
  | { state: "starting"; done: Promise<void> }
  | { state: "idle" | "busy"; host: EngineHost };

interface Waiter {
  grant(slot: number, host: EngineHost): void;
  refuse(error: unknown): void;
}

const FIRST_BACKOFF_MS = 100;
const MOST_BACKOFF_MS = 5000;
const FAILURES_TO_BREAK = 5;
const BROKEN_MS = 30_000;

/** A pool of engine hosts. */
export function createHostPool(options: HostPoolOptions): HostPool {
  const slots: Slot[] = Array.from({ length: options.slots }, () => ({ state: "empty" }));
  const waiters: Waiter[] = [];
  const leaving = new Set<Promise<unknown>>();
  let failures = 0;
  let brokenUntil = 0;
  let retryTimer: NodeJS.Timeout | undefined;
  const closing = new AbortController();
  const closed = closing.signal;

  async function withHost<T>(signal: AbortSignal, use: (host: EngineHost) => Promise<T>): Promise<T> {
    const [slot, host] = await acquire(signal);
    try {
      return await use(host);
    } finally {
      release(slot, host);
    }
  }

  function acquire(signal: AbortSignal): Promise<[slot: number, host: EngineHost]> {
    if (closed.aborted) throw new AppError("shutting_down");
    signal.throwIfAborted();
    if (isBroken()) throw unavailable();
    if (waiters.length >= options.queue) throw overloaded("Too many programs are waiting for the sandbox.");
    return new Promise((resolve, reject) => {
      const leave = () => signal.removeEventListener("abort", abort);
      const waiter: Waiter = {
        grant(slot, host) {
          leave();
          resolve([slot, host]);
        },
        refuse(error) {
          leave();
          reject(error);
        },
      };
      const abort = () => {
        waiters.splice(waiters.indexOf(waiter), 1);
        waiter.refuse(signal.reason);
      };
      signal.addEventListener("abort", abort);
      waiters.push(waiter);
      serve();
    });
  }

  /** Gives idle hosts to those who wait, and starts hosts for the rest. */
  function serve(): void {
    slots.forEach((slot, index) => {
      if (slot.state !== "idle") return;
      const waiter = waiters.shift();
      if (waiter === undefined) return;
      slots[index] = { state: "busy", host: slot.host };
      waiter.grant(index, slot.host);
    });
    const starting = slots.filter(({ state }) => state === "starting").length;
    startHosts(waiters.length - starting);
  }

  function startHosts(wanted: number): void {
    if (closed.aborted || retryTimer !== undefined || isBroken()) return;
    let missing = wanted;
    slots.forEach((slot, index) => {
      if (slot.state !== "empty" || missing-- <= 0) return;
      slots[index] = { state: "starting", done: start(index) };
    });
  }

  async function start(slot: number): Promise<void> {
    try {
      const host = await options.start(slot, closed);
      failures = 0;
      options.onEvent({ type: "host_ready", slot, pid: host.pid });
      slots[slot] = { state: "idle", host };
      void host.exited.then((reason) => onExit(slot, host, reason));
      if (closed.aborted) await retire(slot, host);
      else serve();
    } catch (error) {
      slots[slot] = { state: "empty" };
      onStartFailure(slot, error instanceof Error ? error.message : String(error));
    }
  }

  function onStartFailure(slot: number, reason: string): void {
    failures++;
    options.onEvent({ type: "host_failed", slot, reason });
    if (closed.aborted || isBroken() || retryTimer !== undefined) return;
    if (failures >= FAILURES_TO_BREAK) {
      brokenUntil = performance.now() + BROKEN_MS;
      failures = 0;
      options.onEvent({ type: "pool_broken", reason });
      for (const waiter of waiters.splice(0)) waiter.refuse(unavailable());
      return;
    }
    retryTimer = setTimeout(
      () => {
        retryTimer = undefined;
        serve();
      },
      Math.min(FIRST_BACKOFF_MS * 2 ** (failures - 1), MOST_BACKOFF_MS),
    );
  }

  function onExit(slot: number, host: EngineHost, reason: string): void {
    options.onEvent({ type: "host_exited", slot, pid: host.pid, reason });
    const current = slots[slot];
    if (current?.state === "idle" && current.host === host) slots[slot] = { state: "empty" };
  }

  function release(slot: number, host: EngineHost): void {
    slots[slot] = { state: "idle", host };
    const used = host.completedRuns >= options.runsPerHost || host.residentBytes > options.mostResidentBytes;
    if (closed.aborted || used || !host.alive) {
      void retire(slot, host);
      // A slot that was warm stays warm.
      if (!closed.aborted) startHosts(1);
    }
    serve();
  }

  function retire(slot: number, host: EngineHost): Promise<void> {
    slots[slot] = { state: "empty" };
    const done = host.close();
    leaving.add(done);
    return done.finally(() => leaving.delete(done));
  }

  function isBroken(): boolean {
    return performance.now() < brokenUntil;
  }

  return {
    withHost,
    warm(wanted) {
      startHosts(wanted - slots.filter(({ state }) => state !== "empty").length);
    },
    status() {
      const count = (state: Slot["state"]) => slots.filter((slot) => slot.state === state).length;
      return {
        slots: slots.length,
        idle: count("idle"),
        busy: count("busy"),
        waiting: waiters.length,
        broken: isBroken(),
      };
    },
    async close() {
      closing.abort();
      clearTimeout(retryTimer);
      for (const waiter of waiters.splice(0)) waiter.refuse(new AppError("shutting_down"));
      slots.forEach((slot, index) => {
        if (slot.state === "starting") leaving.add(slot.done);
        else if (slot.state !== "empty") void retire(index, slot.host);
      });
      await Promise.all(leaving);
    },
  };
}

function overloaded(detail: string): AppError {
  return new AppError("overloaded", { detail, headers: { "Retry-After": "5" } });
}

function unavailable(): AppError {
  return overloaded("The sandbox cannot start its processes right now.");
}
