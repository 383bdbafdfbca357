import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
} from "@codemirror/autocomplete";
import { defaultKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, foldGutter, foldKeymap, indentOnInput } from "@codemirror/language";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import {
  drawSelection,
  dropCursor,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  rectangularSelection,
} from "@codemirror/view";
import { useEffect, useRef } from "react";
import { YSyncConfig, ySync, ySyncFacet } from "y-codemirror.next";
import type { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { editorTheme } from "./editor-theme.js";
import { grammarOf } from "./languages.js";
import { remoteCursors } from "./remote-cursors.js";

/** Longest text that may be put in at once: one message of the sockets carries it with room to spare. */
export const MOST_PASTED = 4_000_000;

/** A text that several people edit. */
export function CodeEditor({
  text,
  awareness,
  path,
  readOnly,
  hidden,
  onRun,
  onTooMuch,
}: {
  readonly text: Y.Text;
  readonly awareness: Awareness;
  readonly path: string;
  readonly readOnly: boolean;
  /** Kept as it is, out of sight. */
  readonly hidden: boolean;
  /** Mod-Enter. */
  readonly onRun: () => void;
  /** More was pasted or dropped than one message can carry; nothing was put in. */
  readonly onTooMuch: (length: number) => void;
}) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | undefined>(undefined);
  const access = useRef(new Compartment());
  const handlers = useRef({ onRun, onTooMuch });
  handlers.current = { onRun, onTooMuch };
  const initial = useRef(readOnly);

  useEffect(() => {
    if (!host.current) return;
    const grammar = new Compartment();
    const undo = new Y.UndoManager(text, { captureTimeout: 400 });
    const sync = new YSyncConfig(text, awareness);
    undo.addTrackedOrigin(sync);
    const editor = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: text.toJSON(),
        extensions: [
          editing(),
          editorTheme(),
          ySyncFacet.of(sync),
          ySync,
          remoteCursors({ text, awareness }),
          keymap.of([
            { key: "Mod-Enter", run: () => (handlers.current.onRun(), true), preventDefault: true },
            ...undoKeys(undo),
          ]),
          limited((length) => handlers.current.onTooMuch(length)),
          grammar.of([]),
          access.current.of(accessOf(initial.current)),
          EditorView.contentAttributes.of({
            tabindex: "0",
            "aria-label": `${path}, text editor. Escape, then Tab, leaves it.`,
          }),
        ],
      }),
    });
    view.current = editor;
    void grammarOf(path)?.then((support) => {
      if (view.current === editor) editor.dispatch({ effects: grammar.reconfigure(support) });
    });
    return () => {
      view.current = undefined;
      editor.destroy();
      undo.destroy();
    };
  }, [text, awareness, path]);

  useEffect(() => {
    initial.current = readOnly;
    view.current?.dispatch({ effects: access.current.reconfigure(accessOf(readOnly)) });
  }, [readOnly]);

  return <div className="code-editor" ref={host} hidden={hidden} />;
}

function accessOf(readOnly: boolean): Extension {
  return [EditorState.readOnly.of(readOnly), EditorView.editable.of(!readOnly)];
}

function editing(): Extension {
  return [
    lineNumbers(),
    highlightActiveLineGutter(),
    highlightSpecialChars(),
    foldGutter(),
    drawSelection(),
    dropCursor(),
    EditorState.allowMultipleSelections.of(true),
    EditorState.tabSize.of(2),
    indentOnInput(),
    bracketMatching(),
    closeBrackets(),
    autocompletion(),
    rectangularSelection(),
    highlightActiveLine(),
    highlightSelectionMatches(),
    search({ top: true }),
    keymap.of([
      ...closeBracketsKeymap,
      ...defaultKeymap.filter(({ key }) => key !== "Mod-Enter"),
      ...searchKeymap,
      ...foldKeymap,
      ...completionKeymap,
      indentWithTab,
    ]),
  ];
}

/** Undoing takes back what this person did, not what others did meanwhile. */
function undoKeys(undo: Y.UndoManager): readonly { readonly key: string; readonly run: () => boolean }[] {
  const back = () => undo.undo() !== null || true;
  const again = () => undo.redo() !== null || true;
  return [
    { key: "Mod-z", run: back },
    { key: "Mod-y", run: again },
    { key: "Mod-Shift-z", run: again },
  ];
}

function limited(onTooMuch: (length: number) => void): Extension {
  return EditorState.transactionFilter.of((transaction) => {
    if (!transaction.docChanged || !transaction.isUserEvent("input")) return transaction;
    let added = 0;
    transaction.changes.iterChanges((_fromA, _toA, _fromB, _toB, inserted) => (added += inserted.length));
    if (added <= MOST_PASTED) return transaction;
    queueMicrotask(() => onTooMuch(added));
    return [];
  });
}
