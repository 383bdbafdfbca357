import { type Extension, Facet, RangeSet } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  type EditorView,
  ViewPlugin,
  type ViewUpdate,
  WidgetType,
} from "@codemirror/view";
import type { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { colourOf } from "../ui/avatar.js";

/** How long a name stands beside a cursor that moved, in ms. */
const NAME_MS = 2_500;

interface Source {
  readonly text: Y.Text;
  readonly awareness: Awareness;
}

/** A state of somebody else; the server has written `user`. */
interface RemoteState {
  readonly user?: { readonly id?: string; readonly name?: string };
  readonly cursor?: { readonly anchor: unknown; readonly head: unknown } | null;
}

const source = Facet.define<Source, Source | undefined>({ combine: (given) => given.at(-1) });

class Caret extends WidgetType {
  constructor(
    readonly name: string,
    readonly colour: string,
    readonly fresh: boolean,
  ) {
    super();
  }

  override eq(other: Caret): boolean {
    return other.name === this.name && other.colour === this.colour && other.fresh === this.fresh;
  }

  toDOM(): HTMLElement {
    const caret = document.createElement("span");
    caret.className = this.fresh ? "remote-caret remote-caret-fresh" : "remote-caret";
    // Written through the style object: an attribute would be refused by the page's policy.
    caret.style.setProperty("--who", this.colour);
    const label = document.createElement("span");
    label.className = "remote-name";
    label.textContent = this.name;
    caret.append("\u2060", label, "\u2060");
    return caret;
  }

  override updateDOM(dom: HTMLElement): boolean {
    dom.className = this.fresh ? "remote-caret remote-caret-fresh" : "remote-caret";
    dom.style.setProperty("--who", this.colour);
    const label = dom.querySelector(".remote-name");
    if (label) label.textContent = this.name;
    return true;
  }

  override get estimatedHeight(): number {
    return -1;
  }

  override ignoreEvent(): boolean {
    return true;
  }
}

class RemoteCursors {
  decorations: DecorationSet = RangeSet.empty;
  readonly #moved = new Map<number, { at: number; key: string }>();
  readonly #source: Source | undefined;
  readonly #onAwareness: (change: { added: number[]; updated: number[]; removed: number[] }) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly view: EditorView) {
    this.#source = view.state.facet(source);
    this.#onAwareness = ({ added, updated, removed }) => {
      const own = this.#source?.awareness.clientID;
      if ([...added, ...updated, ...removed].some((id) => id !== own)) this.#redraw();
    };
    this.#source?.awareness.on("change", this.#onAwareness);
    this.#compute();
  }

  update(update: ViewUpdate): void {
    this.#tell(update);
    this.#compute();
  }

  destroy(): void {
    clearTimeout(this.#timer);
    this.#source?.awareness.off("change", this.#onAwareness);
    this.#source?.awareness.setLocalStateField("cursor", null);
  }

  #redraw(): void {
    this.view.dispatch({});
  }

  /** Tells the others where the own cursor is, as a place in the document that moves with it. */
  #tell(update: ViewUpdate): void {
    const given = this.#source;
    if (!given || !(update.selectionSet || update.docChanged || update.focusChanged)) return;
    const { awareness, text } = given;
    const state = awareness.getLocalState() as RemoteState | null;
    if (state === null) return;
    if (!update.view.hasFocus) return;
    const { anchor, head } = update.state.selection.main;
    const place = (position: number) => Y.createRelativePositionFromTypeIndex(text, position);
    const cursor = { anchor: place(anchor), head: place(head) };
    const before = state.cursor;
    if (before && same(before.anchor, cursor.anchor) && same(before.head, cursor.head)) return;
    awareness.setLocalStateField("cursor", cursor);
  }

  #compute(): void {
    const given = this.#source;
    if (!given?.text.doc) return;
    const { awareness, text } = given;
    const now = Date.now();
    const ranges = [];
    let soonest = Number.POSITIVE_INFINITY;
    for (const [client, held] of awareness.getStates()) {
      const { cursor, user } = held as RemoteState;
      if (client === awareness.clientID || !cursor) continue;
      const anchor = positionOf(cursor.anchor, text);
      const head = positionOf(cursor.head, text);
      const { length } = this.view.state.doc;
      if (anchor === undefined || head === undefined || anchor > length || head > length) continue;
      const key = `${anchor} ${head}`;
      const last = this.#moved.get(client);
      if (last?.key !== key) this.#moved.set(client, { at: now, key });
      const left = (this.#moved.get(client)?.at ?? 0) + NAME_MS - now;
      if (left > 0) soonest = Math.min(soonest, left);
      const colour = colourOf(user?.id ?? String(client));
      if (anchor !== head) {
        const attributes = { style: `background-color: ${colour}26` };
        ranges.push(Decoration.mark({ attributes }).range(Math.min(anchor, head), Math.max(anchor, head)));
      }
      const widget = new Caret(user?.name ?? "Somebody", colour, left > 0);
      ranges.push(Decoration.widget({ widget, side: head > anchor ? -1 : 1 }).range(head));
    }
    clearTimeout(this.#timer);
    if (Number.isFinite(soonest)) this.#timer = setTimeout(() => this.#redraw(), soonest + 20);
    this.decorations = Decoration.set(ranges, true);
  }
}

function positionOf(json: unknown, text: Y.Text): number | undefined {
  try {
    const position = Y.createRelativePositionFromJSON(
      json as Parameters<typeof Y.createRelativePositionFromJSON>[0],
    );
    const found = text.doc && Y.createAbsolutePositionFromRelativePosition(position, text.doc);
    return found?.type === text ? found.index : undefined;
  } catch {
    return undefined;
  }
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Cursors and selections of the others, in their colours, with their names while they move. */
export function remoteCursors(given: Source): Extension {
  const plugin = ViewPlugin.fromClass(RemoteCursors, { decorations: ({ decorations }) => decorations });
  return [source.of(given), plugin];
}
