import * as Y from "yjs";
import { Batch } from "./fan-out.js";
import { syncStep2, updateMessage } from "./sync-protocol.js";

/** Updates since the kept answer was made; beyond, it is made anew when next asked for. */
const MAX_TAIL = 64;
const MAX_TAIL_BYTES = 64 * 1024;

/**
 * Answers state vectors. The answer to an empty one, which is all a newcomer sends, is made once and kept with its frames,
 * so that a hundred who join a large document cost as much as one.
 */
export class FirstSync {
  #whole: { readonly message: Uint8Array; batch: Batch } | undefined;
  #tail: Uint8Array[] = [];
  #tailBytes = 0;

  constructor(private readonly doc: Y.Doc) {}

  /** The document has taken in `update`. */
  extend(update: Uint8Array): void {
    const whole = this.#whole;
    if (!whole) return;
    this.#tail.push(updateMessage(update));
    this.#tailBytes += update.byteLength;
    if (this.#tail.length > MAX_TAIL || this.#tailBytes > MAX_TAIL_BYTES) this.#forget();
    // The tail goes first: whoever has got the whole is told that it is synced, and must be.
    else whole.batch = new Batch([...this.#tail, whole.message], "answer");
  }

  /** What somebody with this state vector lacks. @throws for one that cannot be decoded. */
  answer(stateVector: Uint8Array): Batch {
    const isEmpty = stateVector.byteLength === 1 && stateVector[0] === 0;
    if (!isEmpty) return new Batch([syncStep2(Y.encodeStateAsUpdate(this.doc, stateVector))], "answer");
    if (!this.#whole) {
      const message = syncStep2(Y.encodeStateAsUpdate(this.doc));
      this.#whole = { message, batch: new Batch([message], "answer") };
    }
    return this.#whole.batch;
  }

  #forget(): void {
    this.#whole = undefined;
    this.#tail = [];
    this.#tailBytes = 0;
  }
}
