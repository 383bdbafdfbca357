import type { Awareness } from "y-protocols/awareness";
import type * as Y from "yjs";
import type { Drafts } from "./document-drafts.js";
import type { AtelierError } from "./errors.js";

/**
 * How far a document is kept. `loading`: its content is not here yet; `saved`: the service has committed everything done here;
 * `saving`: something is on its way; `offline`: there is no connection, what is done here waits on this device.
 */
export type SaveState = "loading" | "saved" | "saving" | "offline";

/** What a live document tells its listeners. */
export interface DocumentSignals {
  state: SaveState;
  /** Whether you may change it; your role may change while it is open. */
  access: "read-write" | "readonly";
  /** Why it is closed, or what passes by itself: compare `closed`. */
  error: AtelierError;
}

/** A text file of a workspace that several people edit; bindings of Yjs take `text` and `awareness`. */
export interface LiveDocument {
  readonly doc: Y.Doc;
  /** `doc.getText("content")`. */
  readonly text: Y.Text;
  readonly awareness: Awareness;
  readonly state: SaveState;
  readonly readOnly: boolean;
  /** True while something done here is not committed by the service. */
  readonly unsaved: boolean;
  /** True when it will not connect again: `error` says why, `doc` keeps what it had. */
  readonly closed: boolean;
  readonly error: AtelierError | undefined;
  subscribe<Name extends keyof DocumentSignals>(
    name: Name,
    handler: (value: DocumentSignals[Name]) => void,
  ): () => void;
  /** Resolves when its content is here. @throws AtelierError when it closes instead. */
  ready(): Promise<void>;
  /** Resolves when everything done so far is committed. @throws AtelierError when it closes instead. */
  saved(): Promise<void>;
  /** Leaves it, after what is on its way is committed, or after some seconds; what is not kept stays on this device. */
  close(): void;
}

/** How a document is opened. */
export interface DocumentOptions {
  /** Give your own to have it filled. */
  readonly doc?: Y.Doc;
  /** Where edits wait that the service does not have yet; default IndexedDB, where there is one. False: nowhere. */
  readonly drafts?: Drafts | false;
}
