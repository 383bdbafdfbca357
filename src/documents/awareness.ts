import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { strictly } from "./sync-protocol.js";

/** Who a connection speaks for. */
export interface Speaker {
  readonly userId: string;
  readonly name: string;
}

/** One client's state: JSON, or `null` when it is gone. */
interface State {
  readonly clock: number;
  readonly json: string;
  readonly userId: string;
  /** The connection that speaks for it; undefined when it is on another node. */
  readonly speaker: Speaker | undefined;
  readonly heardAt: number;
}

/** Bytes of one state. */
const MAX_STATE_BYTES = 4_096;
/** Client ids one connection may speak for: its own, and other tabs of its browser. */
const MAX_IDS = 32;
/** Without being heard of for this long, a client of another node is gone; clients renew every 15 s. */
const OUTDATED_MS = 40_000;
const MAX_CLIENT_ID = 2 ** 53 - 1;

/**
 * Who is where in one document: latest wins per client id, kept as text and handed on in batches. A connection speaks only
 * for client ids it introduced, or that its own user did, and the server writes who it is into each state.
 */
export class Awareness {
  readonly #states = new Map<number, State>();
  #changed = new Set<number>();

  /** Takes in what a connection says; true when there is something new to hand on. @throws BadMessage. */
  receive(speaker: Speaker, states: Uint8Array, now: number): boolean {
    const entries = decode(states);
    let news = false;
    for (const { clientId, clock, json } of entries) {
      const known = this.#states.get(clientId);
      if (known && known.userId !== speaker.userId) continue;
      if (known ? !isNewer(clock, json, known) : json === "null") continue;
      if (known?.speaker !== speaker && this.#countOf(speaker) >= MAX_IDS) continue;
      const stamped = json === "null" ? json : stamp(json, speaker);
      if (stamped === undefined) continue;
      this.#set(clientId, { clock, json: stamped, userId: speaker.userId, speaker, heardAt: now });
      news = true;
    }
    return news;
  }

  /** Takes in what another node says, which has checked it. */
  receiveRemote(bytes: Uint8Array, now: number): boolean {
    let news = false;
    const decoder = decoding.createDecoder(bytes);
    for (let n = decoding.readVarUint(decoder); n > 0; n--) {
      const userId = decoding.readVarString(decoder);
      const { clientId, clock, json } = readEntry(decoder);
      const known = this.#states.get(clientId);
      if (known && (known.userId !== userId || !isNewer(clock, json, known))) continue;
      this.#set(clientId, { clock, json, userId, speaker: undefined, heardAt: now });
      news = true;
    }
    return news;
  }

  /** A connection has gone: so have those it spoke for. True when there were any. */
  leave(speaker: Speaker, now: number): boolean {
    return this.#end((state) => state.speaker === speaker, now);
  }

  /** Ends clients of other nodes that nothing was heard of. */
  sweep(now: number): boolean {
    return this.#end((state) => state.speaker === undefined && now - state.heardAt > OUTDATED_MS, now);
  }

  /** Everybody, for somebody who comes; undefined when nobody is there. */
  everybody(): Uint8Array | undefined {
    const present = [...this.#states].filter(([, state]) => state.json !== "null");
    return present.length === 0 ? undefined : encode(present);
  }

  /** What changed since the last call, for clients of this node and for other nodes. */
  takeChanges(): { readonly all: Uint8Array; readonly local: Uint8Array | undefined } | undefined {
    if (this.#changed.size === 0) return undefined;
    const changed = [...this.#changed].flatMap((clientId) => {
      const state = this.#states.get(clientId);
      return state ? [[clientId, state] as const] : [];
    });
    this.#changed = new Set();
    // An end is told once; what comes later under the same id begins anew.
    for (const [clientId, state] of changed) if (state.json === "null") this.#states.delete(clientId);
    const local = changed.filter(([, state]) => state.speaker !== undefined);
    return { all: encode(changed), local: local.length === 0 ? undefined : encodeRemote(local) };
  }

  #set(clientId: number, state: State): void {
    this.#states.set(clientId, state);
    this.#changed.add(clientId);
  }

  #end(gone: (state: State) => boolean, now: number): boolean {
    let any = false;
    for (const [clientId, state] of this.#states) {
      if (state.json === "null" || !gone(state)) continue;
      this.#set(clientId, { ...state, clock: state.clock + 1, json: "null", heardAt: now });
      any = true;
    }
    return any;
  }

  #countOf(speaker: Speaker): number {
    let count = 0;
    for (const state of this.#states.values()) if (state.speaker === speaker) count += 1;
    return count;
  }
}

function isNewer(clock: number, json: string, known: State): boolean {
  return clock > known.clock || (clock === known.clock && json === "null" && known.json !== "null");
}

function readEntry(decoder: decoding.Decoder): { clientId: number; clock: number; json: string } {
  return {
    clientId: decoding.readVarUint(decoder),
    clock: decoding.readVarUint(decoder),
    json: decoding.readVarString(decoder),
  };
}

function decode(states: Uint8Array): { clientId: number; clock: number; json: string }[] {
  return strictly(() => {
    const decoder = decoding.createDecoder(states);
    const entries: { clientId: number; clock: number; json: string }[] = [];
    for (let n = decoding.readVarUint(decoder); n > 0; n--) {
      const entry = readEntry(decoder);
      if (entry.clientId <= MAX_CLIENT_ID) entries.push(entry);
    }
    return entries;
  });
}

/** The state with the speaker's identity in `user`; undefined for one that is too large or no object. */
function stamp(json: string, { userId, name }: Speaker): string | undefined {
  if (json.length > MAX_STATE_BYTES) return undefined;
  let state: unknown;
  try {
    state = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (state === null || typeof state !== "object" || Array.isArray(state)) return undefined;
  const { user } = state as { user?: unknown };
  const own = user !== null && typeof user === "object" && !Array.isArray(user) ? user : {};
  const stamped = JSON.stringify({ ...state, user: { ...own, id: userId, name } });
  return Buffer.byteLength(stamped) > MAX_STATE_BYTES + 512 ? undefined : stamped;
}

function encode(states: readonly (readonly [number, State])[]): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, states.length);
    for (const [clientId, state] of states) writeEntry(encoder, clientId, state);
  });
}

function encodeRemote(states: readonly (readonly [number, State])[]): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, states.length);
    for (const [clientId, state] of states) {
      encoding.writeVarString(encoder, state.userId);
      writeEntry(encoder, clientId, state);
    }
  });
}

function writeEntry(encoder: encoding.Encoder, clientId: number, { clock, json }: State): void {
  encoding.writeVarUint(encoder, clientId);
  encoding.writeVarUint(encoder, clock);
  encoding.writeVarString(encoder, json);
}
