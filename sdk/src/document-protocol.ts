import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";

/** What the service says about one document. */
export type DocumentMessage =
  | { readonly kind: "step1"; readonly stateVector: Uint8Array }
  | { readonly kind: "update"; readonly update: Uint8Array; readonly whole: boolean }
  | { readonly kind: "awareness"; readonly states: Uint8Array }
  | { readonly kind: "admitted"; readonly mayWrite: boolean }
  | { readonly kind: "denied"; readonly reason: string }
  | { readonly kind: "token_wanted" }
  | { readonly kind: "kept"; readonly kept: boolean }
  | { readonly kind: "other" };

const SYNC = 0;
const AWARENESS = 1;
const AUTH = 2;
const SYNC_REPLY = 4;
const STATUS = 8;
const STEP_1 = 0;
const STEP_2 = 1;

/** The ping of the whole connection. */
export const PING = Uint8Array.of(9);

/** Frames of one document, in the framing of Hocuspocus, which answers every update once it is kept. */
export interface DocumentFrames {
  auth(token: string): Uint8Array;
  step1(stateVector: Uint8Array): Uint8Array;
  step2(update: Uint8Array): Uint8Array;
  update(update: Uint8Array): Uint8Array;
  awareness(states: Uint8Array): Uint8Array;
  /** @throws Error for bytes that are no frame. */
  read(bytes: Uint8Array): DocumentMessage;
}

/** Frames that begin with `name`, such as `<workspaceId>/<path>`. */
export function createDocumentFrames(name: string): DocumentFrames {
  const frame = (type: number, write: (encoder: encoding.Encoder) => void) =>
    encoding.encode((encoder) => {
      encoding.writeVarString(encoder, name);
      encoding.writeVarUint(encoder, type);
      write(encoder);
    });
  const sync = (step: number, bytes: Uint8Array) =>
    frame(SYNC, (encoder) => {
      encoding.writeVarUint(encoder, step);
      encoding.writeVarUint8Array(encoder, bytes);
    });
  return {
    auth: (token) =>
      frame(AUTH, (encoder) => {
        encoding.writeVarUint(encoder, 0);
        encoding.writeVarString(encoder, token);
      }),
    step1: (stateVector) => sync(STEP_1, stateVector),
    step2: (update) => sync(STEP_2, update),
    update: (update) => sync(2, update),
    awareness: (states) => frame(AWARENESS, (encoder) => encoding.writeVarUint8Array(encoder, states)),
    read,
  };
}

function read(bytes: Uint8Array): DocumentMessage {
  // Pings and pongs of the whole connection are single bytes.
  if (bytes.length === 1) return { kind: "other" };
  const decoder = decoding.createDecoder(bytes);
  decoding.readVarString(decoder);
  switch (decoding.readVarUint(decoder)) {
    case SYNC:
    case SYNC_REPLY: {
      const step = decoding.readVarUint(decoder);
      const content = decoding.readVarUint8Array(decoder);
      return step === STEP_1
        ? { kind: "step1", stateVector: content }
        : { kind: "update", update: content, whole: step === STEP_2 };
    }
    case AWARENESS:
      return { kind: "awareness", states: decoding.readVarUint8Array(decoder) };
    case AUTH:
      return readAuth(decoder);
    case STATUS:
      return { kind: "kept", kept: decoding.readVarUint(decoder) === 1 };
    default:
      return { kind: "other" };
  }
}

function readAuth(decoder: decoding.Decoder): DocumentMessage {
  switch (decoding.readVarUint(decoder)) {
    case 1:
      return { kind: "denied", reason: decoding.readVarString(decoder) };
    case 2:
      return { kind: "admitted", mayWrite: decoding.readVarString(decoder) === "read-write" };
    default:
      return { kind: "token_wanted" };
  }
}
