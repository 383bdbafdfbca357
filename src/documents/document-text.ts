import * as Y from "yjs";
import type { StoredDocument } from "./log-repository.js";
import { diffText } from "./text-diff.js";

/** The update that makes an empty document hold `text`; undefined for an empty text. */
export function firstUpdate(text: string): Uint8Array | undefined {
  if (text === "") return undefined;
  const doc = new Y.Doc();
  doc.getText("content").insert(0, text);
  const update = Y.encodeStateAsUpdate(doc);
  doc.destroy();
  return update;
}

/** The text of a document as the log has it. */
export function storedText(stored: StoredDocument): string {
  return withDocument(stored, (_doc, content) => content.toJSON());
}

/** The smallest update that makes a document of the log hold `text`; undefined when it does. */
export function updateTo(stored: StoredDocument, text: string): Uint8Array | undefined {
  return withDocument(stored, (doc, content) => {
    const changes = diffText(content.toJSON(), text);
    if (changes.length === 0) return undefined;
    // As it comes out of the transaction: encoded by state vector it would hold every deletion the document ever saw.
    let made: Uint8Array | undefined;
    doc.once("update", (update: Uint8Array) => {
      made = update;
    });
    Y.transact(doc, () => {
      for (const { index, remove, insert } of changes) {
        if (remove > 0) content.delete(index, remove);
        if (insert !== "") content.insert(index, insert);
      }
    });
    return made;
  });
}

function withDocument<R>(stored: StoredDocument, work: (doc: Y.Doc, content: Y.Text) => R): R {
  const doc = new Y.Doc();
  try {
    Y.transact(doc, () => {
      if (stored.snapshot) Y.applyUpdate(doc, stored.snapshot.state);
      for (const { update } of stored.updates) Y.applyUpdate(doc, update);
    });
    return work(doc, doc.getText("content"));
  } finally {
    doc.destroy();
  }
}
