import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { type DocumentBench, startDocumentBench } from "../kit/document-bench.js";
import { PACKAGES, until } from "../kit/editors.js";

let bench: DocumentBench;
beforeAll(async () => {
  bench = await startDocumentBench();
});
afterEach(() => bench.closeEditors());
afterAll(() => bench.stop());

describe("unmodified editors", () => {
  it("[DOC1] six packages edit one document together and converge, and HTTP reads the same text", async () => {
    const editors = PACKAGES.map((name) => bench.edit(name, "src/together.ts"));
    await Promise.all(editors.map((editor) => editor.synced()));
    editors.forEach((editor, i) => editor.text.insert(0, `${PACKAGES[i]}\n`));
    const complete = (text: string) => PACKAGES.every((name) => text.includes(`${name}\n`));
    await Promise.all(editors.map((editor) => editor.reads(complete)));
    const [first] = editors;
    const text = first?.text.toJSON() ?? "";
    for (const editor of editors) expect(editor.text.toJSON()).toBe(text);
    expect(await bench.read("src/together.ts")).toBe(text);
  });

  it.each(PACKAGES)(
    "[DOC2] %s gets what was written before, and is told that it has it all",
    async (name) => {
      await bench.put(`before/${name}.txt`, `written before ${name}`);
      const editor = bench.edit(name, `before/${name}.txt`);
      await editor.synced();
      expect(editor.text.toJSON()).toBe(`written before ${name}`);
    },
  );

  it.each(PACKAGES.filter((name) => name.startsWith("hocuspocus")))(
    "[DOC3] %s has no unsynced changes once everything is kept",
    async (name) => {
      const editor = bench.edit(name, `acked-${name}.txt`);
      await editor.synced();
      for (let i = 0; i < 25; i++) editor.text.insert(0, `${i} `);
      await until(() => editor.provider.unsyncedChanges === 0, "all changes kept");
      expect(editor.provider.hasUnsyncedChanges).toBe(false);
    },
  );
});

describe("awareness", () => {
  it("[DOC4] shows everybody who is there under the name of their account, and forgets who goes", async () => {
    const ada = bench.edit("y-websocket 2", "seen.md");
    const cy = bench.edit("hocuspocus 3", "seen.md", bench.cy);
    await Promise.all([ada.synced(), cy.synced()]);
    ada.awareness.setLocalStateField("user", { name: "The Admin", id: "someone", color: "#fff" });
    ada.awareness.setLocalStateField("cursor", { anchor: 1 });
    const seen = () => cy.awareness.getStates().get(ada.awareness.clientID);
    await until(() => seen()?.["cursor"], "Cy sees Ada");
    expect(seen()).toEqual({
      user: { name: "Ada Lovelace", id: bench.ada.id, color: "#fff" },
      cursor: { anchor: 1 },
    });
    ada.provider.ws.terminate();
    await until(() => !cy.awareness.getStates().has(ada.awareness.clientID), "Ada is gone");
  });

  it("[DOC5] a viewer is seen too, and nobody speaks for another", async () => {
    const vera = bench.edit("y-websocket 3", "seen2.md", bench.vera);
    await bench.put("seen2.md", "text");
    const cy = bench.edit("hocuspocus 4", "seen2.md", bench.cy);
    await Promise.all([vera.synced(), cy.synced()]);
    vera.awareness.setLocalStateField("at", 1);
    await until(() => cy.awareness.getStates().get(vera.awareness.clientID)?.["at"] === 1, "Cy sees Vera");
    // Cy's provider sends whatever its awareness holds under Vera's id.
    const { awareness } = cy.provider;
    const meta = awareness.meta.get(vera.awareness.clientID);
    awareness.states.set(vera.awareness.clientID, { at: 666 });
    awareness.meta.set(vera.awareness.clientID, { ...meta, clock: (meta?.clock ?? 0) + 10 });
    awareness.emit("update", [{ added: [], updated: [vera.awareness.clientID], removed: [] }, "local"]);
    const witness = bench.edit("y-websocket 1", "seen2.md");
    await until(
      () => witness.awareness.getStates().get(vera.awareness.clientID)?.["at"],
      "the witness sees Vera",
    );
    expect(witness.awareness.getStates().get(vera.awareness.clientID)).toMatchObject({
      at: 1,
      user: { id: bench.vera.id },
    });
  });

  it("[DOC6] a state of more than 4 KB is not handed on, and the socket stays", async () => {
    const ada = bench.edit("y-websocket 2", "big-state.md");
    const cy = bench.edit("y-websocket 2", "big-state.md", bench.cy);
    await Promise.all([ada.synced(), cy.synced()]);
    ada.awareness.setLocalStateField("much", "x".repeat(5_000));
    ada.text.insert(0, "still here");
    await cy.reads("still here");
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(cy.awareness.getStates().get(ada.awareness.clientID)?.["much"]).toBeUndefined();
    ada.awareness.setLocalStateField("much", "little");
    await until(
      () => cy.awareness.getStates().get(ada.awareness.clientID)?.["much"] === "little",
      "the small state",
    );
  });
});
