import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import { createFileBlobs, UNUSED_KEEP_MS } from "../../src/documents/file-blobs.js";
import { type DocumentBench, startDocumentBench } from "../kit/document-bench.js";
import { openRaw } from "../kit/raw-http.js";
import { openRawSocket } from "../kit/yjs-socket.js";

const FILE_MAX = 300_000;
const clock = { ms: 0, now: () => Date.now() + clock.ms };
let bench: DocumentBench;
beforeAll(async () => {
  bench = await startDocumentBench({
    clock,
    env: { FILE_MAX_BYTES: String(FILE_MAX), WORKSPACE_MAX_BYTES: "2000000", WORKSPACE_MAX_FILES: "40" },
  });
});
afterEach(() => bench.closeEditors());
afterAll(() => bench.stop());

const PNG = Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), randomBytes(50_000)]);
const put = (
  path: string,
  raw: Uint8Array | string,
  type: string | undefined = "image/png",
  headers: Record<string, string> = {},
  who = bench.ada,
) =>
  bench.node.api.request("PUT", bench.file(path), {
    token: who.token,
    raw,
    headers: { "content-type": type, ...headers },
  });
const get = async (path: string, headers: Record<string, string> = {}, method = "GET") => {
  const response = await fetch(`${bench.node.httpUrl}/api/v1${bench.file(path)}`, {
    method,
    headers: { authorization: `Bearer ${bench.ada.token}`, ...headers },
  });
  return { response, status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
};
const remove = (path: string) =>
  bench.node.api.request("DELETE", bench.file(path), { token: bench.ada.token });
const list = async () =>
  (await bench.node.api.get(`/workspaces/${bench.workspaceId}/files?limit=100`, bench.vera.token)).body.files;

/** Keys of what is really in the blob store. */
async function stored(): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of bench.node.app.stores.blobs.list("files/")) keys.push(key);
  return keys;
}

/** Housekeeping, so much later that whatever nobody names is old. */
async function sweepLater(): Promise<void> {
  clock.ms += UNUSED_KEEP_MS + 60_000;
  // What a trigger freed carries the time of the database.
  await bench.node.app.features.documents.prune(1_000);
  clock.ms -= UNUSED_KEEP_MS + 60_000;
}

describe("a binary file", () => {
  it("[FILE1] keeps its bytes and its type, has versions and tags, and is listed with kind and size", async () => {
    const created = await put("img/logo.png", PNG);
    expect(created.status).toBe(201);
    expect(created.body.file).toMatchObject({
      path: "img/logo.png",
      kind: "binary",
      size: PNG.length,
      contentType: "image/png",
    });
    const { response, bytes } = await get("img/logo.png");
    expect(bytes.equals(PNG)).toBe(true);
    expect(response.headers.get("content-length")).toBe(String(PNG.length));
    const tag = response.headers.get("etag") ?? "";
    expect((await get("img/logo.png", { "if-none-match": tag })).status).toBe(304);
    const next = randomBytes(1_000);
    const replaced = await put("img/logo.png", next, "image/webp", { "if-match": tag });
    expect(replaced.status).toBe(200);
    expect(replaced.body.file.version).toBeGreaterThan(created.body.file.version);
    expect((await put("img/logo.png", PNG, "image/png", { "if-match": tag })).status).toBe(412);
    expect((await get("img/logo.png")).bytes.equals(next)).toBe(true);
    expect((await list()).find(({ path }: { path: string }) => path === "img/logo.png")).toMatchObject({
      kind: "binary",
      size: 1_000,
      contentType: "image/webp",
    });
    const same = await put("img/logo.png", next, "image/webp");
    expect(same.body.file.version).toBe(replaced.body.file.version);
    expect((await remove("img/logo.png")).status).toBe(204);
    expect((await get("img/logo.png")).status).toBe(404);
  });

  it("[FILE2] is never served so that a browser would run it", async () => {
    const html = "<script>alert(1)</script>";
    await put("page.html", html, "text/html");
    await put(encodeURIComponent("evil é'.svg"), html, "image/svg+xml");
    const page = await get("page.html");
    expect(page.response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    const svg = await get(encodeURIComponent("evil é'.svg"));
    expect(svg.response.headers.get("content-type")).toBe("image/svg+xml");
    for (const { response } of [page, svg]) {
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
      expect(response.headers.get("content-disposition")).toMatch(/^attachment; /);
      expect(response.headers.get("content-security-policy")).toMatch(/default-src 'none'.*sandbox/);
    }
    expect(svg.response.headers.get("content-disposition")).toBe(
      "attachment; filename=\"evil___.svg\"; filename*=UTF-8''evil%20%C3%A9%27.svg",
    );
    for (const type of ["image", "image/png/x", "<b>/c"])
      expect([type, (await put("odd.bin", PNG, type)).status]).toEqual([type, 415]);
  });

  it("[FILE3] is given in parts", async () => {
    await put("parts.bin", PNG, "application/octet-stream");
    const part = async (range: string, headers: Record<string, string> = {}) =>
      get("parts.bin", { range, ...headers });
    const first = await part("bytes=0-99");
    expect(first.status).toBe(206);
    expect(first.bytes.equals(PNG.subarray(0, 100))).toBe(true);
    expect(first.response.headers.get("content-range")).toBe(`bytes 0-99/${PNG.length}`);
    expect((await part("bytes=50000-")).bytes.equals(PNG.subarray(50_000))).toBe(true);
    expect((await part("bytes=-8")).bytes.equals(PNG.subarray(-8))).toBe(true);
    expect((await part("bytes=0-99999999")).bytes.equals(PNG)).toBe(true);
    const outside = await part(`bytes=${PNG.length}-`);
    expect(outside.status).toBe(416);
    expect(outside.response.headers.get("content-range")).toBe(`bytes */${PNG.length}`);
    expect(outside.response.headers.get("content-disposition")).toBeNull();
    for (const odd of ["bytes=5-1", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b", "bytes=-"])
      expect([odd, (await part(odd)).status]).toEqual([odd, 200]);
    const tag = first.response.headers.get("etag") ?? "";
    expect((await part("bytes=0-9", { "if-range": tag })).status).toBe(206);
    expect((await part("bytes=0-9", { "if-range": '"v999"' })).status).toBe(200);
    const head = await get("parts.bin", {}, "HEAD");
    expect([head.status, head.response.headers.get("content-length")]).toEqual([200, String(PNG.length)]);
  });

  it("[FILE4] without a type the content decides; a compressed body is kept as what it holds", async () => {
    const kinds = async (raw: Uint8Array | string, type: string) =>
      (await put("guess.dat", raw, type)).body.file.kind;
    expect(await kinds("plain text", "application/x-www-form-urlencoded")).toBe("text");
    expect(await kinds("const a: number = 1;", "video/mp2t")).toBe("text");
    expect(await kinds(PNG, "application/x-www-form-urlencoded")).toBe("binary");
    expect(await kinds("plain text", "application/octet-stream")).toBe("binary");
    const zipped = await put("zipped.png", gzipSync(PNG), "image/png", { "content-encoding": "gzip" });
    expect(zipped.body.file.size).toBe(PNG.length);
    expect((await get("zipped.png")).bytes.equals(PNG)).toBe(true);
    const bomb = gzipSync(Buffer.alloc(FILE_MAX * 100));
    const big = await put("bomb.bin", bomb, "image/png", { "content-encoding": "gzip" });
    expect([big.status, big.body.code]).toEqual([413, "payload_too_large"]);
    expect((await put("bad.bin", PNG, "image/png", { "content-encoding": "gzip" })).status).toBe(400);
  });
});

describe("what goes wrong", () => {
  it("[FILE5] too large, or broken off, leaves nothing: no file, no blob", async () => {
    const before = await stored();
    const big = await put("big.bin", Buffer.alloc(FILE_MAX + 1, 1));
    expect([big.status, big.body.code]).toEqual([413, "payload_too_large"]);
    const chunked = await fetch(`${bench.node.httpUrl}/api/v1${bench.file("big.bin")}`, {
      method: "PUT",
      headers: { authorization: `Bearer ${bench.ada.token}`, "content-type": "image/png" },
      body: new ReadableStream({
        start(controller) {
          for (let i = 0; i < 40; i++) controller.enqueue(new Uint8Array(10_000).fill(1));
          controller.close();
        },
      }),
      duplex: "half",
    });
    expect(chunked.status).toBe(413);
    const raw = await openRaw(bench.node.httpUrl);
    raw.send(
      `PUT /api/v1${bench.file("half.bin")} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${bench.ada.token}\r\n` +
        `Content-Type: image/png\r\nContent-Length: 200000\r\n\r\n${"x".repeat(50_000)}`,
    );
    raw.destroy();
    expect((await get("half.bin")).status).toBe(404);
    expect((await get("big.bin")).status).toBe(404);
    await sweepLater();
    expect((await stored()).filter((key) => !before.includes(key))).toEqual([]);
  });

  it("[FILE6] a full workspace says so and takes nothing; deleting makes room again", async () => {
    const made = await bench.node.api.post(
      `/projects/${bench.projectId}/workspaces`,
      { name: "Small" },
      bench.ada.token,
    );
    const file = (name: string) => `/workspaces/${made.body.workspace.id}/files/${name}`;
    const send = (name: string, size: number, method = "PUT") =>
      bench.node.api.request(method, file(name), {
        token: bench.ada.token,
        ...(method === "PUT" ? { raw: randomBytes(size) } : {}),
        headers: { "content-type": "image/png" },
      });
    for (let i = 0; i < 6; i++) expect((await send(`f${i}.png`, FILE_MAX)).status).toBe(201);
    const full = await send("f6.png", FILE_MAX);
    expect([full.status, full.body.code]).toEqual([422, "workspace_full"]);
    expect((await send("f0.png", FILE_MAX)).status).toBe(200);
    await send("f0.png", 0, "DELETE");
    expect((await send("f6.png", FILE_MAX)).status).toBe(201);
    for (let i = 7; i < 41; i++) expect((await send(`f${i}.png`, 1)).status).toBe(201);
    const many = await send("one-more.png", 1);
    expect([many.status, many.body.code]).toEqual([422, "workspace_full"]);
  });

  it("[FILE7] viewers cannot write, outsiders see nothing, and neither has to send it all to learn so", async () => {
    await put("guarded.bin", PNG);
    for (const [who, status] of [
      [bench.vera, 403],
      [bench.mallory, 404],
    ] as const) {
      expect((await put("guarded.bin", PNG, "image/png", {}, who)).status).toBe(status);
      const raw = await openRaw(bench.node.httpUrl);
      raw.send(
        `PUT /api/v1${bench.file("guarded.bin")} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${who.token}\r\n` +
          "Content-Type: image/png\r\nContent-Length: 200000\r\n\r\nx",
      );
      expect((await raw.answer()).status).toBe(status);
      raw.destroy();
    }
    expect((await get("guarded.bin")).bytes.equals(PNG)).toBe(true);
  });
});

describe("kinds that change", () => {
  it("[FILE8] a text that becomes binary closes its editors with 4404, and goes on as a text when it is one again", async () => {
    await bench.put("kind.dat", "as a text");
    const url = `${bench.node.wsUrl}/yjs/${bench.workspaceId}/kind.dat?token=${bench.ada.token}`;
    const socket = await openRawSocket(url);
    const before = (await list()).find(({ path }: { path: string }) => path === "kind.dat").version;
    const binary = await put("kind.dat", PNG);
    expect(binary.status).toBe(200);
    expect(binary.body.file).toMatchObject({ kind: "binary", size: PNG.length });
    expect(binary.body.file.version).toBeGreaterThan(before);
    expect(await socket.closed()).toBe(4404);
    await expect(openRawSocket(url)).rejects.toMatchObject({ status: 404 });
    expect((await get("kind.dat")).bytes.equals(PNG)).toBe(true);
    const text = await bench.put("kind.dat", "a text again");
    expect(text.body.file).toMatchObject({ kind: "text", size: 12 });
    expect(text.body.file.version).toBeGreaterThan(binary.body.file.version);
    const editor = bench.edit("y-websocket 3", "kind.dat");
    await editor.synced();
    expect(editor.text.toJSON()).toBe("a text again");
  });
});

describe("blobs", () => {
  it("[FILE9] that no file names go after a while: replaced, deleted, and with their workspace; others stay", async () => {
    const made = await bench.node.api.post(
      `/projects/${bench.projectId}/workspaces`,
      { name: "Gone" },
      bench.ada.token,
    );
    const id = made.body.workspace.id;
    const raw = { token: bench.ada.token, raw: PNG, headers: { "content-type": "image/png" } };
    await bench.node.api.request("PUT", `/workspaces/${id}/files/a.png`, raw);
    await put("stays.png", randomBytes(100));
    await put("stays.png", PNG);
    await put("goes.png", PNG);
    await remove("goes.png");
    await bench.node.api.request("DELETE", `/workspaces/${id}`, { token: bench.ada.token });
    const young = await stored();
    await bench.node.app.features.documents.prune(1_000);
    expect(await stored()).toEqual(young);
    await sweepLater();
    const named = await sql<{ key: string }>`
      select blob_key as key from files where blob_key is not null order by 1`.execute(
      bench.database.database.tables(),
    );
    expect(await stored()).toEqual(named.rows.map(({ key }) => key).sort());
    const rows = await sql`select key from file_blobs where unused_since is not null`.execute(
      bench.database.database.tables(),
    );
    expect(rows.rows).toEqual([]);
    expect((await get("stays.png")).bytes.equals(PNG)).toBe(true);
  });

  it("[FILE10] one that outlived its upload becomes no file, and one that was claimed meanwhile is not discarded", async () => {
    const { database } = bench.database;
    const blobs = createFileBlobs({ database, blobs: bench.node.app.stores.blobs, clock });
    const late = await blobs.put(bench.workspaceId, PNG, FILE_MAX);
    clock.ms += UNUSED_KEEP_MS;
    await expect(database.transaction((tx) => blobs.claim(tx, late))).rejects.toMatchObject({
      code: "request_timeout",
    });
    clock.ms -= UNUSED_KEEP_MS;
    const claimed = await blobs.put(bench.workspaceId, PNG, FILE_MAX);
    let discarded: Promise<void> = Promise.resolve();
    await database.transaction(async (tx) => {
      await blobs.claim(tx, claimed);
      discarded = blobs.discard([claimed, late]);
      await sql`select pg_sleep(0.05)`.execute(tx.tables());
    });
    await discarded;
    expect(await stored()).toContain(claimed.key);
    expect(await stored()).not.toContain(late.key);
  });
});
