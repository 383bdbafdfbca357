/** Messages that leave together; shared by all their recipients. */
export class Batch {
  readonly #framed = new Map<string, Buffer>();

  constructor(
    readonly messages: readonly Uint8Array[],
    /**
     * `ephemeral` does not matter a second later, and is the first thing not sent to a client that lags; an `answer` was
     * asked for, and its length does not make a client slow.
     */
    readonly kind: "edit" | "ephemeral" | "answer",
  ) {}

  /** The bytes for clients of one kind, made once; `key` names the kind. */
  framed(key: string, make: (messages: readonly Uint8Array[]) => Buffer): Buffer {
    const known = this.#framed.get(key);
    if (known) return known;
    const made = make(this.messages);
    this.#framed.set(key, made);
    return made;
  }
}

/** Whoever messages can be delivered to. */
export interface Recipient {
  deliver(batch: Batch): void;
}

interface Entry<R> {
  readonly message: Uint8Array;
  readonly author: R | undefined;
}

/** A room that was silent for this long sends at once. */
const IDLE_MS = 8;
/** Longest gathering. */
const MAX_WAIT_MS = 8;

/**
 * Gathers what a room says in one turn of the event loop and sends it to each recipient in one write; nobody gets what they
 * said themselves. Under load it gathers as long as the last round took, at most 8 ms.
 */
export class FanOut<R extends Recipient> {
  #entries: Entry<R>[] = [];
  #scheduled = false;
  #flushedAt = Number.NEGATIVE_INFINITY;
  #cost = 0;

  constructor(
    private readonly recipients: ReadonlySet<R>,
    private readonly delivered: (count: number, bytes: number) => void,
  ) {}

  add(message: Uint8Array, author: R | undefined): void {
    this.#entries.push({ message, author });
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (performance.now() - this.#flushedAt > IDLE_MS) this.flush();
    const next = () => {
      this.#scheduled = false;
      if (this.#entries.length > 0) this.flush();
    };
    if (this.#cost < 1) setImmediate(next);
    else setTimeout(next, Math.min(this.#cost, MAX_WAIT_MS));
  }

  /** Sends what was gathered now: before something that must come after it. */
  flush(): void {
    const entries = this.#entries;
    if (entries.length === 0) return;
    this.#entries = [];
    const started = performance.now();
    const shared = new Batch(
      entries.map(({ message }) => message),
      "edit",
    );
    const authors = new Set(entries.map(({ author }) => author));
    let bytes = 0;
    for (const { message } of entries) bytes += message.byteLength;
    let count = 0;
    for (const recipient of this.recipients) {
      if (authors.has(recipient)) {
        const others = entries.filter(({ author }) => author !== recipient);
        if (others.length === 0) continue;
        recipient.deliver(
          new Batch(
            others.map(({ message }) => message),
            "edit",
          ),
        );
      } else recipient.deliver(shared);
      count += 1;
    }
    this.delivered(count * entries.length, count * bytes);
    this.#flushedAt = performance.now();
    this.#cost = this.#flushedAt - started;
  }
}
