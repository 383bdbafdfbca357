import {
  HocuspocusProvider as Hocuspocus2,
  HocuspocusProviderWebsocket as Hocuspocus2Socket,
} from "hocuspocus-provider-2";
import {
  HocuspocusProvider as Hocuspocus3,
  HocuspocusProviderWebsocket as Hocuspocus3Socket,
} from "hocuspocus-provider-3";
import {
  HocuspocusProvider as Hocuspocus4,
  HocuspocusProviderWebsocket as Hocuspocus4Socket,
} from "hocuspocus-provider-4";
import { WebSocket } from "ws";
import { WebsocketProvider as YWebsocket1 } from "y-websocket-1";
import { WebsocketProvider as YWebsocket2 } from "y-websocket-2";
import { WebsocketProvider as YWebsocket3 } from "y-websocket-3";
import * as Y from "yjs";

/** The unmodified packages editors use. */
export const PACKAGES = [
  "y-websocket 1",
  "y-websocket 2",
  "y-websocket 3",
  "hocuspocus 2",
  "hocuspocus 3",
  "hocuspocus 4",
] as const;

/** One of {@link PACKAGES}. */
export type EditorPackage = (typeof PACKAGES)[number];

/** What the tests use of the providers; each has only some of it. */
export interface EditorProvider {
  readonly synced: boolean;
  readonly hasUnsyncedChanges: boolean;
  readonly unsyncedChanges: number;
  readonly wsconnected: boolean;
  shouldConnect: boolean;
  readonly ws: { terminate(): void };
  readonly awareness: Editor["awareness"] & {
    readonly states: Map<number, unknown>;
    readonly meta: Map<number, { clock: number }>;
    emit(name: string, args: readonly unknown[]): void;
  };
  readonly configuration?: { readonly websocketProvider: { destroy(): void } };
  on(event: "authenticationFailed", listener: (event: { reason: string }) => void): void;
  on(event: "connection-close", listener: () => void): void;
  destroy(): void;
}

/** An editor with one document open. */
export interface Editor {
  readonly doc: Y.Doc;
  readonly text: Y.Text;
  readonly awareness: {
    readonly clientID: number;
    getStates(): Map<number, Record<string, unknown>>;
    setLocalStateField(name: string, value: unknown): void;
    setLocalState(state: Record<string, unknown> | null): void;
  };
  /** The provider itself. */
  readonly provider: EditorProvider;
  /** Resolves when the provider says that it has everything. */
  synced(): Promise<void>;
  /** Resolves when the text fits. */
  reads(fits: string | ((text: string) => boolean), ms?: number): Promise<void>;
  close(): void;
}

/** Where and as whom to open a document. */
export interface EditorTarget {
  readonly wsUrl: string;
  readonly token: string;
  readonly workspaceId: string;
  readonly path: string;
  /** In the place of the socket of `ws`. */
  readonly Socket?: typeof WebSocket;
  /** How soon a provider comes back, in ms; default: as its package has it. */
  readonly retryMs?: number;
}

/** Waits until `look` gives something; rejects after `ms`. */
export async function until<T>(look: () => T | undefined | false, what: string, ms = 8_000): Promise<T> {
  const deadline = performance.now() + ms;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`${what} did not come about`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Opens a document with one of the packages. */
export function openEditor(name: EditorPackage, target: EditorTarget, doc = new Y.Doc()): Editor {
  const provider = (name.startsWith("y-websocket") ? openYWebsocket : openHocuspocus)(name, target, doc);
  const text = doc.getText("content");
  return {
    doc,
    text,
    provider,
    awareness: provider.awareness,
    async synced() {
      await until(() => provider.synced === true, `${name}: synced`);
    },
    async reads(fits, ms) {
      const ok = typeof fits === "string" ? (read: string) => read === fits : fits;
      await until(() => ok(text.toJSON()), `${name}: the text ${String(fits).slice(0, 60)}`, ms).catch(
        (error) => {
          throw new Error(`${error.message}; it reads ${JSON.stringify(text.toJSON().slice(0, 200))}`);
        },
      );
    },
    close() {
      provider.destroy();
      provider.configuration?.websocketProvider?.destroy();
      doc.destroy();
    },
  };
}

const Y_WEBSOCKETS = {
  "y-websocket 1": YWebsocket1,
  "y-websocket 2": YWebsocket2,
  "y-websocket 3": YWebsocket3,
};
const HOCUSPOCUSES = {
  "hocuspocus 2": [Hocuspocus2, Hocuspocus2Socket],
  "hocuspocus 3": [Hocuspocus3, Hocuspocus3Socket],
  "hocuspocus 4": [Hocuspocus4, Hocuspocus4Socket],
};
/** Any class: their options differ in type, not in what they are given here. */
type Constructor = new (...args: unknown[]) => unknown;

function openYWebsocket(
  name: string,
  { wsUrl, token, workspaceId, path, Socket = WebSocket, retryMs }: EditorTarget,
  doc: Y.Doc,
): EditorProvider {
  const Provider = Y_WEBSOCKETS[name as keyof typeof Y_WEBSOCKETS] as unknown as Constructor;
  const retry = retryMs === undefined ? {} : { maxBackoffTime: retryMs };
  const options = { params: { token }, WebSocketPolyfill: Socket, disableBc: true, ...retry };
  return new Provider(`${wsUrl}/yjs/${workspaceId}`, path, doc, options) as EditorProvider;
}

function openHocuspocus(
  name: string,
  { wsUrl, token, workspaceId, path, Socket = WebSocket, retryMs }: EditorTarget,
  doc: Y.Doc,
): EditorProvider {
  const [Provider, ProviderSocket] = HOCUSPOCUSES[name as keyof typeof HOCUSPOCUSES] as unknown as [
    Constructor,
    Constructor,
  ];
  const retry = retryMs === undefined ? {} : { delay: retryMs / 2, minDelay: retryMs / 2, maxDelay: retryMs };
  const websocketProvider = new ProviderSocket({
    url: `${wsUrl}/hocuspocus`,
    WebSocketPolyfill: Socket,
    ...retry,
  });
  const provider = new Provider({ websocketProvider, name: `${workspaceId}/${path}`, document: doc, token });
  (provider as { attach?: () => void }).attach?.();
  return provider as EditorProvider;
}
