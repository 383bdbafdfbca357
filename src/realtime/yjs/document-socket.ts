import type { Batch } from "../../documents/fan-out.js";
import { binaryFrame, PING_FRAME } from "../frame.js";
import type { Transport } from "../peer.js";
import { CLOSE, type CloseName } from "../protocol.js";
import type { TokenBucket } from "../token-bucket.js";

/** One piece of what waits to be sent. */
interface Piece {
  readonly bytes: Buffer;
  sent: number;
}

/** Bytes handed to the connection at a time; more waits here until it has drained. */
const SLICE_BYTES = 256 * 1024;
/** Beyond this, with nothing but edits waiting, the client is too slow: it comes back and gets one difference. */
const HARD_BYTES = 4 * 1024 * 1024;
const UNREAD_MS = 20;
/** What a client sends while it may not be taken up yet. */
const MAX_WAITING = 1_000;
const MAX_WAITING_BYTES = 5 * 1024 * 1024;

/** Why what a client sends is not taken up just now, in ms to look again; 0 to go on. */
export type Gate = () => number;

/** One connection of an editor, with the documents it has open (each an `S`). */
export class DocumentSocket<S> {
  readonly sessions = new Map<string, S>();
  heardAt = performance.now();
  pingedAt = 0;
  /** When something was last sent. */
  saidAt = performance.now();
  /** When the connection last took something of what waited. */
  progressAt = performance.now();
  closed = false;
  /** Reviews of access under way: nothing is taken up meanwhile. */
  reviews = 0;
  #out: Piece[] = [];
  #outBytes = 0;
  #answerBytes = 0;
  #pumping = false;
  #in: Buffer[] = [];
  #inBytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly transport: Transport,
    private readonly bucket: TokenBucket,
    private readonly gate: Gate,
    private readonly handle: (data: Buffer) => void,
  ) {}

  /** True while its client is not heard because we do not listen. */
  get paused(): boolean {
    return this.#timer !== undefined || this.reviews > 0;
  }

  /** True while something waits for the connection. */
  get behind(): boolean {
    return this.#out.length > 0;
  }

  /** Sends frames; what is ephemeral is dropped when the client lags, an answer may be long without making it slow. */
  write(frames: Buffer, kind: Batch["kind"]): void {
    if (this.closed) return;
    const lags = this.#outBytes > SLICE_BYTES || this.transport.queuedBytes > SLICE_BYTES;
    if (kind === "ephemeral" && lags) return;
    if (kind === "answer") this.#answerBytes += frames.length;
    // One edit may be as long as a message can be; what counts is what waits before it.
    else if (this.#outBytes - this.#answerBytes > HARD_BYTES) {
      this.close("overloaded", "too slow");
      return;
    }
    this.#out.push({ bytes: frames, sent: 0 });
    this.#outBytes += frames.length;
    if (this.#pumping) return;
    this.#pumping = true;
    // What is said in this turn goes in one write.
    queueMicrotask(() => this.#pump());
  }

  /** One message in a frame of its own, with `prefix` before it. */
  say(prefix: Uint8Array, message: Uint8Array): void {
    this.write(binaryFrame(Buffer.concat([prefix, message])), "edit");
  }

  ping(): void {
    this.pingedAt = performance.now();
    this.write(PING_FRAME, "edit");
  }

  #pump(): void {
    if (this.closed) return;
    while (this.#out.length > 0 && this.transport.queuedBytes < SLICE_BYTES) {
      const slice: Buffer[] = [];
      let size = 0;
      while (size < SLICE_BYTES) {
        const piece = this.#out[0];
        if (!piece) break;
        const part = piece.bytes.subarray(piece.sent, piece.sent + SLICE_BYTES - size);
        piece.sent += part.length;
        size += part.length;
        slice.push(part);
        if (piece.sent < piece.bytes.length) break;
        this.#out.shift();
      }
      this.#outBytes -= size;
      const [only] = slice;
      this.transport.write(only && slice.length === 1 ? only : Buffer.concat(slice));
      this.saidAt = performance.now();
      this.progressAt = this.saidAt;
    }
    if (this.#out.length === 0) {
      this.#answerBytes = 0;
      this.#pumping = false;
    } else this.transport.onceDrained(() => this.#pump());
  }

  /** Takes up what the client sent, in order, as soon as its rate and its access allow. */
  receive(data: Buffer): void {
    if (this.closed) return;
    this.heardAt = performance.now();
    this.#in.push(data);
    this.#inBytes += data.length;
    if (this.#in.length > MAX_WAITING || (this.#inBytes > MAX_WAITING_BYTES && this.#in.length > 8))
      this.close("rateLimited");
    else this.work();
  }

  /** Goes on with what waits. */
  work(): void {
    if (this.#timer || this.reviews > 0) return;
    for (let data = this.#in[0]; data && !this.closed; data = this.#in[0]) {
      // Who does not read answers is not heard: asking costs little, answering much.
      const unread = this.#answerBytes > SLICE_BYTES ? UNREAD_MS : 0;
      const wait = unread || this.gate() || (this.bucket.take(data.length, performance.now()) ? 0 : 50);
      if (wait > 0) {
        // Not reading on is how an editor is told to slow down: it keeps what it could not send.
        this.transport.pause();
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.work();
        }, wait);
        return;
      }
      this.#in.shift();
      this.#inBytes -= data.length;
      this.handle(data);
    }
    if (!this.closed) this.transport.resume();
  }

  /** Ends the connection; its owner learns of it by the transport's close. */
  close(name: CloseName, reason?: string): void {
    if (this.closed) return;
    this.closed = true;
    this.forget();
    // Half a frame is on the wire: nothing can be said after it.
    if ((this.#out[0]?.sent ?? 0) > 0) this.transport.terminate();
    else this.transport.close(CLOSE[name].code, reason ?? CLOSE[name].reason);
  }

  /** Drops what waits. */
  forget(): void {
    clearTimeout(this.#timer);
    this.#in = [];
  }
}
