import { createHash, randomBytes } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { type ChildNode, startChildNode } from "../kit/app.js";
import { createTestDatabase, type TestDatabase } from "../kit/postgres.js";

const MIB = 1024 * 1024;
const FILE_MIB = 50;
const FILES = 4;
/** Far less than the 200 MiB that go through, each time. */
const MORE_MIB = 110;

let database: TestDatabase;
let node: ChildNode;
let folder: string;
beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(path.join(tmpdir(), "atelier-streaming-"));
  node = await startChildNode(database, {
    NODE_OPTIONS: "--max-old-space-size=96",
    FILE_MAX_BYTES: String((FILE_MIB + 1) * MIB),
    ARCHIVE_MAX_BYTES: String(300 * MIB),
  });
});
afterAll(async () => {
  await node.kill();
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

const block = randomBytes(MIB);
/** Bytes that do not compress: longer than what a compressor looks back. */
function* content(): Generator<Buffer> {
  for (let i = 0; i < FILE_MIB; i++) yield block;
}
const digest = createHash("sha256");
for (const each of content()) digest.update(each);
const SHA256 = digest.digest("hex");

async function residentMib(): Promise<number> {
  const text = await (await fetch(`${node.httpUrl}/metrics`)).text();
  return Number(/^process_resident_memory_bytes\S* (\S+)$/m.exec(text)?.[1]) / MIB;
}

/** The most memory the node had while `work` ran. */
async function peakDuring(work: () => Promise<void>): Promise<number> {
  let peak = await residentMib();
  let running = true;
  const watching = (async () => {
    while (running) peak = Math.max(peak, await residentMib());
  })();
  try {
    await work();
  } finally {
    running = false;
    await watching;
  }
  return peak;
}

describe("200 MiB", () => {
  it("[FILE16] go in, out as an archive, and in again as one, on a node with a heap of 96 MiB that grows by far less", async () => {
    const ada = await node.api.person();
    const projectId = await node.api.project(ada);
    const spaces = await Promise.all(
      ["Source", "Target"].map((name) =>
        node.api.post(`/projects/${projectId}/workspaces`, { name }, ada.token),
      ),
    );
    const [from = "", to = ""] = spaces.map(
      ({ body }) => `${node.httpUrl}/api/v1/workspaces/${body.workspace.id}`,
    );
    const authorization = `Bearer ${ada.token}`;
    const send = async (url: string, method: string, type: string, body: Readable) => {
      const init = { method, body, duplex: "half", headers: { authorization, "content-type": type } };
      const answer = await fetch(url, init as unknown as RequestInit);
      expect([url, answer.status < 300]).toEqual([url, true]);
      return answer;
    };
    const archive = path.join(folder, "archive.zip");
    const before = await residentMib();
    const peaks = {
      up: await peakDuring(async () => {
        for (let i = 0; i < FILES; i++)
          await send(
            `${from}/files/f${i}.png`,
            "PUT",
            "image/png",
            Readable.from(content(), { objectMode: false }),
          );
      }),
      archive: await peakDuring(async () => {
        const answer = await fetch(`${from}/archive`, { headers: { authorization } });
        if (!answer.body) throw new Error("no archive");
        await pipeline(Readable.fromWeb(answer.body as never), createWriteStream(archive));
      }),
      import: await peakDuring(async () => {
        const answer = await send(`${to}/archive`, "POST", "application/zip", createReadStream(archive));
        expect(await answer.json()).toEqual({ import: { created: FILES, replaced: 0, unchanged: 0 } });
      }),
      down: await peakDuring(async () => {
        for (let i = 0; i < FILES; i++) {
          const answer = await fetch(`${to}/files/f${i}.png`, { headers: { authorization } });
          const hash = createHash("sha256");
          const note = new Transform({
            transform(chunk: Buffer, _encoding, done) {
              hash.update(chunk);
              done();
            },
          });
          if (!answer.body) throw new Error("no content");
          await pipeline(Readable.fromWeb(answer.body as never), note.resume());
          expect(hash.digest("hex")).toBe(SHA256);
        }
      }),
    };
    const more = Object.entries(peaks).map(([what, peak]) => [what, Math.round(peak - before)] as const);
    for (const [what, grown] of more) expect([what, grown, grown < MORE_MIB]).toEqual([what, grown, true]);
  }, 120_000);
});
