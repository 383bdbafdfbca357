import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { BadMessage, type ClientMessage, readBody, strictly } from "./sync-protocol.js";

/** One frame of a Hocuspocus provider. */
export type HocuspocusFrame =
  | { readonly kind: "ping" | "pong" }
  | {
      readonly kind: "document";
      /** The first string as it came; every frame to this document of this client begins with it. */
      readonly key: string;
      /** The document it names, without the session some providers append. */
      readonly name: string;
      readonly message: HocuspocusMessage;
    };

/** What a frame says about its document. */
export type HocuspocusMessage =
  | { readonly kind: "auth"; readonly token: string; readonly version: string | undefined }
  | { readonly kind: "close" }
  | { readonly kind: "stateless" }
  | { readonly kind: "shared"; readonly message: ClientMessage };

const AUTH = 2;
const STATELESS = 5;
const CLOSE = 7;
const SYNC_STATUS = 8;
const PING = 9;
const PONG = 10;

/** Longest name with its session: a workspace, a path, and what a provider appends. */
const MAX_KEY = 1_200;

/** Reads one frame; @throws BadMessage. */
export function readHocuspocusFrame(bytes: Uint8Array): HocuspocusFrame {
  if (bytes.length === 1 && bytes[0] === PING) return { kind: "ping" };
  if (bytes.length === 1 && bytes[0] === PONG) return { kind: "pong" };
  return strictly(() => {
    const decoder = decoding.createDecoder(bytes);
    const key = decoding.readVarString(decoder);
    if (key.length > MAX_KEY) throw new BadMessage("the document's name is too long");
    return {
      kind: "document",
      key,
      name: key.split("\u0000")[0] ?? "",
      message: readMessage(decoding.readVarUint(decoder), decoder),
    };
  });
}

function readMessage(type: number, decoder: decoding.Decoder): HocuspocusMessage {
  switch (type) {
    case AUTH: {
      if (decoding.readVarUint(decoder) !== 0) throw new BadMessage("not a token");
      const token = decoding.readVarString(decoder);
      const version = decoding.hasContent(decoder) ? decoding.readVarString(decoder) : undefined;
      return { kind: "auth", token, version };
    }
    case STATELESS:
      return { kind: "stateless" };
    case CLOSE:
      return { kind: "close" };
    default:
      return { kind: "shared", message: readBody(type, decoder) };
  }
}

/** The first string of every frame of a document. */
export function hocuspocusPrefix(key: string): Uint8Array {
  return encoding.encode((encoder) => encoding.writeVarString(encoder, key));
}

/** The token was good; the client may now write, or only read. */
export function authenticated(scope: "readonly" | "read-write"): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, AUTH);
    encoding.writeVarUint(encoder, 2);
    encoding.writeVarString(encoder, scope);
  });
}

/** The client may not have this document. */
export function permissionDenied(reason: string): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, AUTH);
    encoding.writeVarUint(encoder, 1);
    encoding.writeVarString(encoder, reason);
  });
}

/** Asks for a fresh token; providers of version 3 and later answer. */
export const TOKEN_REQUEST: Uint8Array = Uint8Array.of(AUTH, 0);

/** Whether one update is kept, or was refused. */
export function syncStatus(kept: boolean): Uint8Array {
  return Uint8Array.of(SYNC_STATUS, kept ? 1 : 0);
}

/** The answer to a bare ping of the whole connection. */
export const HOCUSPOCUS_PONG: Uint8Array = Uint8Array.of(PONG);
