import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import yauzl from "yauzl";
import { Doc } from "yjs";
import type { Person } from "../kit/api.js";
import { type DocumentBench, startDocumentBench } from "../kit/document-bench.js";
import { openEditor } from "../kit/editors.js";
import { openRawSocket } from "../kit/yjs-socket.js";
import { type ZipEntry, zipOf } from "../kit/zip.js";

const FILE_MAX = 3_000_000;
const TOTAL_MAX = 5_000_000;
const MAX_FILES = 60;
let bench: DocumentBench;
beforeAll(async () => {
  bench = await startDocumentBench({
    env: {
      FILE_MAX_BYTES: String(FILE_MAX),
      WORKSPACE_MAX_BYTES: String(TOTAL_MAX),
      WORKSPACE_MAX_FILES: String(MAX_FILES),
      ARCHIVE_MAX_BYTES: "4000000",
    },
  });
});
afterEach(() => bench.closeEditors());
afterAll(() => bench.stop());

/** A workspace of its own for one test. */
async function newWorkspace() {
  const made = await bench.node.api.post(
    `/projects/${bench.projectId}/workspaces`,
    { name: "Space" },
    bench.ada.token,
  );
  const id = made.body.workspace.id as string;
  const call = (method: string, path: string, who: Person, options = {}) =>
    bench.node.api.request(method, `/workspaces/${id}/${path}`, { token: who.token, ...options });
  return {
    id,
    put: (path: string, raw: string | Uint8Array, type = "text/plain") =>
      call("PUT", `files/${path}`, bench.ada, { raw, headers: { "content-type": type } }),
    take: (zip: Uint8Array, who = bench.ada, type = "application/zip") =>
      call("POST", "archive", who, { raw: zip, headers: { "content-type": type } }),
    async give(who = bench.ada) {
      const response = await fetch(`${bench.node.httpUrl}/api/v1/workspaces/${id}/archive`, {
        headers: { authorization: `Bearer ${who.token}` },
      });
      return { response, status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
    },
    /** Everything there is, with versions. */
    async files(): Promise<{ path: string; kind: string; size: number; version: number }[]> {
      return (await call("GET", "files?limit=100", bench.ada)).body.files;
    },
    async bytes(path: string) {
      const response = await fetch(`${bench.node.httpUrl}/api/v1/workspaces/${id}/files/${path}`, {
        headers: { authorization: `Bearer ${bench.ada.token}` },
      });
      return Buffer.from(await response.arrayBuffer());
    },
  };
}

async function unzip(bytes: Buffer): Promise<Map<string, Buffer>> {
  const zip = await yauzl.fromBufferPromise(bytes, { lazyEntries: true });
  const found = new Map<string, Buffer>();
  for await (const entry of zip.eachEntry()) {
    const chunks: Buffer[] = [];
    for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk as Buffer);
    found.set(entry.fileName, Buffer.concat(chunks));
  }
  return found;
}

describe("an archive of a workspace", () => {
  it("[FILE11] holds every file as it is at that moment, and taken in elsewhere makes the same files", async () => {
    const here = await newWorkspace();
    const picture = randomBytes(200_000);
    await here.put("src/index.ts", "const one = 1;\n");
    await here.put("empty.txt", "");
    await here.put("img/ä logo.png", picture, "image/png");
    const url = `${bench.node.wsUrl}/yjs/${here.id}/notes.md?token=${bench.ada.token}`;
    await here.put("notes.md", "before");
    const socket = await openRawSocket(url);
    await here.put("notes.md", "after");
    const given = await here.give(bench.vera);
    expect(given.response.headers.get("content-type")).toBe("application/zip");
    expect(given.response.headers.get("content-disposition")).toMatch(/^attachment; filename="workspace-/);
    const files = await unzip(given.bytes);
    expect([...files.keys()].sort()).toEqual(["empty.txt", "img/ä logo.png", "notes.md", "src/index.ts"]);
    expect(files.get("notes.md")?.toString()).toBe("after");
    expect(files.get("img/ä logo.png")?.equals(picture)).toBe(true);
    socket.terminate();
    const there = await newWorkspace();
    const taken = await there.take(given.bytes);
    expect([taken.status, taken.body]).toEqual([200, { import: { created: 4, replaced: 0, unchanged: 0 } }]);
    expect((await there.files()).map(({ path, kind, size }) => [path, kind, size])).toEqual(
      (await here.files()).map(({ path, kind, size }) => [path, kind, size]),
    );
    expect((await there.bytes("img/%C3%A4%20logo.png")).equals(picture)).toBe(true);
    const before = await there.files();
    expect((await there.take(given.bytes)).body.import).toEqual({ created: 0, replaced: 0, unchanged: 4 });
    expect(await there.files()).toEqual(before);
  });

  it("[FILE12] replaces what has the same path in place, under open editors, and leaves the rest", async () => {
    const space = await newWorkspace();
    await space.put("open.md", "line one\nline two\n");
    await space.put("becomes.dat", "a text");
    await space.put("stays.md", "untouched");
    const url = (path: string) => `${bench.node.wsUrl}/yjs/${space.id}/${path}?token=${bench.ada.token}`;
    const text = await openRawSocket(url("becomes.dat"));
    const events = await bench.node.socket(bench.vera.token, bench.projectId);
    const at = { wsUrl: bench.node.wsUrl, token: bench.cy.token, workspaceId: space.id, path: "open.md" };
    const editor = openEditor("y-websocket 3", at, new Doc());
    await editor.synced();
    const changes: unknown[] = [];
    editor.text.observe((event) => changes.push(event.delta));
    const zip = zipOf([
      { name: "open.md", data: "line one\nline 2\n" },
      { name: "becomes.dat", data: randomBytes(100) },
      { name: "new/", mode: 0o040755 },
      { name: "new/file.md", data: "new" },
      { name: "__MACOSX/._open.md", data: randomBytes(10) },
    ]);
    expect((await space.take(zip)).body.import).toEqual({ created: 1, replaced: 2, unchanged: 0 });
    await editor.reads("line one\nline 2\n");
    expect(JSON.stringify(changes)).not.toContain("line one");
    expect(await text.closed()).toBe(4404);
    expect((await space.files()).map(({ path, kind }) => [path, kind])).toEqual([
      ["becomes.dat", "binary"],
      ["new/file.md", "text"],
      ["open.md", "text"],
      ["stays.md", "text"],
    ]);
    const event = await events.next(({ type }) => type === "files_imported");
    expect(event).toMatchObject({
      userId: bench.ada.id,
      payload: { workspaceId: space.id, created: 1, replaced: 2 },
    });
    editor.close();
  });

  it("[FILE13] viewers may take it away and not bring one in, outsiders see nothing", async () => {
    const space = await newWorkspace();
    await space.put("a.md", "x");
    const zip = zipOf([{ name: "b.md", data: "y" }]);
    expect((await space.give(bench.vera)).status).toBe(200);
    expect((await space.take(zip, bench.vera)).status).toBe(403);
    expect((await space.give(bench.mallory)).status).toBe(404);
    expect((await space.take(zip, bench.mallory)).status).toBe(404);
    expect((await space.take(zip, bench.ada, "text/plain")).status).toBe(415);
    expect(await space.files()).toHaveLength(1);
  });
});

const file = (name: string, data: string | Uint8Array = "x", rest: Partial<ZipEntry> = {}): ZipEntry => ({
  name,
  data,
  ...rest,
});
const many = Array.from({ length: MAX_FILES + 1 }, (_, i) => file(`f${i}.md`));
const good = file("good.md", "good");
const noise = randomBytes(2_000);

/** What each is, and the code of its refusal; next to each stands a harmless file, which must not come in either. */
const HOSTILE: readonly (readonly [what: string, zip: () => Buffer, status: number, code: string])[] = [
  ["a path that climbs out", () => zipOf([good, file("../../etc/passwd")]), 422, "unsafe_path"],
  ["a path that climbs in the middle", () => zipOf([good, file("a/../../b")]), 422, "unsafe_path"],
  ["an absolute path", () => zipOf([good, file("/etc/passwd")]), 422, "unsafe_path"],
  ["a drive", () => zipOf([good, file("C:/windows/x")]), 422, "unsafe_path"],
  ["backslashes", () => zipOf([good, file("..\\..\\x")]), 422, "unsafe_path"],
  ["a NUL in a name", () => zipOf([good, file("a\u0000.md")]), 422, "unsafe_path"],
  ["an empty name", () => zipOf([good, file("")]), 422, "unsafe_path"],
  ["a name that is too long", () => zipOf([good, file("x".repeat(201))]), 422, "unsafe_path"],
  [
    "a folder that climbs out",
    () => zipOf([good, file("../up/", "", { mode: 0o040755 })]),
    422,
    "unsafe_path",
  ],
  ["a symbolic link", () => zipOf([good, file("link", "/etc/passwd", { mode: 0o120777 })]), 422, "symlink"],
  ["a device", () => zipOf([good, file("null", "", { mode: 0o020666 })]), 422, "special_file"],
  ["the same path twice", () => zipOf([good, file("a.md"), file("a.md")]), 422, "duplicate_path"],
  ["paths that differ in case", () => zipOf([good, file("A.md"), file("a.md")]), 422, "duplicate_path"],
  ["paths that differ in form", () => zipOf([good, file("é.md"), file("e\u0301.md")]), 422, "duplicate_path"],
  ["a file that is a folder", () => zipOf([good, file("a"), file("a/b")]), 422, "duplicate_path"],
  ["too many files", () => zipOf(many), 413, "too_many_entries"],
  [
    "a file that says it is too large",
    () => zipOf([good, file("a", "x", { says: { size: FILE_MAX + 1 } })]),
    413,
    "too_large_file",
  ],
  [
    "too much together",
    () => zipOf(["a", "b", "c"].map((name) => file(name, Buffer.alloc(FILE_MAX - 1, name)))),
    413,
    "too_large_total",
  ],
  [
    "a bomb that lies about its size",
    () => zipOf([good, file("a", Buffer.alloc(50_000_000), { says: { size: 1_000 } })]),
    422,
    "corrupt",
  ],
  ["fewer bytes than it says", () => zipOf([good, file("a", "abc", { says: { size: 4 } })]), 422, "corrupt"],
  ["a wrong checksum", () => zipOf([good, file("a", "abc", { says: { crc: 1 } })]), 422, "corrupt"],
  [
    "a wrong checksum, binary",
    () => zipOf([good, file("a", noise, { method: 0, says: { crc: 1 } })]),
    422,
    "corrupt",
  ],
  [
    "entries that share bytes",
    () => zipOf([good, file("a", noise), file("b", noise, { says: { offset: 50 } })]),
    422,
    "overlapping",
  ],
  ["an encrypted entry", () => zipOf([good, file("a", noise, { flags: 0x801 })]), 422, "encrypted"],
  ["another compression", () => zipOf([good, file("a", noise, { method: 12 })]), 422, "unsupported_method"],
  [
    "deflated data that is none",
    () => {
      const zip = zipOf([good, file("a", noise)]);
      zip.fill(0xff, 60, 200);
      return zip;
    },
    422,
    "corrupt",
  ],
  ["half an archive", () => zipOf([good, file("a", noise)]).subarray(0, 1_000), 422, "not_a_zip"],
  ["no archive", () => Buffer.from("hello"), 422, "not_a_zip"],
  ["nothing", () => Buffer.alloc(0), 422, "not_a_zip"],
  [
    "a directory that says more than there is",
    () => {
      const zip = zipOf([good]);
      zip.writeUInt16LE(9, zip.length - 22 + 8);
      zip.writeUInt16LE(9, zip.length - 22 + 10);
      return zip;
    },
    422,
    "corrupt",
  ],
  [
    "a directory elsewhere",
    () => {
      const zip = zipOf([good]);
      zip.writeUInt32LE(0xffff_fff0, zip.length - 22 + 16);
      return zip;
    },
    422,
    "corrupt",
  ],
];

describe("an archive that is refused", () => {
  let space: Awaited<ReturnType<typeof newWorkspace>>;
  beforeAll(async () => {
    space = await newWorkspace();
    await space.put("there.md", "there");
    await space.put("folder/x.md", "there");
  });

  async function expectRefused(zip: Buffer, status: number, code: string): Promise<void> {
    const [files, blobs] = [await space.files(), await countBlobs()];
    const answer = await space.take(zip);
    const { body } = answer;
    expect([answer.status, body.errors?.[0]?.code ?? body.code]).toEqual([status, code]);
    expect(JSON.stringify(body)).not.toMatch(/tmp|atelier-import|node_modules/);
    expect(await space.files()).toEqual(files);
    expect(await countBlobs()).toBe(blobs);
  }

  async function countBlobs(): Promise<number> {
    let n = 0;
    for await (const { key } of bench.node.app.stores.blobs.list(`files/${space.id}/`))
      n += key.length > 0 ? 1 : 0;
    return n;
  }

  it.each(HOSTILE)("[FILE14] %s: nothing changes", async (_what, zip, status, code) => {
    await expectRefused(zip(), status, code);
  });

  it("[FILE15] what is in the way of files that are there, or does not fit beside them, changes nothing", async () => {
    const binary = file("z.png", noise);
    await expectRefused(zipOf([binary, good, file("There.md")]), 409, "conflict");
    await expectRefused(zipOf([binary, good, file("there.md/below.md")]), 409, "conflict");
    await expectRefused(zipOf([binary, good, file("folder")]), 409, "conflict");
    await expectRefused(zipOf(many.slice(0, MAX_FILES - 1)), 422, "workspace_full");
    await space.put("big.bin", Buffer.alloc(2_500_000, 1), "image/png");
    await expectRefused(zipOf([binary, good, file("a", Buffer.alloc(2_600_000, 2))]), 422, "workspace_full");
    await expectRefused(Buffer.alloc(4_000_001), 413, "payload_too_large");
  });
});
