import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";

/** A message of a client, decoded as far as its kind; byte arrays are views into the frame. */
export type ClientMessage =
  | { readonly kind: "step1"; readonly stateVector: Uint8Array }
  | { readonly kind: "step2" | "update"; readonly update: Uint8Array }
  | { readonly kind: "awareness"; readonly states: Uint8Array }
  | { readonly kind: "queryAwareness" };

/** Thrown for bytes that are no message of the protocol; ends the socket that sent them, and nothing else. */
export class BadMessage extends Error {}

const SYNC = 0;
const AWARENESS = 1;
const QUERY_AWARENESS = 3;
/** Hocuspocus: as SYNC, from a client that wants no answer to its state vector. */
const SYNC_REPLY = 4;
const STEP_1 = 0;
const STEP_2 = 1;
const UPDATE = 2;

/** Runs `read`, whatever it throws becomes {@link BadMessage}. */
export function strictly<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof BadMessage) throw error;
    throw new BadMessage("malformed", { cause: error });
  }
}

/** Reads one message of the y-websocket protocol; @throws BadMessage. */
export function readClientMessage(bytes: Uint8Array): ClientMessage {
  return strictly(() => {
    const decoder = decoding.createDecoder(bytes);
    return readBody(decoding.readVarUint(decoder), decoder);
  });
}

/** Reads the body of a message whose type is known; @throws whatever the decoder throws. */
export function readBody(type: number, decoder: decoding.Decoder): ClientMessage {
  switch (type) {
    case SYNC:
    case SYNC_REPLY: {
      const step = decoding.readVarUint(decoder);
      const bytes = decoding.readVarUint8Array(decoder);
      if (step === STEP_1) return { kind: "step1", stateVector: bytes };
      if (step === STEP_2) return { kind: "step2", update: bytes };
      if (step === UPDATE) return { kind: "update", update: bytes };
      throw new BadMessage("unknown sync message");
    }
    case AWARENESS:
      return { kind: "awareness", states: decoding.readVarUint8Array(decoder) };
    case QUERY_AWARENESS:
      return { kind: "queryAwareness" };
    default:
      throw new BadMessage("unknown message type");
  }
}

function syncMessage(step: number, body: Uint8Array): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, SYNC);
  encoding.writeVarUint(encoder, step);
  encoding.writeVarUint8Array(encoder, body);
  return encoding.toUint8Array(encoder);
}

/** Asks the other side for what it has and `stateVector` lacks. */
export const syncStep1 = (stateVector: Uint8Array): Uint8Array => syncMessage(STEP_1, stateVector);
/** What the other side lacked; it is synced with this. */
export const syncStep2 = (update: Uint8Array): Uint8Array => syncMessage(STEP_2, update);
/** A change, its bytes as they came. */
export const updateMessage = (update: Uint8Array): Uint8Array => syncMessage(UPDATE, update);

/** States of people, already encoded. */
export function awarenessMessage(states: Uint8Array): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, AWARENESS);
  encoding.writeVarUint8Array(encoder, states);
  return encoding.toUint8Array(encoder);
}

/** Says nothing, so that a client that closes after 30 s without a message stays. */
export const SILENCE: Uint8Array = awarenessMessage(Uint8Array.of(0));
