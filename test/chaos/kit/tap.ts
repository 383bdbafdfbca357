import * as decoding from "lib0/decoding";
import { WebSocket } from "ws";

const SYNC = 0;
const SYNC_REPLY = 4;
const SYNC_STATUS = 8;
const STEP_2 = 1;
const UPDATE = 2;

/** Listens to what an unmodified provider sends and is told, and knows from it what was acknowledged. */
export interface Tap {
  /** The class of sockets to give to the provider. */
  readonly Socket: typeof WebSocket;
  /** Updates that were sent on the connection there is now and not acknowledged yet. */
  readonly unanswered: number;
  /** Codes the connections were closed with. */
  readonly closes: readonly number[];
  /** Cuts the connection, and every one to come, like a computer that loses its power. */
  crash(): void;
  /** Cuts the connection; the provider opens another one. */
  cut(): void;
}

/**
 * A tap on one provider. Hocuspocus acknowledges each update it is sent with one status, in their order, y-websocket by
 * sending it back. The echo of an answer to a state vector does not count: another client can have sent the same bytes.
 */
export function createTap(
  protocol: "y-websocket" | "hocuspocus",
  acknowledged: (update: Uint8Array) => void,
): Tap {
  let dead = false;
  let current: TappedSocket | undefined;
  const closes: number[] = [];

  class TappedSocket extends WebSocket {
    sent: Uint8Array[] = [];
    /** After a refusal it is not known any more which status belongs to which update. */
    refused = false;

    constructor(...args: ConstructorParameters<typeof WebSocket>) {
      super(...args);
      opened(this);
      this.on("message", (data: ArrayBuffer | Buffer) => {
        if (!dead) hear(this, new Uint8Array(data as ArrayBuffer));
      });
      this.on("close", (code) => closes.push(code));
      this.on("error", () => undefined);
      if (dead) this.terminate();
    }

    override send(data: Uint8Array): void {
      if (dead || this.readyState !== WebSocket.OPEN) return;
      const update = updateIn(data);
      if (update) this.sent.push(update);
      super.send(data);
    }
  }

  function opened(socket: TappedSocket): void {
    current = socket;
  }

  function updateIn(data: Uint8Array): Uint8Array | undefined {
    if (data.length < 2) return undefined;
    const decoder = decoding.createDecoder(data);
    if (protocol === "hocuspocus") decoding.readVarString(decoder);
    const type = decoding.readVarUint(decoder);
    if (type !== SYNC && type !== SYNC_REPLY) return undefined;
    const step = decoding.readVarUint(decoder);
    if (step !== UPDATE && (step !== STEP_2 || protocol === "y-websocket")) return undefined;
    return decoding.readVarUint8Array(decoder).slice();
  }

  function hear(socket: TappedSocket, data: Uint8Array): void {
    const decoder = decoding.createDecoder(data);
    if (protocol === "y-websocket") {
      if (decoding.readVarUint(decoder) !== SYNC || decoding.readVarUint(decoder) !== UPDATE) return;
      const update = decoding.readVarUint8Array(decoder);
      const at = socket.sent.findIndex((each) => Buffer.compare(each, update) === 0);
      if (at < 0) return;
      socket.sent.splice(at, 1);
      acknowledged(update);
      return;
    }
    if (data.length < 2) return;
    decoding.readVarString(decoder);
    if (decoding.readVarUint(decoder) !== SYNC_STATUS) return;
    if (decoding.readVarUint(decoder) !== 1) socket.refused = true;
    const update = socket.sent.shift();
    if (update && !socket.refused) acknowledged(update);
  }

  return {
    Socket: TappedSocket as unknown as typeof WebSocket,
    get unanswered() {
      return current?.sent.length ?? 0;
    },
    closes,
    crash() {
      dead = true;
      current?.terminate();
    },
    cut: () => current?.terminate(),
  };
}
