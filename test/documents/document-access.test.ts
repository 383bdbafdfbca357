import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import * as Y from "yjs";
import { syncStep1, updateMessage } from "../../src/documents/sync-protocol.js";
import { type DocumentBench, startDocumentBench } from "../kit/document-bench.js";
import { PACKAGES, until } from "../kit/editors.js";
import { openRawSocket } from "../kit/yjs-socket.js";

let bench: DocumentBench;
beforeAll(async () => {
  bench = await startDocumentBench();
});
afterEach(() => bench.closeEditors());
afterAll(() => bench.stop());

const url = (path: string, token: string) =>
  `${bench.node.wsUrl}/yjs/${bench.workspaceId}/${path}?token=${token}`;
const role = (userId: string, to: string) =>
  bench.node.api.request("PUT", `/projects/${bench.projectId}/members/${userId}`, {
    token: bench.ada.token,
    body: { role: to },
  });
const logged = async (userId: string) => {
  const { rows } = await sql<{ n: number }>`
    select count(*)::int as n from document_updates where user_id = ${userId}`.execute(
    bench.node.app.stores.database.tables(),
  );
  return rows[0]?.n ?? -1;
};
const refusal = (target: string, headers = {}) =>
  openRawSocket(target, headers).then(
    (socket) => {
      socket.terminate();
      return "accepted";
    },
    (error: unknown) => error,
  );
const update = (text: string) => {
  const doc = new Y.Doc();
  doc.getText("content").insert(0, text);
  return Y.encodeStateAsUpdate(doc);
};

describe("the upgrade", () => {
  it("[DOC10] answers 401 without a good token, 404 to outsiders and for what is not there, before any socket", async () => {
    await bench.put("there.md", "x");
    expect(await refusal(`${bench.node.wsUrl}/yjs/${bench.workspaceId}/there.md`)).toMatchObject({
      status: 401,
    });
    expect(await refusal(url("there.md", "nonsense"))).toMatchObject({ status: 401, code: "invalid_token" });
    expect(await refusal(url("there.md", bench.mallory.token))).toEqual({ status: 404, code: "not_found" });
    expect(await refusal(url("nothing.md", bench.vera.token))).toEqual({ status: 404, code: "not_found" });
    expect(await refusal(url("a%00b", bench.ada.token))).toEqual({ status: 404, code: "not_found" });
    expect(await refusal(url("%ff", bench.ada.token))).toEqual({ status: 400, code: "bad_request" });
    expect(await refusal(url("..%2f..%2fetc%2fpasswd", bench.ada.token))).toEqual({
      status: 404,
      code: "not_found",
    });
    expect(await refusal(url("there.md", bench.ada.token), { origin: "https://evil.example" })).toMatchObject(
      {
        code: "origin_refused",
      },
    );
    expect(await refusal(url("there.md", bench.vera.token))).toBe("accepted");
  });

  it("[DOC11] Hocuspocus is denied the one document and keeps the others", async () => {
    await bench.put("mine.md", "mine");
    const good = bench.edit("hocuspocus 4", "mine.md", bench.ada);
    await good.synced();
    const denied: string[] = [];
    const outsider = bench.edit("hocuspocus 4", "mine.md", bench.mallory);
    outsider.provider.on("authenticationFailed", ({ reason }: { reason: string }) => denied.push(reason));
    await until(() => denied.length > 0, "the refusal");
    expect(denied).toEqual(["not_found"]);
    expect(outsider.text.toJSON()).toBe("");
    good.text.insert(0, "still ");
    await until(() => !good.provider.hasUnsyncedChanges, "kept");
  });
});

describe("viewers", () => {
  it.each(PACKAGES)(
    "[DOC12] %s of a viewer reads along, and nothing it sends is kept or handed on",
    async (name) => {
      const path = `viewer-${name}.md`;
      await bench.put(path, "start");
      const before = await logged(bench.vera.id);
      const vera = bench.edit(name, path, bench.vera);
      const cy = bench.edit("y-websocket 3", path, bench.cy);
      await Promise.all([vera.synced(), cy.synced()]);
      vera.text.insert(0, "VERA ");
      cy.text.insert(5, "!");
      await vera.reads("VERA start!");
      expect(await bench.read(path)).toBe("start!");
      expect(cy.text.toJSON()).toBe("start!");
      expect(await logged(bench.vera.id)).toBe(before);
      if (name.startsWith("hocuspocus")) expect(vera.provider.hasUnsyncedChanges).toBe(true);
    },
  );
});

describe("access that changes while somebody types", () => {
  it.each(["y-websocket 2", "hocuspocus 4"] as const)(
    "[DOC13] %s: nothing sent after the answer to a demotion is kept, and the socket goes on reading",
    async (name) => {
      const path = `demoted-${name}.md`;
      await bench.put(path, "");
      const cy = bench.edit(name, path, bench.cy);
      await cy.synced();
      let typed = 0;
      const typing = setInterval(() => cy.text.insert(0, `${typed++} `), 1);
      await until(() => typed > 30, "some typing");
      expect((await role(bench.cy.id, "viewer")).status).toBe(200);
      const atAnswer = await logged(bench.cy.id);
      await until(() => typed > 60, "more typing");
      clearInterval(typing);
      expect(atAnswer).toBeGreaterThan(0);
      await bench.put(path, "from Ada");
      await cy.reads((text) => text.includes("from Ada"));
      expect(await logged(bench.cy.id)).toBe(atAnswer);
      await role(bench.cy.id, "collaborator");
    },
  );

  it("[DOC14] removal ends the document with 4403 or a denial, a logout with 4401, a deleted file with 4404", async () => {
    await bench.put("ends.md", "x");
    const raw = await openRawSocket(url("ends.md", bench.cy.token));
    const hocuspocus = bench.edit("hocuspocus 3", "ends.md", bench.cy);
    await hocuspocus.synced();
    const denied: string[] = [];
    hocuspocus.provider.on("authenticationFailed", ({ reason }: { reason: string }) => denied.push(reason));
    await bench.node.api.request("DELETE", `/projects/${bench.projectId}/members/${bench.cy.id}`, {
      token: bench.ada.token,
    });
    expect(await raw.closed()).toBe(4403);
    await until(() => denied.length > 0, "the denial");
    await bench.node.api.post(
      `/projects/${bench.projectId}/members`,
      { email: bench.cy.email, role: "collaborator" },
      bench.ada.token,
    );

    const gone = await openRawSocket(url("ends.md", bench.cy.token));
    await bench.node.api.request("DELETE", bench.file("ends.md"), { token: bench.ada.token });
    expect(await gone.closed()).toBe(4404);

    await bench.put("logout.md", "x");
    const again = await bench.node.api.post("/auth/login", {
      email: bench.vera.email,
      password: bench.vera.password,
    });
    const { accessToken } = again.body.tokens;
    const out = await openRawSocket(url("logout.md", accessToken));
    await bench.node.api.post("/auth/logout", {}, accessToken);
    expect(await out.closed()).toBe(4401);
  });
});

describe("bad frames", () => {
  beforeAll(async () => {
    await bench.put("bad-frames.md", "safe");
  });
  const bad: [string, Uint8Array | string][] = [
    ["text", "hello"],
    ["nothing", new Uint8Array()],
    ["an unknown type", Uint8Array.of(99)],
    ["an unknown sync step", Uint8Array.of(0, 9, 0)],
    ["a length beyond the frame", Uint8Array.of(0, 2, 200, 1)],
    ["a truncated update", updateMessage(update("some text").subarray(0, 12))],
    ["a garbled update", updateMessage(Uint8Array.from({ length: 60 }, (_, i) => (i * 37 + 11) & 255))],
    ["an update that cannot be read", updateMessage(Uint8Array.of(1, 1, 255, 255, 255, 255, 15, 0, 31, 0))],
    ["a truncated state vector", syncStep1(Uint8Array.of(5, 1))],
    ["truncated awareness", Uint8Array.of(1, 2, 9, 9)],
    ["an endless number", Uint8Array.from({ length: 40 }, () => 255)],
  ];
  it.each(bad)("[DOC15] %s ends that socket only, with 4400, and nothing is kept", async (_what, bytes) => {
    const path = "bad-frames.md";
    const before = await logged(bench.ada.id);
    const neighbour = bench.edit("y-websocket 2", path, bench.cy);
    await neighbour.synced();
    let disturbed = false;
    neighbour.provider.on("connection-close", () => {
      disturbed = true;
    });
    const socket = await openRawSocket(url(path, bench.ada.token));
    socket.send(bytes);
    expect(await socket.closed()).toBe(4400);
    expect(await logged(bench.ada.id)).toBe(before);
    neighbour.text.insert(0, ".");
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(disturbed).toBe(false);
    expect(await bench.read(path)).toContain("safe");
    expect(socket.texts).toEqual([]);
  });

  it("[DOC16] a frame of more than 16 MiB ends the socket with 1009", async () => {
    const socket = await openRawSocket(url("huge.md", bench.ada.token));
    socket.send(new Uint8Array(16 * 1024 * 1024 + 1));
    expect(await socket.closed()).toBe(1009);
  });

  it("[DOC17] one socket opens at most a hundred documents, and the rest are denied", async () => {
    const { HocuspocusProvider, HocuspocusProviderWebsocket } = await import("hocuspocus-provider-4");
    const { WebSocket } = await import("ws");
    const websocketProvider = new HocuspocusProviderWebsocket({
      url: `${bench.node.wsUrl}/hocuspocus`,
      WebSocketPolyfill: WebSocket,
    });
    const denied: string[] = [];
    let synced = 0;
    const providers = Array.from({ length: 110 }, (_, i) => {
      const provider = new HocuspocusProvider({
        websocketProvider,
        name: `${bench.workspaceId}/many/${i}.md`,
        token: bench.ada.token,
        onAuthenticationFailed: ({ reason }) => denied.push(reason),
        onSynced: () => {
          synced += 1;
        },
      });
      provider.attach();
      return provider;
    });
    await until(() => denied.length >= 10 && synced >= 100, "100 documents", 20_000);
    expect(denied).toEqual(Array.from({ length: 10 }, () => "too many documents"));
    for (const provider of providers) {
      provider.destroy();
      provider.document.destroy();
    }
    websocketProvider.destroy();
  });
});
