import * as Y from "yjs";
import { AppError } from "../errors.js";
import { Acknowledgements } from "./acknowledgements.js";
import { Awareness, type Speaker } from "./awareness.js";
import { Batch, FanOut, type Recipient } from "./fan-out.js";
import { FirstSync } from "./first-sync.js";
import type { LoggedUpdate, StoredDocument } from "./log-repository.js";
import {
  awarenessMessage,
  BadMessage,
  type ClientMessage,
  strictly,
  syncStep1,
  updateMessage,
} from "./sync-protocol.js";
import { diffText } from "./text-diff.js";
import type { UpdateLog } from "./update-log.js";

/** Why a client must go. */
export type RoomEnd = "gone" | "overloaded" | "restart";

/** One client of a document, over whatever protocol. */
export interface RoomClient extends Recipient, Speaker {
  /** What it may do at this moment. */
  readonly mayWrite: boolean;
  /** Its update was kept (after COMMIT), or was not new. */
  kept(update: Uint8Array): void;
  /** Its update was refused: it may only read. */
  refused(): void;
  /** It must go; the room has forgotten it already. */
  end(reason: RoomEnd): void;
}

/** What a room tells the rest of the node. */
export interface RoomEvents {
  /** An update of this node is in the log: for other nodes. */
  committed(seq: number, update: Uint8Array): void;
  /** Somebody's update was taken up. */
  edited(userId: string): void;
  /** Awareness changed here: for other nodes. */
  awareness(states: Uint8Array): void;
  /** Updates up to some seq are missing here. */
  behind(): void;
  /** The room cannot go on and must be loaded anew. */
  broken(): void;
  delivered(count: number, bytes: number): void;
  /** Milliseconds from receipt to COMMIT. */
  acked(ms: number): void;
}

/** Awareness is handed on at most this often. */
const AWARENESS_MS = 40;
const NOTHING_NEW = 2;

/** One open document on one node: its state, its clients, and how far it has followed the log. */
export class Room {
  readonly clients = new Set<RoomClient>();
  readonly #doc = new Y.Doc();
  readonly #text: Y.Text;
  readonly #awareness = new Awareness();
  readonly #fanOut: FanOut<RoomClient>;
  readonly #firstSync: FirstSync;
  readonly #inFlight = new Set<Promise<unknown>>();
  readonly #acks: Acknowledgements<RoomClient>;
  /** Seqs known beyond the first hole. */
  readonly #ahead = new Set<number>();
  #applied = 0;
  #awarenessTimer: NodeJS.Timeout | undefined;
  #closed = false;
  /** Uses without a client: requests, timers. */
  holds = 0;

  constructor(
    readonly id: string,
    private readonly log: UpdateLog,
    private readonly events: RoomEvents,
  ) {
    this.#text = this.#doc.getText("content");
    this.#fanOut = new FanOut(this.clients, (count, bytes) => events.delivered(count, bytes));
    this.#firstSync = new FirstSync(this.#doc);
    this.#acks = new Acknowledgements(this.#doc, this.#inFlight);
  }

  /** Every seq up to this one is in the document. */
  get applied(): number {
    return this.#applied;
  }

  get text(): string {
    return this.#text.toJSON();
  }

  /** Nobody needs it and nothing is on its way to the log. */
  get idle(): boolean {
    return this.clients.size === 0 && this.holds === 0 && this.#inFlight.size === 0;
  }

  get hasHole(): boolean {
    return this.#ahead.size > 0;
  }

  /** Nothing of this node waits for COMMIT. */
  get settled(): boolean {
    return this.#inFlight.size === 0;
  }

  /** Resolves when everything sent to the log until now was answered. */
  async allSettled(): Promise<void> {
    await Promise.allSettled(this.#inFlight);
  }

  /** Builds the document; nobody has joined yet. */
  fill({ snapshot, updates }: StoredDocument): void {
    Y.transact(this.#doc, () => {
      if (snapshot) Y.applyUpdate(this.#doc, snapshot.state);
      for (const { update } of updates) Y.applyUpdate(this.#doc, update);
    });
    this.#applied = Math.max(snapshot?.uptoSeq ?? 0, updates.at(-1)?.seq ?? 0);
  }

  /** Lets a client in and greets it: what does the server lack, and who is there. */
  join(client: RoomClient): void {
    this.clients.add(client);
    const greeting = [syncStep1(Y.encodeStateVector(this.#doc))];
    const everybody = this.#awareness.everybody();
    if (everybody) greeting.push(awarenessMessage(everybody));
    client.deliver(new Batch(greeting, "answer"));
  }

  leave(client: RoomClient): void {
    if (!this.clients.delete(client)) return;
    this.#acks.forget(client);
    if (this.#awareness.leave(client, performance.now())) this.#scheduleAwareness();
  }

  /** Takes up what a client says. @throws BadMessage; then nothing of it is kept. */
  receive(client: RoomClient, message: ClientMessage): void {
    if (this.#closed) return;
    switch (message.kind) {
      case "step1":
        // What was said before is in the answer too, but the answer must not overtake it.
        this.#fanOut.flush();
        client.deliver(strictly(() => this.#firstSync.answer(message.stateVector)));
        return;
      case "awareness":
        if (this.#awareness.receive(client, message.states, performance.now())) this.#scheduleAwareness();
        return;
      case "queryAwareness": {
        const everybody = this.#awareness.everybody();
        if (everybody) client.deliver(new Batch([awarenessMessage(everybody)], "ephemeral"));
        return;
      }
      default:
        this.#receiveUpdate(client, message.update, message.kind === "step2");
    }
  }

  #receiveUpdate(client: RoomClient, update: Uint8Array, isStep2: boolean): void {
    if (isStep2 ? this.#contains(update) : update.byteLength <= NOTHING_NEW) {
      // It is known, but perhaps not in the log yet: the same edit may have come over a connection that broke.
      if (this.#inFlight.size === 0) this.#acks.kept(client, update, undefined);
      else
        void Promise.all(this.#inFlight).then(
          () => this.clients.has(client) && this.#acks.kept(client, update, undefined),
          () => undefined,
        );
      return;
    }
    if (!client.mayWrite) {
      client.refused();
      return;
    }
    const content = strictly(() => Y.decodeUpdate(update));
    if (!this.log.accepts(update.byteLength)) {
      this.leave(client);
      client.end("overloaded");
      return;
    }
    this.#apply(update);
    this.#fanOut.add(updateMessage(update), client);
    // Decided now: what it stands on may come in a moment and never reach the log. What an answer to a state vector lacks
    // its sender lacks too, and does not show.
    const unfounded = isStep2 || this.#acks.stands(content) ? undefined : content;
    const started = performance.now();
    this.#track(
      this.log.append({ documentId: this.id, update, userId: client.userId }).then((seq) => {
        this.committed(seq, update);
        this.events.acked(performance.now() - started);
        this.events.edited(client.userId);
        if (this.clients.has(client)) this.#acks.kept(client, update, unfounded);
        this.#acks.review();
      }),
    );
  }

  #contains(update: Uint8Array): boolean {
    if (update.byteLength <= NOTHING_NEW) return true;
    return strictly(() => Y.snapshotContainsUpdate(Y.snapshot(this.#doc), update));
  }

  /** A half-applied update would leave a document nobody else has: then it is loaded anew. */
  #apply(update: Uint8Array): void {
    try {
      Y.applyUpdate(this.#doc, update);
    } catch (cause) {
      this.events.broken();
      throw new BadMessage("the update cannot be applied", { cause });
    }
    this.#firstSync.extend(update);
  }

  #track(work: Promise<unknown>): void {
    const tracked: Promise<void> = work.then(
      () => {
        this.#inFlight.delete(tracked);
      },
      (error: unknown) => {
        this.#inFlight.delete(tracked);
        // The document now holds something the log does not.
        if (error instanceof AppError && error.code === "not_found") this.end("gone");
        this.events.broken();
        throw error;
      },
    );
    tracked.catch(() => undefined);
    this.#inFlight.add(tracked);
  }

  /** An update that is in the document already is in the log at `seq`. */
  committed(seq: number, update: Uint8Array): void {
    this.#note(seq);
    this.events.committed(seq, update);
  }

  /** An update another node put into the log. */
  receiveRemote({ seq, update }: LoggedUpdate): void {
    if (this.#closed || seq <= this.#applied || this.#ahead.has(seq)) return;
    this.#apply(update);
    this.#fanOut.add(updateMessage(update), undefined);
    this.#note(seq);
    this.#acks.review();
  }

  #note(seq: number): void {
    if (seq <= this.#applied) return;
    this.#ahead.add(seq);
    while (this.#ahead.delete(this.#applied + 1)) this.#applied += 1;
    if (this.#ahead.size > 0) this.events.behind();
  }

  /** Takes in a whole state, when the updates that led to it are no longer in the log. */
  receiveState({ snapshot, updates }: StoredDocument): void {
    if (snapshot && snapshot.uptoSeq > this.#applied) {
      this.#apply(snapshot.state);
      this.#fanOut.add(updateMessage(snapshot.state), undefined);
      this.#applied = snapshot.uptoSeq;
      for (const seq of this.#ahead) if (seq <= this.#applied) this.#ahead.delete(seq);
    }
    for (const update of updates) this.receiveRemote(update);
    this.#acks.review();
  }

  receiveRemoteAwareness(states: Uint8Array): void {
    if (this.#awareness.receiveRemote(states, performance.now())) this.#scheduleAwareness();
  }

  /**
   * Makes the text `content`, by the smallest change that does. The document has it at once, its clients only after
   * {@link announce}: the caller writes the update to the log in between. Undefined when it is so already.
   */
  change(content: string): Uint8Array | undefined {
    const updates: Uint8Array[] = [];
    const collect = (update: Uint8Array) => updates.push(update);
    this.#doc.on("update", collect);
    try {
      Y.transact(this.#doc, () => {
        for (const { index, remove, insert } of diffText(this.text, content)) {
          if (remove > 0) this.#text.delete(index, remove);
          if (insert !== "") this.#text.insert(index, insert);
        }
      });
    } finally {
      this.#doc.off("update", collect);
    }
    if (updates.length === 0) return undefined;
    const update = Y.mergeUpdates(updates);
    this.#firstSync.extend(update);
    return update;
  }

  /** Tells everybody of a change that is in the log at `seq`. */
  announce(seq: number, update: Uint8Array, userId: string): void {
    this.#fanOut.add(updateMessage(update), undefined);
    this.committed(seq, update);
    this.events.edited(userId);
  }

  #scheduleAwareness(): void {
    this.#awarenessTimer ??= setTimeout(() => {
      this.#awarenessTimer = undefined;
      const changes = this.#awareness.takeChanges();
      if (!changes) return;
      // To everybody, also to whom it came from: an unmodified client closes when it hears nothing for 30 s.
      const batch = new Batch([awarenessMessage(changes.all)], "ephemeral");
      for (const client of this.clients) client.deliver(batch);
      this.events.delivered(this.clients.size, this.clients.size * changes.all.byteLength);
      if (changes.local) this.events.awareness(changes.local);
    }, AWARENESS_MS);
  }

  /** Ends clients of other nodes that fell silent. */
  sweep(): void {
    if (this.#awareness.sweep(performance.now())) this.#scheduleAwareness();
  }

  /** Sends away every client. */
  end(reason: RoomEnd): void {
    const clients = [...this.clients];
    for (const client of clients) {
      this.clients.delete(client);
      this.#acks.forget(client);
      client.end(reason);
    }
  }

  /** Frees its memory; nothing may be done with it afterwards. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#awarenessTimer);
    this.#doc.destroy();
  }
}
