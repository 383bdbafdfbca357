import * as Y from "yjs";

/** What an update consists of, decoded. */
export type UpdateContent = ReturnType<typeof Y.decodeUpdate>;

interface Author {
  kept(update: Uint8Array): void;
}

interface Waiting {
  readonly updates: { readonly update: Uint8Array; readonly unfounded: UpdateContent | undefined }[];
  releasing: boolean;
}

/**
 * Tells authors what is kept, each in the order of their updates. An update that is in the log but stands on edits that
 * have not arrived waits: nobody can see it, and when they never arrive nobody ever will.
 */
export class Acknowledgements<A extends Author> {
  readonly #waiting = new Map<A, Waiting>();

  constructor(
    private readonly doc: Y.Doc,
    /** Appends on their way to the log. */
    private readonly inFlight: ReadonlySet<Promise<unknown>>,
  ) {}

  /** `update` of `author` is in the log. @param unfounded its content when it did not stand as it came. */
  kept(author: A, update: Uint8Array, unfounded: UpdateContent | undefined): void {
    const waiting = this.#waiting.get(author);
    if (waiting) waiting.updates.push({ update, unfounded });
    else if (!unfounded) author.kept(update);
    else this.#waiting.set(author, { updates: [{ update, unfounded }], releasing: false });
  }

  /** The document has taken in more: what had to wait for that is acknowledged once that is in the log too. */
  review(): void {
    for (const [author, waiting] of this.#waiting) {
      if (waiting.releasing) continue;
      const { updates } = waiting;
      const first = updates.findIndex(({ unfounded }) => unfounded && !this.stands(unfounded));
      const ready = first < 0 ? updates.length : first;
      if (ready === 0) continue;
      waiting.releasing = true;
      void Promise.all(this.inFlight).then(
        () => {
          waiting.releasing = false;
          if (this.#waiting.get(author) !== waiting) return;
          for (const { update } of updates.splice(0, ready)) author.kept(update);
          if (updates.length === 0) this.#waiting.delete(author);
          else this.review();
        },
        // The room is loaded anew, and its clients come back with what they have.
        () => undefined,
      );
    }
  }

  /** Its client is gone. */
  forget(author: A): void {
    this.#waiting.delete(author);
  }

  /** True when nothing of it waits for edits the document does not have. */
  stands(content: UpdateContent): boolean {
    const { store } = this.doc;
    if (!store.pendingStructs && !store.pendingDs) return true;
    const has = (client: number, end: number) => Y.getState(store, client) >= end;
    return (
      content.structs.every(
        (each) => each instanceof Y.Skip || has(each.id.client, each.id.clock + each.length),
      ) &&
      [...content.ds.clients].every(([client, items]) =>
        items.every(({ clock, len }) => has(client, clock + len)),
      )
    );
  }
}
