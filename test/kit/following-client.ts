import { setTimeout as delay } from "node:timers/promises";
import { v7 } from "uuid";
import { WebSocket } from "ws";
import type { Message } from "./socket-client.js";

/** Where in the stream something stands. */
export interface Place {
  readonly epoch: string;
  readonly seq: number;
}

/** An event as it was told. */
export interface Told extends Place {
  readonly type: string;
  readonly sessionId: string | null;
  readonly payload: Readonly<Record<string, unknown>>;
}

/**
 * A client as docs/realtime.md describes it: it keeps its position, comes back with it after every close, and sends again
 * what was not acknowledged. It checks the rules of the protocol with every message and keeps what broke them in `faults`.
 */
export interface FollowingClient {
  readonly name: string;
  readonly events: readonly Told[];
  /** Places of its own messages, by their ids. */
  readonly acked: ReadonlyMap<string, Place>;
  readonly resyncs: readonly { readonly reason: string; readonly at: Place }[];
  readonly faults: readonly string[];
  readonly position: Place | undefined;
  /** Types of control messages, in order. */
  readonly controls: readonly string[];
  /** Close codes so far; 0 for an upgrade that was refused or did not come through. */
  readonly closes: readonly number[];
  readonly connected: boolean;
  /** Sends a message; resolves with its place when it is acknowledged, on whatever connection. */
  send(payload?: Record<string, unknown>): Promise<Place>;
  /** Messages that were sent and not acknowledged yet. */
  readonly unanswered: number;
  /** Resolves when `fits` holds, looking after every message; rejects after `ms`. */
  until(fits: () => boolean, what: string, ms?: number): Promise<void>;
  /** Drops the connection; it comes back by itself. */
  cut(): void;
  close(): void;
}

/** Close codes after which a client does not come back. */
const FINAL = new Set([4400, 4401, 4403, 4404]);
const RETRY_MS = 50;

/** Follows one project; each reconnect goes to the next of `urls`. */
export function followProject(options: {
  readonly name: string;
  readonly urls: readonly string[];
  readonly token: string;
  readonly projectId: string;
}): FollowingClient {
  const { name, urls, token, projectId } = options;
  const events: Told[] = [];
  const acked = new Map<string, Place>();
  const waiting = new Map<string, { payload: Record<string, unknown>; resolve: (place: Place) => void }>();
  const resyncs: { reason: string; at: Place }[] = [];
  const faults: string[] = [];
  const controls: string[] = [];
  const closes: number[] = [];
  const watchers = new Set<() => void>();
  let position: Place | undefined;
  let socket: WebSocket | undefined;
  let greeted = false;
  let ended = false;
  let turn = 0;

  function fault(text: string): void {
    faults.push(`${name}: ${text}, at ${position?.epoch} ${position?.seq}`);
  }

  function connect(): void {
    if (ended) return;
    const query = new URLSearchParams({ token, projectId });
    if (position) {
      query.set("epoch", position.epoch);
      query.set("since", String(position.seq));
    }
    greeted = false;
    const opening = new WebSocket(`${urls[turn % urls.length]}/?${query.toString()}`, {
      handshakeTimeout: 5_000,
    });
    socket = opening;
    turn += 1;
    let opened = false;
    opening.on("open", () => {
      opened = true;
    });
    opening.on("message", (data: Buffer) => {
      receive(JSON.parse(data.toString("utf8")) as Message);
      for (const watcher of watchers) watcher();
    });
    opening.on("error", () => undefined);
    opening.on("close", (code) => {
      closes.push(opened ? code : 0);
      greeted = false;
      if (FINAL.has(code)) ended = true;
      else setTimeout(connect, RETRY_MS);
      for (const watcher of watchers) watcher();
    });
  }

  function receive(message: Message): void {
    const { type, seq, epoch } = message as Message & Place;
    if (type === "connected") {
      greeted = true;
      position ??= { epoch, seq };
      for (const [id, { payload }] of waiting) transmit(id, payload);
    } else if (type === "resync") {
      position = { epoch, seq };
      resyncs.push({ reason: String(message.reason), at: position });
    } else if (type === "ack") acknowledged(String(message.id), { epoch, seq });
    else if (type === "nack") refused(String(message.id), message);
    else if (type === "resumed") {
      if (position?.epoch !== epoch || position.seq !== seq) fault(`resumed at ${seq}`);
    } else if (seq === undefined) controls.push(type);
    else {
      advance({ epoch, seq }, type);
      events.push(message as unknown as Told);
    }
  }

  function advance(place: Place, what: string): void {
    if (place.epoch !== position?.epoch || place.seq !== position.seq + 1)
      fault(`${what} at ${place.epoch} ${place.seq}`);
    position = place;
  }

  function acknowledged(id: string, place: Place): void {
    const before = acked.get(id);
    if (before && before.epoch === place.epoch && before.seq !== place.seq)
      fault(`${id} is acknowledged at ${before.seq} and ${place.seq}`);
    acked.set(id, place);
    waiting.get(id)?.resolve(place);
    waiting.delete(id);
    if (place.epoch === position?.epoch && place.seq > position.seq) advance(place, "ack");
  }

  /** Only what may be tried again is; the rest stays unanswered, for the test to find. */
  function refused(id: string, { code }: Message): void {
    controls.push(`nack ${String(code)}`);
    const again = waiting.get(id);
    if (again && ["dependency_unavailable", "rate_limited", "overloaded"].includes(String(code)))
      setTimeout(() => transmit(id, again.payload), 200);
  }

  function transmit(id: string, payload: Record<string, unknown>): void {
    if (!greeted || !waiting.has(id) || socket?.readyState !== WebSocket.OPEN) return;
    socket.send(JSON.stringify({ type: "chat_message", payload: { ...payload, id }, id }));
  }

  connect();
  return {
    name,
    events,
    acked,
    resyncs,
    faults,
    controls,
    closes,
    get position() {
      return position;
    },
    get connected() {
      return greeted;
    },
    get unanswered() {
      return waiting.size;
    },
    send(payload = {}) {
      const id = v7();
      return new Promise((resolve) => {
        waiting.set(id, { payload, resolve });
        transmit(id, payload);
      });
    },
    async until(fits, what, ms = 10_000) {
      if (fits()) return;
      let watcher: () => void = () => undefined;
      const held = new Promise<void>((resolve) => {
        watcher = () => {
          if (fits()) resolve();
        };
        watchers.add(watcher);
      });
      const late = delay(ms, undefined, { ref: false }).then(() => {
        if (!fits()) throw new Error(`${name}: ${what} did not come within ${ms} ms`);
      });
      try {
        await Promise.race([held, late]);
      } finally {
        watchers.delete(watcher);
      }
    },
    cut() {
      greeted = false;
      socket?.terminate();
    },
    close() {
      ended = true;
      socket?.terminate();
    },
  };
}

/** What is wrong with what these clients of one project were told: nothing, when the protocol held. */
export function findFaults(clients: readonly FollowingClient[]): string[] {
  const faults = clients.flatMap((client) => [...client.faults]);
  const places = new Map<string, string>();
  const note = (who: string, { epoch, seq }: Place, id: string) => {
    const place = `${epoch} ${seq}`;
    const known = places.get(place);
    if (known !== undefined && known !== id)
      faults.push(`${who}: ${id} stands at ${place}, where ${known} stands too`);
    places.set(place, id);
  };
  for (const client of clients) {
    for (const [id, place] of client.acked) note(client.name, place, id);
    for (const event of client.events) note(client.name, event, idOf(event));
  }
  for (const reader of clients) {
    const seen = new Set(reader.events.map(idOf));
    const twice =
      reader.events.length - new Set(reader.events.map(({ epoch, seq }) => `${epoch} ${seq}`)).size;
    if (twice > 0) faults.push(`${reader.name}: ${twice} events came twice`);
    // Whoever was told to begin anew loads what is missing by other ways.
    if (reader.resyncs.length > 0) continue;
    for (const writer of clients) {
      if (writer === reader) continue;
      for (const [id, { seq }] of writer.acked)
        if (!seen.has(id)) faults.push(`${reader.name}: ${id} of ${writer.name} (${seq}) is missing`);
    }
  }
  return faults;
}

function idOf({ payload, type, epoch, seq }: Told): string {
  return typeof payload.id === "string" ? payload.id : `${type} ${epoch} ${seq}`;
}

/** Resolves when every client has been told everything that was acknowledged, and nothing is unanswered. */
export async function settle(clients: readonly FollowingClient[], ms = 20_000): Promise<void> {
  for (const client of clients) {
    await client.until(() => client.connected && client.unanswered === 0, "every ack", ms);
    await client.until(
      () => {
        const newest = clients
          .map(({ position }) => position)
          .filter((at) => at?.epoch === client.position?.epoch);
        return (
          newest.length === clients.length &&
          newest.every((at) => (at?.seq ?? 0) <= (client.position?.seq ?? -1))
        );
      },
      "the newest event",
      ms,
    );
  }
}

/**
 * Lets every client publish, each as fast as it is answered, while `act` runs and until each was answered five times more;
 * then waits until everybody has everything.
 */
export async function publishDuring<R>(
  clients: readonly FollowingClient[],
  act: () => Promise<R>,
): Promise<R> {
  await Promise.all(clients.map((client) => client.until(() => client.connected, "the greeting")));
  let publishing = true;
  const writing = clients.map(async (client) => {
    for (let i = 0; publishing; i++) {
      await client.send({ i });
      await delay(5);
    }
  });
  const fiveMore = () =>
    Promise.all(
      clients.map((client) => {
        const before = client.acked.size;
        return client.until(() => client.acked.size >= before + 5, "five more acks", 15_000);
      }),
    );
  await fiveMore();
  const result = await act();
  await fiveMore();
  publishing = false;
  await Promise.all(writing);
  await settle(clients);
  return result;
}
