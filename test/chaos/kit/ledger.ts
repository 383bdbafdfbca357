import * as Y from "yjs";

/** A part of an update that was acknowledged: so many clocks of one client. */
interface Range {
  readonly client: number;
  readonly clock: number;
  readonly length: number;
}

/** What the server has acknowledged of one document: every (client, clock), inserted or deleted. */
export class Ledger {
  readonly #kept = new Map<number, Set<number>>();
  readonly #deleted: Range[] = [];
  updates = 0;

  /** Notes that the server said of this update that it is kept; what `shown`, its sender's document, does not show does not count. */
  acknowledge(update: Uint8Array, shown: Y.Doc): void {
    const { structs, ds } = Y.decodeUpdate(update);
    for (const struct of structs) {
      if (struct instanceof Y.Skip) continue;
      const { client, clock } = struct.id;
      if (clock >= Y.getState(shown.store, client)) continue;
      let clocks = this.#kept.get(client);
      if (!clocks) this.#kept.set(client, (clocks = new Set()));
      for (let i = 0; i < struct.length; i++) clocks.add(clock + i);
    }
    for (const [client, items] of ds.clients)
      for (const { clock, len } of items)
        if (clock + len <= Y.getState(shown.store, client))
          this.#deleted.push({ client, clock, length: len });
    this.updates += 1;
  }

  /** How many (client, clock) were acknowledged. */
  get size(): number {
    let size = 0;
    for (const clocks of this.#kept.values()) size += clocks.size;
    return size;
  }

  /** Acknowledged (client, clock) that `doc` does not show: what waits for edits that never came is lost too. */
  missingIn(doc: Y.Doc): string[] {
    const waiting = new Set<string>();
    const pending = doc.store.pendingStructs;
    if (pending) {
      // In the format of version 2, as Yjs keeps it.
      for (const struct of Y.decodeUpdateV2(pending.update).structs)
        if (!(struct instanceof Y.Skip))
          for (let i = 0; i < struct.length; i++) waiting.add(`${struct.id.client} ${struct.id.clock + i}`);
    }
    const missing: string[] = [];
    for (const [client, clocks] of this.#kept) {
      const known = Y.getState(doc.store, client);
      for (const clock of clocks) {
        if (clock < known) continue;
        const place = `${client} ${clock}`;
        missing.push(waiting.has(place) ? `${place} (in the log, but what it stands on is not)` : place);
      }
    }
    const { ds } = Y.snapshot(doc);
    for (const { client, clock, length } of this.#deleted) {
      for (let i = 0; i < length; i++) {
        if (clock + i >= Y.getState(doc.store, client)) continue;
        if (!Y.isDeleted(ds, Y.createID(client, clock + i)))
          missing.push(`deletion of ${client} ${clock + i}`);
      }
    }
    return missing;
  }
}
