import type { Batch } from "../../documents/fan-out.js";
import type { Room, RoomClient, RoomEnd } from "../../documents/room.js";
import { can, type Role } from "../../projects/access.js";
import { binaryFrame } from "../frame.js";
import type { CloseName } from "../protocol.js";
import type { DocumentSocket } from "./document-socket.js";

/** Who opened a document, and as what. */
export interface SessionIdentity {
  readonly userId: string;
  readonly name: string;
  readonly projectId: string;
  /** The session of the account its token belongs to. */
  readonly sessionId: string;
}

/** A connection of an editor. */
export type EditorSocket = DocumentSocket<DocumentSession>;

/** How a protocol says what a room has to say. */
export interface SessionVoice {
  /** Stands before every message of this document. */
  readonly prefix: Uint8Array;
  kept(session: DocumentSession, update: Uint8Array): void;
  refused(session: DocumentSession): void;
  /** The role changed and the document stays open. */
  roleChanged(session: DocumentSession): void;
  /** The document is over for this client. */
  over(session: DocumentSession, close: CloseName, reason: string): void;
}

const ROOM_END: Readonly<Record<RoomEnd, CloseName>> = {
  gone: "gone",
  overloaded: "overloaded",
  restart: "restart",
};

/** One document on one connection. */
export class DocumentSession implements RoomClient {
  readonly userId: string;
  readonly name: string;
  readonly projectId: string;
  readonly sessionId: string;
  readonly #key: string;
  over = false;
  /** Counts look-ups of its access. */
  reviews = 0;
  askedForToken = false;

  constructor(
    identity: SessionIdentity,
    public role: Role,
    public expiresAt: number,
    readonly room: Room,
    readonly socket: EditorSocket,
    readonly voice: SessionVoice,
  ) {
    this.userId = identity.userId;
    this.name = identity.name;
    this.projectId = identity.projectId;
    this.sessionId = identity.sessionId;
    this.#key = Buffer.from(voice.prefix).toString("latin1");
  }

  get mayWrite(): boolean {
    return can(this.role, "file.write");
  }

  deliver(batch: Batch): void {
    if (this.over) return;
    this.socket.write(
      batch.framed(this.#key, (messages) => this.#frames(messages)),
      batch.kind,
    );
  }

  #frames(messages: readonly Uint8Array[]): Buffer {
    return Buffer.concat(messages.map((message) => binaryFrame(Buffer.concat([this.voice.prefix, message]))));
  }

  say(message: Uint8Array): void {
    if (!this.over) this.socket.say(this.voice.prefix, message);
  }

  kept(update: Uint8Array): void {
    if (!this.over) this.voice.kept(this, update);
  }

  refused(): void {
    if (!this.over) this.voice.refused(this);
  }

  end(reason: RoomEnd): void {
    this.finish(ROOM_END[reason], reason);
  }

  /** Leaves the room and tells the client. */
  finish(close: CloseName, reason: string): void {
    if (this.over) return;
    this.voice.over(this, close, reason);
    this.over = true;
    this.room.leave(this);
  }
}
