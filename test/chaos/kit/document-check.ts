import { sql } from "kysely";
import * as Y from "yjs";
import type { TestDatabase } from "../../kit/postgres.js";
import { WORD } from "./tab.js";

/** A document as its log has it. */
export interface Rebuilt {
  readonly path: string;
  readonly doc: Y.Doc;
  /** Every client of whom the log has something. */
  readonly clients: ReadonlySet<number>;
  readonly rows: number;
}

/** Builds every document of a workspace from the log alone, with nothing of the server's code. */
export async function rebuild({ database }: TestDatabase, workspaceId: string): Promise<Rebuilt[]> {
  const { rows: files } = await sql<{ id: string; path: string }>`
    select id, path from files where workspace_id = ${workspaceId} order by path`.execute(database.tables());
  return Promise.all(
    files.map(async ({ id, path }) => {
      const { rows } = await sql<{ bytes: Buffer }>`
        with newest as (
          select upto_seq, state from document_snapshots where document_id = ${id} order by upto_seq desc limit 1
        )
        select bytes from (
          select upto_seq as seq, state as bytes from newest
          union all
          select seq, update from document_updates
          where document_id = ${id} and seq > coalesce((select upto_seq from newest), 0)
        ) as log order by seq`.execute(database.tables());
      const doc = new Y.Doc();
      const clients = new Set<number>();
      for (const { bytes } of rows) {
        Y.applyUpdate(doc, bytes);
        for (const { id: at } of Y.decodeUpdate(bytes).structs) clients.add(at.client);
      }
      return { path, doc, clients, rows: rows.length };
    }),
  );
}

/** State vector and deletions, as bytes: equal for two documents exactly when they have the same edits. */
export function fingerprint(doc: Y.Doc): string {
  return Buffer.from(Y.encodeSnapshot(Y.snapshot(doc))).toString("base64");
}

/** Words of tabs that are in the text more than once. */
export function wordsTwice(text: string): string[] {
  const seen = new Set<string>();
  const twice: string[] = [];
  for (const [word] of text.matchAll(WORD)) {
    if (seen.has(word)) twice.push(word);
    seen.add(word);
  }
  return twice;
}
