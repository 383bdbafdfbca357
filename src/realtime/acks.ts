import type { StreamPosition } from "../platform/event-log/event-log.js";

interface Waiting {
  readonly epoch: string;
  readonly text: string;
  /** The ack of an entry this client sent itself, whose place in the stream is that ack. */
  readonly own: boolean;
}

/** Acks of one client that wait for their place in the stream. */
export class PendingAcks {
  readonly #bySeq = new Map<number, Waiting[]>();

  get size(): number {
    return this.#bySeq.size;
  }

  add(position: StreamPosition, text: string, own: boolean): void {
    const waiting = this.#bySeq.get(position.seq) ?? [];
    waiting.push({ epoch: position.epoch, text, own });
    this.#bySeq.set(position.seq, waiting);
  }

  /** Takes what follows this entry; not the ack that stands in the place of the client's own event. */
  at(position: StreamPosition): readonly string[] {
    const waiting = this.#bySeq.get(position.seq);
    if (!waiting) return [];
    const here = waiting.filter(({ epoch }) => epoch === position.epoch);
    this.#keep(
      position.seq,
      waiting.filter(({ epoch }) => epoch !== position.epoch),
    );
    return here.filter(({ own }) => !own).map(({ text }) => text);
  }

  /** Takes everything whose place is not after `position`. */
  upTo(position: StreamPosition): readonly string[] {
    return this.#take((epoch, seq) => epoch === position.epoch && seq <= position.seq);
  }

  /** Takes everything that has no place after `position`: also what belongs to another epoch. */
  passed(position: StreamPosition): readonly string[] {
    return this.#take((epoch, seq) => epoch !== position.epoch || seq <= position.seq);
  }

  #take(due: (epoch: string, seq: number) => boolean): readonly string[] {
    const texts: string[] = [];
    for (const [seq, waiting] of [...this.#bySeq].sort(([a], [b]) => a - b)) {
      texts.push(...waiting.filter(({ epoch }) => due(epoch, seq)).map(({ text }) => text));
      this.#keep(
        seq,
        waiting.filter(({ epoch }) => !due(epoch, seq)),
      );
    }
    return texts;
  }

  #keep(seq: number, waiting: Waiting[]): void {
    if (waiting.length > 0) this.#bySeq.set(seq, waiting);
    else this.#bySeq.delete(seq);
  }
}
