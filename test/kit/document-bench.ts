import * as Y from "yjs";
import type { Clock } from "../../src/platform/clock.js";
import type { Person } from "./api.js";
import { startTestNode, type TestNode } from "./app.js";
import { type Editor, type EditorPackage, openEditor } from "./editors.js";
import { createTestDatabase, type TestDatabase } from "./postgres.js";

/** A node with a project of Ada (Owner), Cy (Collaborator), Vera (Viewer), and Mallory outside. */
export interface DocumentBench {
  readonly node: TestNode;
  readonly ada: Person;
  readonly cy: Person;
  readonly vera: Person;
  readonly mallory: Person;
  readonly projectId: string;
  readonly workspaceId: string;
  /** Opens a document; closed by {@link closeEditors}. */
  edit(name: EditorPackage, path: string, who?: Person, at?: TestNode, doc?: Y.Doc): Editor;
  readonly database: TestDatabase;
  closeEditors(): void;
  file(path: string): string;
  put(
    path: string,
    text: string,
    headers?: Record<string, string>,
    who?: Person,
  ): ReturnType<TestNode["api"]["request"]>;
  read(path: string, who?: Person): Promise<string>;
  stop(): Promise<void>;
}

/** Starts the bench. */
export async function startDocumentBench(
  options: {
    readonly env?: Record<string, string>;
    readonly database?: TestDatabase;
    readonly clock?: Clock;
  } = {},
): Promise<DocumentBench> {
  const database = options.database ?? (await createTestDatabase());
  const node = await startTestNode({ ...options, database });
  const ada = await node.api.person("Ada Lovelace");
  const cy = await node.api.person("Cy Twombly");
  const vera = await node.api.person("Vera Rubin");
  const mallory = await node.api.person("Mallory");
  const projectId = await node.api.project(ada, [
    [cy, "collaborator"],
    [vera, "viewer"],
  ]);
  const made = await node.api.post(`/projects/${projectId}/workspaces`, { name: "Engine" }, ada.token);
  const workspaceId = made.body.workspace.id as string;
  const editors: Editor[] = [];
  const file = (path: string) => `/workspaces/${workspaceId}/files/${path}`;
  return {
    node,
    ada,
    cy,
    vera,
    mallory,
    projectId,
    workspaceId,
    file,
    database,
    edit(name, path, who = ada, at = node, doc = new Y.Doc()) {
      const editor = openEditor(name, { wsUrl: at.wsUrl, token: who.token, workspaceId, path }, doc);
      editors.push(editor);
      return editor;
    },
    closeEditors() {
      for (const editor of editors.splice(0)) editor.close();
    },
    put: (path, text, headers = {}, who = ada) =>
      node.api.request("PUT", file(path), {
        token: who.token,
        raw: text,
        headers: { "content-type": "text/plain", ...headers },
      }),
    read: async (path, who = ada) => (await node.api.get(file(path), who.token)).body as unknown as string,
    async stop() {
      for (const editor of editors.splice(0)) editor.close();
      await node.stop();
      if (!options.database) await database.close();
    },
  };
}
