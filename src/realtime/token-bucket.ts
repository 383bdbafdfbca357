/** Tokens that refill at `perSecond` up to `burst`; a rate of 0 never runs out. */
export class TokenBucket {
  #tokens: number;
  #at: number;

  constructor(
    private readonly perSecond: number,
    private readonly burst: number,
    now: number,
  ) {
    this.#tokens = burst;
    this.#at = now;
  }

  /** Takes `count` tokens at `now` (ms, monotonic); false, taking nothing, when there are too few. */
  take(count: number, now: number): boolean {
    if (this.perSecond === 0) return true;
    this.#tokens = Math.min(this.burst, this.#tokens + ((now - this.#at) / 1_000) * this.perSecond);
    this.#at = now;
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }
}
