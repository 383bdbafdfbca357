import type { NetConnectOpts } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { PostgresConnection } from "../../src/platform/database/postgres-connection.js";
import { startChildNode, TEST_SECRETS } from "../kit/app.js";
import { type DocumentBench, startDocumentBench } from "../kit/document-bench.js";
import { openEditor, until } from "../kit/editors.js";
import { createTestDatabase, type TestDatabase } from "../kit/postgres.js";
import { startTcpProxy, type TcpProxy } from "../kit/tcp-proxy.js";
import { openRawSocket } from "../kit/yjs-socket.js";

const KILLS = 3;

describe("a node that is killed", () => {
  let database: TestDatabase;
  let bench: DocumentBench;
  beforeAll(async () => {
    database = await createTestDatabase();
    bench = await startDocumentBench({ database });
  });
  afterAll(async () => {
    await bench.stop();
    await database.close();
  });

  it(`[DOC20] kill -9 under load loses nothing that was acknowledged, ${KILLS} times`, async () => {
    let acknowledged = 0;
    for (let round = 0; round < KILLS; round++) {
      const victim = await startChildNode(database, TEST_SECRETS);
      const target = { wsUrl: victim.wsUrl, token: bench.ada.token, workspaceId: bench.workspaceId };
      const writers = ["hocuspocus 4", "hocuspocus 2", "hocuspocus 3"] as const;
      const editors = writers.map((name, i) =>
        openEditor(name, { ...target, path: `killed/${round}-${i % 2}.md` }),
      );
      await Promise.all(
        editors.map((editor) =>
          until(() => !editor.provider.hasUnsyncedChanges && editor.provider.synced, "in sync"),
        ),
      );
      const tokens: string[][] = editors.map(() => []);
      const typing = setInterval(() => {
        editors.forEach((editor, i) => {
          for (let n = 0; n < 5; n++) {
            const token = `<${round}.${i}.${tokens[i]?.length}>`;
            tokens[i]?.push(token);
            editor.text.insert(editor.text.length, token);
          }
        });
      }, 2);
      await until(() => tokens.every((typed) => typed.length > 150 + round * 40), "typing");
      await victim.kill();
      clearInterval(typing);
      // Acks come in order: what is not acknowledged are the last so many.
      const acked = editors.map(({ provider }, i) =>
        (tokens[i] ?? []).slice(0, (tokens[i]?.length ?? 0) - provider.unsyncedChanges),
      );
      for (const editor of editors) editor.close();
      const texts = [await bench.read(`killed/${round}-0.md`), await bench.read(`killed/${round}-1.md`)];
      acked.forEach((list, i) => {
        const lost = list.filter((token) => !texts[i % 2]?.includes(token));
        expect(lost).toEqual([]);
        acknowledged += list.length;
      });
    }
    expect(acknowledged).toBeGreaterThan(KILLS * 50);
  }, 120_000);
});

describe("PostgreSQL that is away", () => {
  let database: TestDatabase;
  let proxy: TcpProxy;
  let bench: DocumentBench;
  beforeAll(async () => {
    database = await createTestDatabase();
    proxy = await startTcpProxy(targetOf(database.connection));
    const { user, database: name } = database.connection;
    const url = new URL(database.connection.url ?? `postgres://${user}@localhost/${name}`);
    url.hostname = proxy.host;
    url.port = String(proxy.port);
    bench = await startDocumentBench({ database: { ...database, connection: { url: url.href } } });
  });
  afterAll(async () => {
    await bench.stop();
    await proxy.close();
    await database.close();
  });

  it("[DOC21] nothing is acknowledged and nothing new is opened; when it is back everything is kept", async () => {
    const ada = bench.edit("hocuspocus 4", "away.md");
    const cy = bench.edit("y-websocket 2", "away.md", bench.cy);
    await Promise.all([ada.synced(), cy.synced()]);
    ada.text.insert(0, "before ");
    await until(() => !ada.provider.hasUnsyncedChanges, "kept");
    await proxy.stop();
    ada.text.insert(ada.text.length, "during ");
    await cy.reads("before during ");
    await expect(
      openRawSocket(`${bench.node.wsUrl}/yjs/${bench.workspaceId}/other.md?token=${bench.ada.token}`),
    ).rejects.toMatchObject({ status: 503 });
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    // The node's view of access is older than its lease now: what comes waits outside.
    cy.text.insert(cy.text.length, "late ");
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(ada.provider.hasUnsyncedChanges).toBe(true);
    expect(ada.text.toJSON()).toBe("before during ");
    await proxy.restore();
    await until(() => !ada.provider.hasUnsyncedChanges, "kept after all", 15_000);
    await ada.reads("before during late ", 15_000);
    expect(await bench.read("away.md")).toBe("before during late ");
  });
});

function targetOf({ url, host, port }: PostgresConnection): NetConnectOpts {
  if (url === undefined) return { path: `${host}/.s.PGSQL.${port}` };
  const { hostname, port: urlPort } = new URL(url);
  return { host: hostname, port: Number(urlPort || 5432) };
}
