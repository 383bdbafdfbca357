import * as Y from "yjs";
import type { Person } from "../../kit/api.js";
import { type Editor, type EditorPackage, openEditor } from "../../kit/editors.js";
import type { Ledger } from "./ledger.js";
import type { Place } from "./site.js";
import { createTap, type Tap } from "./tap.js";

/** What a tab opens, where, and as whom. */
export interface TabTarget {
  readonly name: EditorPackage;
  readonly place: Place;
  readonly person: Person;
  readonly workspaceId: string;
  readonly path: string;
  /** Where its acknowledged edits are noted. */
  readonly ledger: Ledger;
}

/** One editor of one person: a real provider, watched. */
export interface Tab {
  readonly target: TabTarget;
  readonly doc: Y.Doc;
  readonly tap: Tap;
  readonly editor: Editor;
  /** Makes one edit somewhere. */
  edit(random: () => number): void;
  /** Gone without a goodbye, together with everything it had not sent. */
  crash(): void;
  close(): void;
}

/** A word as tabs type them, each once. */
export const WORD = /<\d+\.\d+>/g;

const RETRY_MS = 400;
/** A longer text is cut back. */
const LONG = 6_000;

/** Opens a tab. */
export function openTab(target: TabTarget): Tab {
  const { name, place, person, workspaceId, path, ledger } = target;
  const doc = new Y.Doc();
  const protocol = name.startsWith("y-websocket") ? "y-websocket" : "hocuspocus";
  const tap = createTap(protocol, (update) => ledger.acknowledge(update, doc));
  const at = { wsUrl: place.wsUrl, token: person.token, workspaceId, path };
  const editor = openEditor(name, { ...at, Socket: tap.Socket, retryMs: RETRY_MS }, doc);
  let edits = 0;
  let gone = false;

  function insert(random: () => number): void {
    edits += 1;
    editor.text.insert(Math.floor(random() * (editor.text.length + 1)), `<${doc.clientID}.${edits}>`);
  }

  /** Whole words only: halves of two words next to each other could look like a third. */
  function remove(count: number, random: () => number): void {
    const words = [...editor.text.toJSON().matchAll(WORD)];
    const first = Math.floor(random() * Math.max(1, words.length - count));
    doc.transact(() => {
      for (const word of words.slice(first, first + count).toReversed())
        editor.text.delete(word.index, word[0].length);
    });
  }

  return {
    target,
    doc,
    tap,
    editor,
    edit(random) {
      if (gone) return;
      const dice = random();
      if (editor.text.length > LONG) remove(60, random);
      else if (dice < 0.15) remove(1, random);
      else if (dice < 0.25) {
        doc.transact(() => {
          for (let i = 0; i < 4; i++) insert(random);
        });
      } else insert(random);
    },
    crash() {
      gone = true;
      tap.crash();
      editor.close();
    },
    close() {
      gone = true;
      editor.close();
    },
  };
}
