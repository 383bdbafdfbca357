/**
 * Timers whose waiting is done outside: the engine asks when the next one is due, sleeps, and fires it.
 * @param {() => number} now milliseconds
 * @param {(error: unknown) => void} uncaught
 */
export function createTimers(now, uncaught) {
  /** @type {Timeout[]} a binary heap by due time, then by id */
  const heap = [];
  let nextId = 1;
  let held = 0;

  class Timeout {
    /** @type {Map<number, Timeout>} */
    static live = new Map();
    id = nextId++;
    referenced = true;
    /** @param {Function} callback @param {number} due @param {number | undefined} every @param {unknown[]} args */
    constructor(callback, due, every, args) {
      this.callback = callback;
      this.due = due;
      this.every = every;
      this.args = args;
    }
    ref() {
      if (!this.referenced && Timeout.live.has(this.id)) held++;
      this.referenced = true;
      return this;
    }
    unref() {
      if (this.referenced && Timeout.live.has(this.id)) held--;
      this.referenced = false;
      return this;
    }
    hasRef() {
      return this.referenced;
    }
    [Symbol.toPrimitive]() {
      return this.id;
    }
  }

  /** @param {Timeout} a @param {Timeout} b */
  const before = (a, b) => a.due < b.due || (a.due === b.due && a.id < b.id);

  /** @param {Timeout} timer */
  function push(timer) {
    let at = heap.length;
    heap[at] = timer;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !before(timer, parent)) break;
      heap[at] = parent;
      heap[above] = timer;
      at = above;
    }
  }

  function pop() {
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || last === top) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const left = heap[child];
      const right = heap[child + 1];
      if (left === undefined) break;
      let least = left;
      if (right !== undefined && before(right, left)) {
        least = right;
        child++;
      }
      if (!before(least, last)) break;
      heap[at] = least;
      at = child;
    }
    heap[at] = last;
  }

  /** @param {unknown} callback @param {unknown} delay @param {boolean} repeats @param {unknown[]} args */
  function schedule(callback, delay, repeats, args) {
    if (typeof callback !== "function") throw new TypeError("The callback of a timer must be a function");
    const asked = Number(delay);
    const wait = asked >= 1 && asked <= 0x7fffffff ? Math.trunc(asked) : 1;
    const timer = new Timeout(callback, now() + wait, repeats ? wait : undefined, args);
    Timeout.live.set(timer.id, timer);
    held++;
    push(timer);
    return timer;
  }

  /** @param {Timeout} timer */
  function drop(timer) {
    if (Timeout.live.delete(timer.id) && timer.referenced) held--;
  }

  /** @param {unknown} handle */
  function clear(handle) {
    const timer = handle instanceof Timeout ? handle : Timeout.live.get(Number(handle));
    if (timer !== undefined) drop(timer);
  }

  function skipCleared() {
    for (let top = heap[0]; top !== undefined && !Timeout.live.has(top.id); top = heap[0]) pop();
  }

  return {
    globals: {
      setTimeout: (/** @type {unknown} */ f, /** @type {unknown} */ ms, /** @type {unknown[]} */ ...args) =>
        schedule(f, ms, false, args),
      setInterval: (/** @type {unknown} */ f, /** @type {unknown} */ ms, /** @type {unknown[]} */ ...args) =>
        schedule(f, ms, true, args),
      setImmediate: (/** @type {unknown} */ f, /** @type {unknown[]} */ ...args) =>
        schedule(f, 0, false, args),
      clearTimeout: clear,
      clearInterval: clear,
      clearImmediate: clear,
    },
    /** Milliseconds until the next timer, or -1 when nothing is left to wait for. */
    next() {
      skipCleared();
      const top = heap[0];
      return top === undefined || held === 0 ? -1 : Math.max(0, top.due - now());
    },
    /** Runs the next timer if it is due. */
    fire() {
      skipCleared();
      const timer = heap[0];
      if (timer === undefined || timer.due > now()) return;
      pop();
      if (timer.every === undefined) drop(timer);
      try {
        timer.callback(...timer.args);
      } catch (error) {
        uncaught(error);
      }
      if (timer.every !== undefined && Timeout.live.has(timer.id)) {
        timer.due = now() + timer.every;
        push(timer);
      }
    },
  };
}
