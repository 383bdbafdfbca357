// Writes one blob of `size` bytes (argument 3) under a key (argument 2) into a folder (argument 1), and says how that went.
// With `pause` (argument 4) it stops in the middle and says so.
import { Readable } from "node:stream";
import { createDiskBlobStore } from "../../src/platform/blobs/disk.js";

const [folder = "", key = "", size = "0", pause = ""] = process.argv.slice(2);
const say = (text: string) => process.stdout.write(`${text}\n`);

async function* content() {
  for (let left = Number(size); left > 0; left -= 65_536) {
    if (pause === "pause" && left < Number(size) / 2) {
      say("half");
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    }
    yield Buffer.alloc(Math.min(left, 65_536), 1);
  }
}

try {
  const { size: written } = await createDiskBlobStore({ folder }).put(key, Readable.from(content()));
  say(`written ${written}`);
} catch (error) {
  say(`failed ${(error as { code?: string }).code ?? String(error)}`);
}
