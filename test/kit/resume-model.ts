import { expect } from "@jest/globals";
import fc from "fast-check";
import { v7 } from "uuid";
import type { Appended, EventLog, StreamPosition } from "../../src/platform/event-log/event-log.js";
import type { PubSub } from "../../src/platform/pubsub/pubsub.js";
import { eventText, messageKey } from "../../src/realtime/event-text.js";
import type { Peer } from "../../src/realtime/peer.js";
import { ack } from "../../src/realtime/protocol.js";
import { Room } from "../../src/realtime/room.js";
import type { FakeTransport } from "./fake-transport.js";
import { createFaultyPubSub, type FaultyPubSub } from "./faulty-pubsub.js";
import { createTestPeer } from "./peer.js";
import { randomOf } from "./random.js";

const NODES = 3;
const CLIENTS = 4;
const OBSERVER = { delivered() {}, droppedEphemeral() {}, gapRepaired() {}, resumed() {} };
/** Who all clients of the model are: a resend counts for the same user on every connection. */
export const USER = v7();

/** What one run of the model stands on: a log and a pub/sub for each node, over one store. */
export interface ModelStore {
  /** The log of a node that has just started and knows nothing. */
  openLog(node: number, window: number): EventLog;
  pubsub(node: number): PubSub;
  /** Loses the history of the stream. */
  lose(stream: string): Promise<void>;
  close(): Promise<void>;
}

/** A build that is broken on purpose. */
export interface Breakage {
  readonly name: string;
  readonly log?: (log: EventLog) => EventLog;
  /** Acks leave when the append is answered, wherever their place is. */
  readonly earlyAcks?: boolean;
  /** Types of messages that are not sent. */
  readonly silent?: string;
}

type Command =
  | { readonly do: "publish"; readonly client: number; readonly node: number }
  | { readonly do: "connect"; readonly client: number; readonly node: number }
  | { readonly do: "resend" | "disconnect" | "stall" | "drain"; readonly client: number }
  | { readonly do: "kill" | "cut" | "mend" | "release"; readonly node: number }
  | { readonly do: "lose" | "tick" };

const client = fc.nat(CLIENTS - 1);
const node = fc.nat(NODES - 1);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant("publish" as const), client, node }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("resend" as const), client }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("connect" as const), client, node }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("disconnect" as const), client }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("stall" as const, "drain" as const), client }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom("kill" as const, "cut" as const, "mend" as const, "release" as const),
      node,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("lose" as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("tick" as const) }) },
);

interface Connection {
  readonly peer: Peer;
  readonly transport: FakeTransport;
  readonly node: number;
  /** Ids of messages sent over it that have not been answered. */
  readonly unanswered: string[];
}

/** The client's side of the protocol: what it has, and what it may be told next. */
class ModelClient {
  position: StreamPosition | undefined;
  connection: Connection | undefined;
  lastSent: string | undefined;
  #read = 0;

  constructor(private readonly told: (position: StreamPosition, id: string) => void) {}

  connected(connection: Connection): void {
    this.connection = connection;
    this.#read = 0;
  }

  /** Reads what has come. */
  check(): void {
    const messages = this.connection?.transport.messages ?? [];
    for (; this.#read < messages.length; this.#read++)
      this.#take(messages[this.#read] as Record<string, unknown>);
  }

  #take(message: Record<string, unknown>): void {
    const { type, seq, epoch } = message as { type: string; seq: number; epoch: string };
    if (type === "resync") {
      this.position = { epoch, seq };
      return;
    }
    if (type === "resumed") {
      expect({ epoch, seq }).toEqual(this.position);
      return;
    }
    const isAck = type === "ack";
    const id = isAck ? (message.id as string) : (message.payload as { id: string }).id;
    this.told({ epoch, seq }, id);
    if (isAck) this.#answered(id, epoch);
    // What a resend is told, or what was accepted before a resync, has no place any more.
    if (isAck && (epoch !== this.position?.epoch || seq <= this.position.seq)) return;
    // The rule that is proven: every seq once, in order, none left out; an ack stands for the client's own event.
    expect(epoch).toBe(this.position?.epoch);
    expect(seq).toBe((this.position?.seq ?? 0) + 1);
    this.position = { epoch, seq };
  }

  #answered(id: string, epoch: string): void {
    const unanswered = this.connection?.unanswered ?? [];
    const at = unanswered.indexOf(id);
    // An answer too many is only right when nobody can know whether the first one was given.
    if (at < 0) expect(epoch).not.toBe(this.position?.epoch);
    else unanswered.splice(at, 1);
  }
}

class World {
  readonly stream = v7();
  readonly clients = Array.from(
    { length: CLIENTS },
    () => new ModelClient((position, id) => this.told.push({ ...position, id })),
  );
  /** What clients were told stands where. */
  readonly told: (StreamPosition & { id: string })[] = [];
  readonly #appended = new Map<string, string>();
  readonly #nodes: { log: EventLog; pubsub: FaultyPubSub; room: Promise<Room> | undefined }[];
  #appends: Promise<void>[] = [];

  constructor(
    private readonly store: ModelStore,
    random: () => number,
    private readonly window: number,
    private readonly broken: Breakage,
  ) {
    const faults = { loss: 0.1, doubling: 0.1, delay: 0.2 };
    this.#nodes = Array.from({ length: NODES }, (_, i) => ({
      log: this.#openLog(i),
      pubsub: createFaultyPubSub({ inner: store.pubsub(i), faults, random }),
      room: undefined,
    }));
  }

  #openLog(index: number): EventLog {
    const log = this.store.openLog(index, this.window);
    return this.broken.log?.(log) ?? log;
  }

  #room(index: number): Promise<Room> {
    const at = this.#nodes[index]!;
    at.room ??= Room.open(this.stream, at, { softBytes: 2_000, hardBytes: 1e9 }, OBSERVER);
    return at.room;
  }

  /** Sends without waiting for the answer, as clients do. */
  async #publish(index: number, on: number, id: string): Promise<void> {
    const sender = this.clients[index]!;
    const from = sender.connection;
    sender.lastSent = id;
    const body = {
      sessionId: from?.peer.connectionId ?? null,
      type: "file_changed",
      projectId: this.stream,
      userId: USER,
      payload: { id },
      timestamp: "",
      id,
    };
    const room = await this.#room(from?.node ?? on);
    from?.unanswered.push(id);
    const { log } = this.#nodes[from?.node ?? on]!;
    const answered = (appended: Appended) => {
      if (!appended.duplicate) this.#note(appended, id);
      if (!from) return;
      if (this.broken.earlyAcks)
        from.transport.messages.push(JSON.parse(ack(id, appended.seq, appended.epoch)));
      else room.acknowledge(from.peer, id, appended);
    };
    const append = log.append(this.stream, messageKey(USER, id, id), eventText(body)).then(answered);
    // Looked at when everything has settled.
    append.catch(() => undefined);
    this.#appends.push(append);
  }

  #note({ epoch, seq }: StreamPosition, id: string): void {
    const place = `${epoch} ${seq}`;
    expect(this.#appended.get(place)).toBeUndefined();
    this.#appended.set(place, id);
    // While it is in the window the same message is the same event.
    if (this.window >= 10_000) {
      const twice = [...this.#appended].filter(([at, other]) => other === id && at.startsWith(`${epoch} `));
      expect(twice).toHaveLength(1);
    }
  }

  async connect(index: number, on: number): Promise<void> {
    await this.#disconnect(index);
    const who = this.clients[index]!;
    const room = await this.#room(on);
    const { peer, transport } = createTestPeer({ projectId: this.stream, userId: USER });
    if (this.broken.silent !== undefined) transport.silent = this.broken.silent;
    const at = room.join(peer);
    who.connected({ peer, transport, node: on, unanswered: [] });
    if (who.position) void room.resume(peer, who.position, true);
    else who.position = at;
  }

  async #disconnect(index: number): Promise<void> {
    const who = this.clients[index]!;
    const { connection } = who;
    if (!connection) return;
    connection.peer.feeding = "closed";
    connection.transport.terminate();
    who.check();
    who.connection = undefined;
    (await this.#room(connection.node)).leave(connection.peer);
  }

  async #kill(index: number): Promise<void> {
    for (let i = 0; i < CLIENTS; i++)
      if (this.clients[i]!.connection?.node === index) await this.#disconnect(i);
    const at = this.#nodes[index]!;
    const { room } = at;
    at.room = undefined;
    at.log = this.#openLog(index);
    await (await room)?.close();
  }

  async run(each: Command): Promise<void> {
    if (each.do === "publish") await this.#publish(each.client, each.node, v7());
    else if (each.do === "resend") {
      const id = this.clients[each.client]!.lastSent;
      if (id !== undefined) await this.#publish(each.client, 0, id);
    } else if (each.do === "connect") await this.connect(each.client, each.node);
    else if (each.do === "disconnect") await this.#disconnect(each.client);
    else if (each.do === "stall" || each.do === "drain") {
      const transport = this.clients[each.client]!.connection?.transport;
      if (!transport) return;
      transport.stalled = each.do === "stall";
      if (!transport.stalled) transport.read();
    } else if (each.do === "kill") await this.#kill(each.node);
    else if (each.do === "lose") await this.store.lose(this.stream);
    else if ("node" in each) this.#nodes[each.node]!.pubsub[each.do]();
    else await tick();
  }

  /** Ends all faults and lets everybody catch up. */
  async heal(): Promise<void> {
    for (const { pubsub } of this.#nodes) {
      pubsub.heal();
      pubsub.mend();
    }
    await this.#settled();
    for (let i = 0; i < CLIENTS; i++) if (!this.clients[i]!.connection) await this.connect(i, i % NODES);
    for (const { connection } of this.clients) {
      if (!connection) continue;
      connection.transport.stalled = false;
      connection.transport.read();
    }
    const deadline = performance.now() + 3_000;
    while (!(await this.#caughtUp()) && performance.now() < deadline) {
      for (let i = 0; i < NODES; i++) await (await this.#room(i)).catchUp();
      await tick();
    }
  }

  async #caughtUp(): Promise<boolean> {
    for (const who of this.clients) who.check();
    const head = await this.#nodes[0]!.log.position(this.stream);
    return this.clients.every(
      ({ position, connection }) =>
        position?.epoch === head.epoch && position.seq === head.seq && connection?.unanswered.length === 0,
    );
  }

  async #settled(): Promise<void> {
    const appends = this.#appends;
    this.#appends = [];
    await Promise.all(appends);
  }

  /** What must be so when everything has healed. */
  async verify(): Promise<void> {
    const head = await this.#nodes[0]!.log.position(this.stream);
    for (const who of this.clients) {
      expect(who.position).toEqual(head);
      expect(who.connection?.unanswered).toEqual([]);
    }
    for (const { epoch, seq, id } of this.told) expect(id).toBe(this.#appended.get(`${epoch} ${seq}`));
  }

  async close(): Promise<void> {
    await this.#settled().catch(() => undefined);
    for (const { connection } of this.clients) if (connection) connection.peer.feeding = "closed";
    for (let i = 0; i < NODES; i++) await this.#kill(i);
  }
}

function tick(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** The property: whatever happens, every client is told every event once and in order, or to begin anew. */
export function holdsOver(
  open: () => ModelStore,
  window: number,
  broken: Breakage = { name: "none" },
): fc.IAsyncProperty<[Command[], number]> {
  return fc.asyncProperty(
    fc.array(command, { minLength: 10, maxLength: 80 }),
    fc.integer(),
    async (commands, seed) => {
      const store = open();
      const world = new World(store, randomOf(seed), window, broken);
      try {
        for (let i = 0; i < CLIENTS; i++) await world.connect(i, i % NODES);
        for (const each of commands) {
          await world.run(each);
          for (const who of world.clients) who.check();
        }
        await world.heal();
        await world.verify();
      } finally {
        await world.close();
        await store.close();
      }
    },
  );
}

/** How often the property is tried, and from which seed; a run is repeated with `MODEL_SEED`. */
export function modelRuns(times: number): fc.Parameters<unknown> & { readonly seed: number } {
  return {
    numRuns: Number(process.env.MODEL_RUNS ?? times),
    seed: Number(process.env.MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31)),
    // A failure is reported as small as it could be made until then.
    interruptAfterTimeLimit: 90_000,
    markInterruptAsFailure: true,
  };
}
