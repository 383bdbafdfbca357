import { afterAll, afterEach, beforeAll, expect, it } from "@jest/globals";
import { sql } from "kysely";
import { describeAdapter } from "../kit/adapters.js";
import { startTestNode, type TestNode } from "../kit/app.js";
import { type DocumentBench, startDocumentBench } from "../kit/document-bench.js";
import { PACKAGES, until } from "../kit/editors.js";
import { createTestDatabase, type TestDatabase } from "../kit/postgres.js";
import { missingRedisServer, startTestRedis, type TestRedis } from "../kit/redis.js";
import { openRawSocket } from "../kit/yjs-socket.js";

describeAdapter("documents on two nodes over Redis", missingRedisServer(), () => {
  let redis: TestRedis;
  let database: TestDatabase;
  let bench: DocumentBench;
  let other: TestNode;
  beforeAll(async () => {
    redis = await startTestRedis();
    database = await createTestDatabase();
    const env = { REDIS_URL: redis.url };
    bench = await startDocumentBench({ database, env });
    other = await startTestNode({ database, env });
  });
  afterEach(() => bench.closeEditors());
  afterAll(async () => {
    await other.stop();
    await bench.stop();
    await database.close();
    await redis.close();
  });

  it("[DOC30] editors on both nodes edit one document and converge", async () => {
    const editors = PACKAGES.map((name, i) =>
      bench.edit(name, "both.md", bench.ada, i % 2 ? other : bench.node),
    );
    await Promise.all(editors.map((editor) => editor.synced()));
    editors.forEach((editor, i) => {
      for (let n = 0; n < 20; n++)
        editor.text.insert(Math.floor(Math.random() * editor.text.length), `[${i}.${n}]`);
    });
    const size = editors.length * 20;
    const whole = (text: string) =>
      (text.match(/[[\].\d]/g)?.length ?? 0) === text.length && count(text) === size;
    await Promise.all(editors.map((editor) => editor.reads((text) => count(text) === size)));
    const text = editors[0]?.text.toJSON() ?? "";
    expect(whole(text)).toBe(true);
    for (const editor of editors) expect(editor.text.toJSON()).toBe(text);
    const { rows } = await sql<{ holes: number }>`
      select (max(seq) - count(*))::int as holes from document_updates group by document_id having max(seq) <> count(*)`.execute(
      database.database.tables(),
    );
    expect(rows).toEqual([]);
  });

  it("[DOC31] people are seen across nodes, and gone when their socket is", async () => {
    await bench.put("people.md", "");
    const ada = bench.edit("y-websocket 2", "people.md");
    const cy = bench.edit("hocuspocus 4", "people.md", bench.cy, other);
    await Promise.all([ada.synced(), cy.synced()]);
    ada.awareness.setLocalStateField("cursor", 7);
    await until(() => cy.awareness.getStates().get(ada.awareness.clientID)?.["cursor"] === 7, "Cy sees Ada");
    expect(cy.awareness.getStates().get(ada.awareness.clientID)?.["user"]).toEqual({
      id: bench.ada.id,
      name: "Ada Lovelace",
    });
    ada.provider.ws.terminate();
    ada.provider.shouldConnect = false;
    await until(() => !cy.awareness.getStates().has(ada.awareness.clientID), "Ada is gone");
  });

  it("[DOC32] what Redis did not carry is found in the log", async () => {
    await bench.put("lost.md", "");
    const ada = bench.edit("hocuspocus 4", "lost.md");
    const cy = bench.edit("y-websocket 3", "lost.md", bench.cy, other);
    await Promise.all([ada.synced(), cy.synced()]);
    await redis.stop("SIGKILL");
    for (let n = 0; n < 10; n++) ada.text.insert(ada.text.length, `${n} `);
    await until(() => !ada.provider.hasUnsyncedChanges, "kept without Redis", 15_000);
    await cy.reads("0 1 2 3 4 5 6 7 8 9 ", 15_000);
    await redis.restart();
    cy.text.insert(0, "back ");
    await ada.reads("back 0 1 2 3 4 5 6 7 8 9 ", 15_000);
  });

  it("[DOC33] a PUT, a demotion and a deletion on one node reach editors on the other", async () => {
    await bench.put("ops.md", "one");
    const cy = bench.edit("y-websocket 2", "ops.md", bench.cy, other);
    await cy.synced();
    await bench.put("ops.md", "one\ntwo");
    await cy.reads("one\ntwo");
    await bench.node.api.request("PUT", `/projects/${bench.projectId}/members/${bench.cy.id}`, {
      token: bench.ada.token,
      body: { role: "viewer" },
    });
    cy.text.insert(0, "NOT ");
    await bench.put("ops.md", "one\ntwo\nthree");
    await cy.reads((text) => text.includes("three"));
    expect(await bench.read("ops.md")).toBe("one\ntwo\nthree");
    const raw = await openRawSocket(`${other.wsUrl}/yjs/${bench.workspaceId}/ops.md?token=${bench.cy.token}`);
    await bench.node.api.request("DELETE", bench.file("ops.md"), { token: bench.ada.token });
    expect(await raw.closed()).toBe(4404);
  });
});

const count = (text: string) => text.match(/\[/g)?.length ?? 0;
