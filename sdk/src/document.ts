import {
  Awareness,
  applyAwarenessUpdate,
  encodeAwarenessUpdate,
  removeAwarenessStates,
} from "y-protocols/awareness";
import * as Y from "yjs";
import type { Client } from "./client.js";
import { createDrafts } from "./document-drafts.js";
import { createDocumentFrames, type DocumentMessage, PING } from "./document-protocol.js";
import { denialOf, isStale, stopOf } from "./document-refusals.js";
import type { DocumentOptions, DocumentSignals, LiveDocument, SaveState } from "./document-types.js";
import { AtelierError } from "./errors.js";
import { createLink, type LinkState, type Verdict } from "./link.js";
import { createListeners } from "./listeners.js";

const DRAFT_MS = 250;
const LEAVE_MS = 10_000;
/** Opens the text file at `path` as a live document. */
export function openDocument(
  client: Client,
  workspaceId: string,
  path: string,
  options: DocumentOptions = {},
): LiveDocument {
  const { session, sockets } = client.connection;
  const doc = options.doc ?? new Y.Doc();
  const text = doc.getText("content");
  const awareness = new Awareness(doc);
  const frames = createDocumentFrames(`${workspaceId}/${path}`);
  const drafts = options.drafts === false ? undefined : (options.drafts ?? createDrafts());
  const draftName = `${client.url} ${session.user?.id ?? ""} ${workspaceId}/${path}`;
  const signals = {
    state: createListeners<SaveState>(),
    access: createListeners<DocumentSignals["access"]>(),
    error: createListeners<AtelierError>(),
  };
  const origin = { service: path };
  let state: SaveState = "loading";
  let readOnly = false;
  let loaded = false;
  /** This connection has exchanged what each side lacked. */
  let synced = false;
  /** Updates that were sent over this connection and not answered. */
  let unanswered = 0;
  /** Something done here is not committed, as far as is known. */
  let dirty = false;
  /** The service refused something: a role was taken away while typing. */
  let refused = false;
  let closed = false;
  let leaving = false;
  let error: AtelierError | undefined;
  let rejected: string | undefined;
  let token = "";
  let draftTimer: ReturnType<typeof setTimeout> | undefined;
  let leaveTimer: ReturnType<typeof setTimeout> | undefined;

  const link = createLink({
    sockets,
    ping: PING,
    async address(base) {
      token = await session.accessToken(rejected);
      return { url: `${base}/hocuspocus`, protocols: [] };
    },
    probe: () => client.call("getWorkspace", { params: { workspaceId }, retries: 0 }),
    judge,
    onOpen: () => void link.send(frames.auth(token)),
    onMessage: receive,
    onState: linkChanged,
    onTrouble: (trouble) => signals.error.tell(trouble),
  });

  function judge(code: number): Verdict {
    if (code === 4401) {
      rejected = token;
      return { waitMs: 0 };
    }
    const stop = stopOf(code);
    if (stop) return { stop };
    return { waitMs: code === 4429 ? 5_000 : code === 1013 ? 1_000 : 0 };
  }

  function linkChanged(next: LinkState, why: AtelierError | undefined): void {
    if (next !== "connected") {
      synced = false;
      unanswered = 0;
      const others = [...awareness.getStates().keys()].filter((id) => id !== doc.clientID);
      removeAwarenessStates(awareness, others, origin);
    }
    if (next === "closed") end(why);
    show();
  }

  /** Computes what is true now, and tells whoever listens. */
  function show(): void {
    const next: SaveState = !loaded
      ? link.state === "reconnecting" || closed
        ? "offline"
        : "loading"
      : link.state !== "connected"
        ? "offline"
        : synced && unanswered === 0 && !dirty
          ? "saved"
          : "saving";
    if (next === state) return;
    state = next;
    signals.state.tell(state);
  }

  function receive(data: unknown): void {
    let message: DocumentMessage;
    try {
      message = frames.read(new Uint8Array(data as ArrayBuffer));
      handle(message);
    } catch (cause) {
      signals.error.tell(
        new AtelierError("unreadable_answer", "The service sent a message that cannot be read.", { cause }),
      );
      link.drop();
    }
    show();
  }

  function handle(message: DocumentMessage): void {
    switch (message.kind) {
      case "admitted":
        admitted(message.mayWrite);
        return;
      case "denied":
        denied(message.reason);
        return;
      case "token_wanted":
        void present();
        return;
      case "step1":
        sendCounted(frames.step2(Y.encodeStateAsUpdate(doc, message.stateVector)));
        return;
      case "update":
        Y.applyUpdate(doc, message.update, origin);
        if (message.whole) {
          synced = true;
          loaded = true;
          settle();
        }
        return;
      case "awareness":
        applyAwarenessUpdate(awareness, message.states, origin);
        return;
      case "kept":
        answered(message.kept);
        return;
      case "other":
        return;
    }
  }

  function admitted(mayWrite: boolean): void {
    const first = link.state !== "connected";
    rejected = undefined;
    if (readOnly === mayWrite) {
      readOnly = !mayWrite;
      signals.access.tell(readOnly ? "readonly" : "read-write");
    }
    if (first) {
      link.greeted();
      link.send(frames.step1(Y.encodeStateVector(doc)));
      if (awareness.getLocalState() !== null)
        link.send(frames.awareness(encodeAwarenessUpdate(awareness, [doc.clientID])));
    } else if (mayWrite && refused) sendCounted(frames.update(Y.encodeStateAsUpdate(doc)));
    if (mayWrite) refused = false;
  }

  function denied(reason: string): void {
    if (isStale(reason) && rejected !== token) {
      rejected = token;
      link.drop();
      return;
    }
    stop(denialOf(reason));
  }

  function sendCounted(frame: Uint8Array): void {
    if (link.send(frame)) unanswered += 1;
  }

  function answered(kept: boolean): void {
    unanswered = Math.max(0, unanswered - 1);
    if (!kept) refused = true;
    settle();
  }

  /** Both sides have everything, and the service has committed what came from here. */
  function settle(): void {
    if (unanswered > 0 || !synced || refused) return;
    dirty = false;
    clearTimeout(draftTimer);
    draftTimer = undefined;
    void drafts?.remove(draftName);
    if (leaving) stop(undefined);
  }

  function changed(update: Uint8Array, from: unknown): void {
    if (from === origin) return;
    dirty = true;
    keepDraft();
    if (link.state === "connected") sendCounted(frames.update(update));
    show();
  }

  /** The whole state, while something of it is not committed: it can be shown and edited again without a connection. */
  function keepDraft(): void {
    if (!drafts) return;
    draftTimer ??= setTimeout(() => {
      draftTimer = undefined;
      if (dirty) void drafts.save(draftName, Y.encodeStateAsUpdate(doc));
    }, DRAFT_MS);
  }

  function pointed(
    { added, updated, removed }: { added: number[]; updated: number[]; removed: number[] },
    from: unknown,
  ): void {
    if (from === origin) return;
    const own = [...added, ...updated, ...removed].filter((id) => id === doc.clientID);
    if (own.length > 0 && link.state === "connected")
      link.send(frames.awareness(encodeAwarenessUpdate(awareness, own)));
  }

  async function present(): Promise<void> {
    try {
      offer(await session.accessToken());
    } catch (trouble) {
      // Whether the session lives, its own renewal says; the service closes the socket otherwise.
      if (trouble instanceof AtelierError) signals.error.tell(trouble);
    }
  }

  function offer(next: string): void {
    if (next === token || link.state !== "connected") return;
    token = next;
    link.send(frames.auth(token));
  }

  function stop(why: AtelierError | undefined): void {
    error ??= why;
    link.stop();
  }

  function end(why: AtelierError | undefined): void {
    if (closed) return;
    closed = true;
    error ??= why;
    clearTimeout(leaveTimer);
    for (const off of unfollow) off();
    doc.off("update", changed);
    awareness.off("update", pointed);
    if (draftTimer !== undefined) {
      clearTimeout(draftTimer);
      if (dirty) void drafts?.save(draftName, Y.encodeStateAsUpdate(doc));
    }
    awareness.destroy();
    if (error) signals.error.tell(error);
  }

  async function begin(): Promise<void> {
    const draft = await drafts?.load(draftName);
    if (closed) return;
    if (draft) {
      Y.applyUpdate(doc, draft, origin);
      dirty = true;
      loaded = true;
    }
    link.start();
    show();
  }

  function when(done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (done()) resolve();
        else if (closed) reject(error ?? new AtelierError("closed", "The document was closed."));
        else return;
        for (const off of offs) off();
      };
      const offs = [signals.state.add(look), signals.error.add(look)];
      look();
    });
  }

  doc.on("update", changed);
  awareness.on("update", pointed);
  const unfollow = [
    session.onToken(offer),
    session.onChange((now) => {
      if (now.status === "signed_out")
        stop(now.reason ?? new AtelierError("unauthenticated", "Signed out.", { status: 401 }));
    }),
  ];
  void begin();

  return {
    doc,
    text,
    awareness,
    get state() {
      return state;
    },
    get readOnly() {
      return readOnly;
    },
    get unsaved() {
      return dirty || unanswered > 0;
    },
    get closed() {
      return closed;
    },
    get error() {
      return error;
    },
    subscribe: (name, handler) => (signals[name] as ReturnType<typeof createListeners<never>>).add(handler),
    ready: () => when(() => loaded),
    saved: () => when(() => state === "saved"),
    close() {
      if (closed || leaving) return;
      awareness.setLocalState(null);
      if (!dirty || link.state !== "connected") {
        stop(undefined);
        return;
      }
      leaving = true;
      leaveTimer = setTimeout(() => stop(undefined), LEAVE_MS);
    },
  };
}

export type { Drafts } from "./document-drafts.js";
export type { DocumentOptions, DocumentSignals, LiveDocument, SaveState } from "./document-types.js";
