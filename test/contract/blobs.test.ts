import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { ListMultipartUploadsCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import type { BlobStore } from "../../src/platform/blobs/blob-store.js";
import { createDiskBlobStore } from "../../src/platform/blobs/disk.js";
import { createS3BlobStore, type S3Options } from "../../src/platform/blobs/s3.js";
import { describeAdapter, failureOf } from "../kit/adapters.js";
import { startTestNode } from "../kit/app.js";
import { missingTestS3, startTestS3, type TestS3 } from "../kit/s3.js";
import { startTcpProxy } from "../kit/tcp-proxy.js";

const MIB = 1024 * 1024;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const read = async (store: BlobStore, key: string) => {
  const found = await store.get(key);
  return found && (await buffer(found.content));
};
async function keysOf(store: BlobStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}
/** Gives `bytes` in pieces, then fails. */
async function* breaking(bytes: Buffer, error: Error): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 64 * 1024) yield bytes.subarray(at, at + 64 * 1024);
  throw error;
}

/** What every adapter holds. `open` gives the store under test. */
function contract(open: () => BlobStore): void {
  it("[BLOB1] gives back what was stored, of any size, with its size and SHA-256", async () => {
    const store = open();
    for (const size of [0, 1, 65_537, 5 * MIB, 11 * MIB + 3]) {
      const bytes = randomBytes(size);
      const key = `sizes/${size}`;
      const content = size % 2 === 0 ? bytes : Readable.from(breakUp(bytes));
      expect(await store.put(key, content)).toEqual({ size, sha256: sha256(bytes) });
      const found = await store.get(key);
      expect(found?.size).toBe(size);
      expect(found && (await buffer(found.content)).equals(bytes)).toBe(true);
    }
    expect(await store.get("sizes/none")).toBeUndefined();
    expect(await store.get("none")).toBeUndefined();
  });

  it("[BLOB2] gives a part when one is asked for", async () => {
    const store = open();
    const bytes = randomBytes(200_000);
    await store.put("parts/a", bytes);
    for (const [start, end] of [
      [0, 0],
      [0, 199_999],
      [65_000, 131_999],
      [199_999, 199_999],
    ] as const) {
      const found = await store.get("parts/a", { start, end });
      expect(found?.size).toBe(200_000);
      expect(found && (await buffer(found.content)).equals(bytes.subarray(start, end + 1))).toBe(true);
    }
    expect(await store.get("parts/none", { start: 0, end: 1 })).toBeUndefined();
  });

  it("[BLOB3] lists by prefix in the order of keys, with size and time", async () => {
    const store = open();
    const keys = ["l/a", "l/a-b", "l/a.b", "l/b/1", "l/b/10", "l/b/2", "l/b-1", "l/c/d/e", "l/B", "l2/x"];
    const begun = Date.now();
    for (const key of keys) await store.put(key, Buffer.from(key));
    const expected = keys.filter((key) => key.startsWith("l/")).sort();
    expect(await keysOf(store, "l/")).toEqual(expected);
    expect(await keysOf(store, "l/b")).toEqual(expected.filter((key) => key.startsWith("l/b")));
    expect(await keysOf(store, "l/b/1")).toEqual(["l/b/1", "l/b/10"]);
    expect(await keysOf(store, "l/none")).toEqual([]);
    for await (const { key, size, modifiedAt } of store.list("l/")) {
      expect(size).toBe(key.length);
      expect(Math.abs(modifiedAt - begun)).toBeLessThan(60_000);
    }
  });

  it("[BLOB4] forgets what is deleted, and passes over what is not there", async () => {
    const store = open();
    for (const key of ["d/1", "d/2", "d/3"]) await store.put(key, Buffer.from("x"));
    await store.delete(["d/1", "d/none", "d/3"]);
    await store.delete([]);
    expect(await keysOf(store, "d/")).toEqual(["d/2"]);
    expect(await store.get("d/1")).toBeUndefined();
  });

  it("[BLOB5] a content that is too large is payload_too_large and leaves nothing", async () => {
    const store = open();
    for (const size of [1_001, 12 * MIB]) {
      const maxBytes = size === 1_001 ? 1_000 : 11 * MIB;
      await expect(
        store.put("big/a", Readable.from(breakUp(randomBytes(size))), { maxBytes }),
      ).rejects.toMatchObject({
        code: "payload_too_large",
      });
    }
    expect(await keysOf(store, "big/")).toEqual([]);
    expect((await store.put("big/b", randomBytes(1_000), { maxBytes: 1_000 })).size).toBe(1_000);
  });

  it("[BLOB6] a content that breaks fails with its own error, whatever it is, and leaves nothing", async () => {
    const store = open();
    // As a failed read of another file looks.
    const error = Object.assign(new Error("broken"), { code: "EIO", syscall: "read" });
    for (const size of [0, 100_000, 7 * MIB])
      await expect(store.put("broken/a", Readable.from(breaking(randomBytes(size), error)))).rejects.toBe(
        error,
      );
    const gone = Readable.from(breakUp(randomBytes(200_000)));
    gone.destroy();
    await expect(store.put("broken/a", gone)).rejects.toThrow();
    expect(await keysOf(store, "broken/")).toEqual([]);
  });

  it("[BLOB7] a key that is none is refused before anything is touched", async () => {
    const store = open();
    for (const key of [
      "",
      "/",
      "a/",
      "/a",
      "a//b",
      ".",
      "..",
      "a/../b",
      "../a",
      "a\\b",
      "a b",
      "ä",
      "a\0",
      "x".repeat(401),
    ]) {
      await expect((async () => store.put(key, Buffer.from("x")))()).rejects.toBeInstanceOf(RangeError);
      await expect((async () => store.get(key))()).rejects.toBeInstanceOf(RangeError);
      await expect((async () => store.delete([key]))()).rejects.toBeInstanceOf(RangeError);
    }
  });

  it("[BLOB8] takes and gives many at once", async () => {
    const store = open();
    const contents = Array.from({ length: 20 }, () => randomBytes(100_000));
    await Promise.all(contents.map((bytes, i) => store.put(`many/${i}`, Readable.from(breakUp(bytes)))));
    const found = await Promise.all(contents.map((_, i) => read(store, `many/${i}`)));
    expect(found.every((bytes, i) => bytes?.equals(contents[i] ?? Buffer.alloc(0)))).toBe(true);
    await store.ping();
  });
}

function* breakUp(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 64 * 1024) yield bytes.subarray(at, at + 64 * 1024);
}

describe("blobs on disk", () => {
  const folders: string[] = [];
  const children: ChildProcess[] = [];
  const newFolder = () => {
    const folder = mkdtempSync(path.join(tmpdir(), "atelier-blobs-"));
    folders.push(folder);
    return folder;
  };
  let store: BlobStore;
  beforeAll(() => {
    store = createDiskBlobStore({ folder: newFolder() });
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
  });
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });
  contract(() => store);

  /** A process of its own that writes one blob; `before` is shell before it. */
  function writer(
    folder: string,
    args: readonly string[],
    before = "",
  ): { child: ChildProcess; lines: AsyncIterator<string> } {
    const kit = (name: string) => fileURLToPath(new URL(`../kit/${name}`, import.meta.url));
    const child = spawn(
      "/bin/sh",
      [
        "-c",
        `${before} exec "$@"`,
        "sh",
        process.execPath,
        "--import",
        kit("typescript-loader.mjs"),
        kit("blob-writer.ts"),
        folder,
        ...args,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    children.push(child);
    if (!child.stdout) throw new Error("no output");
    return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() };
  }

  it("[BLOB9] a full disk is dependency_unavailable and leaves nothing; smaller ones still go in", async () => {
    const folder = newFolder();
    // The system stops every file of the process at 512 KiB, as a full disk would: in the middle of a write.
    const full = writer(folder, ["a/full", String(4 * MIB)], "ulimit -f 1024;");
    expect((await full.lines.next()).value).toBe("failed dependency_unavailable");
    const fits = writer(folder, ["a/fits", "100000"], "ulimit -f 1024;");
    expect((await fits.lines.next()).value).toBe("written 100000");
    expect(await keysOf(createDiskBlobStore({ folder }), "")).toEqual(["a/fits"]);
    expect(readdirSync(path.join(folder, "#pending"))).toEqual([]);
  });

  it("[BLOB10] kill -9 in the middle leaves no blob; what is left half-written is cleared away a day later", async () => {
    const folder = newFolder();
    const { child, lines } = writer(folder, ["a/half", String(8 * MIB), "pause"]);
    expect((await lines.next()).value).toBe("half");
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    const pending = path.join(folder, "#pending");
    expect(readdirSync(pending)).toHaveLength(1);
    const again = createDiskBlobStore({ folder });
    expect(await again.get("a/half")).toBeUndefined();
    expect(await keysOf(again, "")).toEqual([]);
    await again.put("a/half", Buffer.from("anew"));
    expect(readdirSync(pending)).toHaveLength(1);
    const old = new Date(Date.now() - 2 * 86_400_000);
    for (const name of readdirSync(pending)) utimesSync(path.join(pending, name), old, old);
    await createDiskBlobStore({ folder }).put("a/other", Buffer.from("x"));
    expect(readdirSync(pending)).toEqual([]);
  });

  it("[BLOB11] a folder that cannot be used is dependency_unavailable", async () => {
    const file = path.join(newFolder(), "file");
    writeFileSync(file, "in the way");
    const broken = createDiskBlobStore({ folder: path.join(file, "blobs") });
    for (const work of [broken.put("a", Buffer.from("x")), broken.ping()])
      expect((await failureOf(work)).code).toBe("dependency_unavailable");
    expect(await broken.get("a")).toBeUndefined();
  });
});

describeAdapter("blobs in S3", missingTestS3(), () => {
  let server: TestS3;
  let store: BlobStore;
  let options: S3Options;
  beforeAll(async () => {
    server = await startTestS3();
    options = { ...server, region: "us-east-1", forcePathStyle: true, prefix: `t${Date.now()}/below/` };
    store = createS3BlobStore(options);
  }, 90_000);
  afterAll(async () => {
    await store.close();
    await server.close();
  });
  contract(() => store);

  it("[BLOB12] an upload that failed leaves no parts to pay for", async () => {
    const client = new S3Client({ ...options, requestChecksumCalculation: "WHEN_REQUIRED" });
    await store.put("parts/whole", Readable.from(breakUp(randomBytes(11 * MIB))));
    const error = new Error("broken");
    await expect(
      store.put("parts/broken", Readable.from(breaking(randomBytes(11 * MIB), error))),
    ).rejects.toBe(error);
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: options.bucket }));
    expect(Uploads).toEqual([]);
    client.destroy();
  });

  it("[BLOB13] two stores of one bucket with other prefixes do not see each other", async () => {
    const other = createS3BlobStore({ ...options, prefix: "" });
    await store.put("mine/a", Buffer.from("x"));
    expect(await other.get("mine/a")).toBeUndefined();
    expect(await keysOf(other, "mine/")).toEqual([]);
    expect(await keysOf(other, `${options.prefix}mine/`)).toEqual([`${options.prefix}mine/a`]);
    await other.close();
  });

  it("[BLOB14] a server that is away, hangs, or does not know the bucket is dependency_unavailable within 4 s", async () => {
    const { hostname, port } = new URL(options.endpoint ?? "");
    const hanging = await startTcpProxy({ host: hostname, port: Number(port) });
    hanging.stall();
    for (const over of [
      { endpoint: "http://127.0.0.1:1" },
      { endpoint: `http://127.0.0.1:${hanging.port}` },
      { bucket: "no-such-bucket" },
    ]) {
      const away = createS3BlobStore({ ...options, ...over });
      for (const work of [() => away.get("a"), () => keysOf(away, ""), () => away.ping()]) {
        const { code, ms } = await failureOf(work());
        expect([over, code, ms < 4_000]).toEqual([over, "dependency_unavailable", true]);
      }
      await away.close();
    }
    await hanging.close();
  });

  it("[BLOB15] a node keeps its files there when it is configured, and /readyz asks for it", async () => {
    const node = await startTestNode({
      env: {
        S3_BUCKET: options.bucket,
        S3_ENDPOINT: options.endpoint ?? "",
        S3_ACCESS_KEY_ID: options.credentials?.accessKeyId ?? "",
        S3_SECRET_ACCESS_KEY: options.credentials?.secretAccessKey ?? "",
        S3_FORCE_PATH_STYLE: "true",
        S3_PREFIX: "node/",
      },
    });
    const ada = await node.api.person();
    const made = await node.api.post(
      `/projects/${await node.api.project(ada)}/workspaces`,
      { name: "Space" },
      ada.token,
    );
    const file = `/workspaces/${made.body.workspace.id}/files/a.bin`;
    const bytes = randomBytes(6 * MIB);
    const headers = { "content-type": "image/png" };
    expect((await node.api.request("PUT", file, { token: ada.token, raw: bytes, headers })).status).toBe(201);
    const part = await fetch(`${node.httpUrl}/api/v1${file}`, {
      headers: { authorization: `Bearer ${ada.token}`, range: "bytes=6000000-6000009" },
    });
    expect(part.status).toBe(206);
    expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(6_000_000, 6_000_010))).toBe(true);
    const below = createS3BlobStore({ ...options, prefix: "node/" });
    expect(await keysOf(below, "files/")).toHaveLength(1);
    const ready = (await (await fetch(`${node.httpUrl}/readyz`)).json()) as {
      checks: Record<string, string>;
    };
    expect(ready.checks["s3"]).toBe("ok");
    await below.close();
    await node.stop();
  });
});
