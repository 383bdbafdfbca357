import type { Transport } from "../../src/realtime/peer.js";

/** A client's end of a `Transport` in memory: what was written, as JSON, in order. */
export class FakeTransport implements Transport {
  /** Messages read so far. */
  readonly messages: Record<string, unknown>[] = [];
  /** Calls of `write`, for tests of gathering. */
  writes = 0;
  closed: { code: number; reason: string } | undefined;
  /** While true nothing is taken off the queue. */
  stalled = false;
  /** Messages of this type get lost. */
  silent: string | undefined;
  #queue: Buffer[] = [];
  #drained: (() => void)[] = [];

  get queuedBytes(): number {
    return this.#queue.reduce((sum, frames) => sum + frames.length, 0);
  }

  write(frames: Buffer): boolean {
    this.writes += 1;
    this.#queue.push(frames);
    if (!this.stalled) this.read();
    return !this.stalled;
  }

  /** Takes everything that is queued. */
  read(): void {
    for (const frames of this.#queue.splice(0))
      this.messages.push(
        ...decodeTextFrames(frames).filter(({ type }) => this.silent === undefined || type !== this.silent),
      );
    const listeners = this.#drained.splice(0);
    for (const listener of listeners) listener();
  }

  pause(): void {}
  resume(): void {}

  onceDrained(listener: () => void): void {
    if (this.#queue.length === 0) setImmediate(listener);
    else this.#drained.push(listener);
  }

  close(code: number, reason: string): void {
    this.closed = { code, reason };
    this.#release();
  }

  terminate(): void {
    this.closed = { code: 1006, reason: "terminated" };
    this.#release();
  }

  #release(): void {
    this.#queue = [];
    for (const listener of this.#drained.splice(0)) listener();
  }
}

/** The JSON messages in a run of unmasked text frames. */
export function decodeTextFrames(bytes: Buffer): Record<string, unknown>[] {
  const messages: Record<string, unknown>[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] !== 0x81) throw new Error(`not a text frame: ${bytes[at]}`);
    let length = bytes[at + 1] ?? 0;
    at += 2;
    if (length === 126) {
      length = bytes.readUInt16BE(at);
      at += 2;
    } else if (length === 127) {
      length = Number(bytes.readBigUInt64BE(at));
      at += 8;
    }
    messages.push(JSON.parse(bytes.toString("utf8", at, at + length)) as Record<string, unknown>);
    at += length;
  }
  return messages;
}
