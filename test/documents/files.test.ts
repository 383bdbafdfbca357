import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { type DocumentBench, startDocumentBench } from "../kit/document-bench.js";
import { until } from "../kit/editors.js";
import { openRawSocket } from "../kit/yjs-socket.js";

let bench: DocumentBench;
beforeAll(async () => {
  bench = await startDocumentBench();
});
afterEach(() => bench.closeEditors());
afterAll(() => bench.stop());

const call = (method: string, path: string, who = bench.ada, options = {}) =>
  bench.node.api.request(method, bench.file(path), { token: who.token, ...options });
const move = (from: string, to: string, who = bench.ada) =>
  bench.node.api.post(`/workspaces/${bench.workspaceId}/moves`, { from, to }, who.token);
const list = async (query = "") =>
  (await bench.node.api.get(`/workspaces/${bench.workspaceId}/files${query}`, bench.vera.token)).body;

describe("a file over HTTP", () => {
  it("[DOC40] is created, read, replaced and deleted, with versions that grow and tags that guard", async () => {
    const created = await bench.put("a/b c.ts", "one\n");
    expect(created.status).toBe(201);
    expect(created.headers.get("location")).toBe(`/api/v1${bench.file("a/b%20c.ts")}`);
    expect(created.body.file).toMatchObject({ path: "a/b c.ts", kind: "text", size: 4 });
    const read = await call("GET", "a/b c.ts", bench.vera);
    expect(read.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(read.body).toBe("one\n");
    const tag = read.headers.get("etag") ?? "";
    expect((await call("GET", "a/b c.ts", bench.vera, { headers: { "if-none-match": tag } })).status).toBe(
      304,
    );
    const replaced = await bench.put("a/b c.ts", "two\n", { "if-match": tag });
    expect(replaced.status).toBe(200);
    expect(replaced.body.file.version).toBeGreaterThan(created.body.file.version);
    expect(await bench.put("a/b c.ts", "three\n", { "if-match": tag })).toMatchObject({ status: 412 });
    expect(await bench.put("new.ts", "x", { "if-match": tag })).toMatchObject({ status: 412 });
    expect(await bench.read("a/b c.ts")).toBe("two\n");
    expect((await call("DELETE", "a/b c.ts", bench.ada, { headers: { "if-match": tag } })).status).toBe(412);
    expect((await call("DELETE", "a/b c.ts")).status).toBe(204);
    expect((await call("GET", "a/b c.ts")).status).toBe(404);
  });

  it("[DOC41] viewers read, outsiders see nothing", async () => {
    await bench.put("roles.md", "text");
    expect((await call("GET", "roles.md", bench.vera)).status).toBe(200);
    for (const [who, status] of [
      [bench.vera, 403],
      [bench.mallory, 404],
    ] as const) {
      expect((await bench.put("roles.md", "mine", {}, who)).status).toBe(status);
      expect((await call("DELETE", "roles.md", who)).status).toBe(status);
      expect((await move("roles.md", "other.md", who)).status).toBe(status);
    }
    expect((await call("GET", "roles.md", bench.mallory)).status).toBe(404);
    expect(await bench.read("roles.md")).toBe("text");
  });

  it.each([
    "../up.md",
    "a/../../b.md",
    "a//b.md",
    "/absolute.md",
    "nul\u0000.md",
    "back\\slash.md",
    "trailing./x.md",
    "c:.md",
    `${"x".repeat(201)}`,
    "cafe\u0301.md",
  ])("[DOC42] the path %j is refused by HTTP and sockets", async (path) => {
    const encoded = path.split("/").map(encodeURIComponent).join("%2F");
    const answer = await call("PUT", encoded, bench.ada, {
      raw: "x",
      headers: { "content-type": "text/plain" },
    });
    expect(answer.status).toBe(400);
    expect(answer.body.code).toBe("validation_failed");
    await expect(
      openRawSocket(`${bench.node.wsUrl}/yjs/${bench.workspaceId}/${encoded}?token=${bench.ada.token}`),
    ).rejects.toMatchObject({ status: 404 });
  });

  it("[DOC43] two paths that differ in case only, or a file where a folder is, conflict", async () => {
    await bench.put("Case/File.md", "x");
    expect((await bench.put("Case/file.md", "y")).status).toBe(409);
    expect((await bench.put("case", "y")).status).toBe(409);
    expect((await bench.put("Case/File.md/below.md", "y")).status).toBe(409);
    await expect(
      openRawSocket(`${bench.node.wsUrl}/yjs/${bench.workspaceId}/Case/file.md?token=${bench.ada.token}`),
    ).rejects.toMatchObject({ status: 404 });
  });

  it("[DOC44] what is sent as text and is none in UTF-8, or is too large, is refused", async () => {
    const send = (type: string, raw: string | Uint8Array) =>
      call("PUT", "content.txt", bench.ada, { raw, headers: { "content-type": type } });
    expect((await send("text/plain; charset=latin1", "x")).status).toBe(415);
    expect((await send("text/plain", Uint8Array.of(0xff, 0xfe))).status).toBe(422);
    expect((await send("text/plain", "a\u0000b")).status).toBe(422);
    expect((await send("text/plain", "x".repeat(4 * 1024 * 1024 + 1))).status).toBe(413);
    expect((await send("not a type", "x")).status).toBe(415);
    for (const type of ["application/json", "text/typescript", "application/javascript"]) {
      const { status, body } = await send(type, "{}");
      expect([type, status < 300, body.file.kind]).toEqual([type, true, "text"]);
    }
  });

  it("[DOC45] the list walks every file once, in the order of paths", async () => {
    const names = Array.from({ length: 25 }, (_, i) => `list/${String(i).padStart(2, "0")}.md`);
    for (const name of names) await bench.put(name, "x");
    const seen: string[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const page: Awaited<ReturnType<typeof list>> = await list(
        `?limit=7${cursor === "" ? "" : `&cursor=${cursor}`}`,
      );
      seen.push(...page.files.map(({ path }: { path: string }) => path));
      cursor = page.nextCursor;
    }
    expect(seen.filter((path) => path.startsWith("list/"))).toEqual(names);
    expect(new Set(seen).size).toBe(seen.length);
  });
});

describe("a file that is open", () => {
  it("[DOC46] a PUT arrives as the smallest change, and what others type meanwhile is kept", async () => {
    const lines = Array.from({ length: 200 }, (_, i) => `line ${i}`);
    await bench.put("diff.md", lines.join("\n"));
    const editor = bench.edit("y-websocket 2", "diff.md");
    await editor.synced();
    const changes: unknown[] = [];
    editor.text.observe((event) => changes.push(event.delta));
    const wanted = lines.map((line, i) => (i === 3 || i === 190 ? `${line} changed` : line));
    await bench.put("diff.md", wanted.join("\n"));
    await editor.reads(wanted.join("\n"));
    const inserted = (changes.flat() as { insert?: string }[]).map(({ insert }) => insert ?? "").join("");
    expect(inserted).toBe(" changed changed");
    editor.text.insert(0, "mine\n");
    await bench.put("diff.md", wanted.slice(0, -1).join("\n"));
    await editor.reads((text) => !text.includes("line 199"));
  });

  it("[DOC47] stays open when it is moved, and its old path is not made again by whoever comes back", async () => {
    await bench.put("old/one.md", "content");
    await bench.put("old/two.md", "two");
    const editor = bench.edit("y-websocket 3", "old/one.md");
    await editor.synced();
    const moved = await move("old", "new/home");
    expect(moved.status).toBe(200);
    expect(moved.body.files.map(({ path }: { path: string }) => path)).toEqual([
      "new/home/one.md",
      "new/home/two.md",
    ]);
    editor.text.insert(0, "still ");
    await until(
      eventually(() => bench.read("new/home/one.md"), "still content"),
      "the edit under the new path",
    );
    await expect(
      openRawSocket(`${bench.node.wsUrl}/yjs/${bench.workspaceId}/old/one.md?token=${bench.ada.token}`),
    ).rejects.toMatchObject({ status: 404 });
    expect((await move("new", "new/deeper")).status).toBe(422);
    expect((await move("nothing", "x")).status).toBe(404);
    await bench.put("taken.md", "x");
    expect((await move("new/home/one.md", "taken.md")).status).toBe(409);
    expect((await move("taken.md", "Taken.md")).status).toBe(200);
    expect((await bench.put("old/one.md", "anew")).status).toBe(201);
  });

  it("[DOC48] a deleted file closes editors with 4404 and does not come back by itself", async () => {
    await bench.put("deleted.md", "content");
    const url = `${bench.node.wsUrl}/yjs/${bench.workspaceId}/deleted.md?token=${bench.ada.token}`;
    const socket = await openRawSocket(url);
    await call("DELETE", "deleted.md");
    expect(await socket.closed()).toBe(4404);
    await expect(openRawSocket(url)).rejects.toMatchObject({ status: 404 });
    expect((await bench.put("deleted.md", "again")).status).toBe(201);
    const editor = bench.edit("y-websocket 1", "deleted.md");
    await editor.synced();
    expect(editor.text.toJSON()).toBe("again");
  });
});

describe("events", () => {
  it("[DOC49] created, edited once per person however much is typed, renamed and deleted reach the project", async () => {
    const events = await bench.node.socket(bench.vera.token, bench.projectId);
    const editor = bench.edit("hocuspocus 4", "events.md", bench.cy);
    await editor.synced();
    for (let i = 0; i < 40; i++) editor.text.insert(0, "x");
    const about = (type: string) => (m: { readonly type: string; readonly payload?: unknown }) => {
      const { path, from } = (m.payload ?? {}) as { path?: string; from?: string };
      return m.type === type && (path ?? from) === "events.md";
    };
    await events.next(about("file_created"));
    const edited = await events.next(about("file_edited"), 8_000);
    expect(edited).toMatchObject({ userId: bench.cy.id, payload: { workspaceId: bench.workspaceId } });
    await move("events.md", "events2.md");
    await events.next(about("file_renamed"));
    await call("DELETE", "events2.md");
    await events.next((m) => m.type === "file_deleted");
    expect(events.messages.filter(about("file_edited"))).toHaveLength(1);
    const { files } = await list();
    expect(files.find(({ path }: { path: string }) => path === "events2.md")).toBeUndefined();
  });
});

/** Asks again and again; true once the answer is `wanted`. */
function eventually(ask: () => Promise<string>, wanted: string): () => boolean {
  let seen = "";
  const next = () =>
    void ask().then((answer) => {
      seen = answer;
      if (seen !== wanted) setTimeout(next, 20);
    });
  next();
  return () => seen === wanted;
}
