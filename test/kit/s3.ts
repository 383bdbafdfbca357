import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";

/** A bucket of an S3-compatible server the tests may use. */
export interface TestS3 {
  readonly endpoint: string;
  readonly bucket: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  close(): Promise<void>;
}

const START_TIMEOUT_MS = 60_000;
const credentials = { accessKeyId: "test", secretAccessKey: "test" };

/** Why no server can be had; undefined when one can: `S3_TEST_URL`, or what `scripts/install-test-s3.sh` brought. */
export function missingTestS3(): string | undefined {
  if (process.env["S3_TEST_URL"]) return undefined;
  if (process.env["TEST_STORES"] === "embedded") return "TEST_STORES=embedded asks for embedded stores only";
  try {
    accessSync(starter(), constants.X_OK);
    return undefined;
  } catch {
    return "S3_TEST_URL is not set and no server was found; run scripts/install-test-s3.sh";
  }
}

/** A bucket on the given server (`S3_TEST_URL`, `http://key:secret@host:port/bucket`), or on one of its own. */
export async function startTestS3(): Promise<TestS3> {
  const given = process.env["S3_TEST_URL"];
  if (given) {
    const { origin, pathname, username, password } = new URL(given);
    return {
      endpoint: origin,
      bucket: pathname.slice(1),
      credentials: { accessKeyId: username, secretAccessKey: password },
      close: async () => undefined,
    };
  }
  const port = await freePort();
  // Its standard input ends with this process, and so does it.
  const server = spawn(
    "/bin/sh",
    [
      "-c",
      'exec 3<&0; "$0" "$1" </dev/null & child=$!; cat <&3 >/dev/null; kill -9 $child',
      starter(),
      String(port),
    ],
    { stdio: ["pipe", "ignore", "ignore"] },
  );
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
  await answers(endpoint, server);
  await client.send(new CreateBucketCommand({ Bucket: "atelier" }));
  client.destroy();
  return {
    endpoint,
    bucket: "atelier",
    credentials,
    async close() {
      const gone = once(server, "exit");
      server.stdin?.end();
      await gone;
    },
  };
}

function starter(): string {
  const here = path.dirname(fileURLToPath(import.meta.url));
  const tools =
    process.env["ATELIER_TEST_TOOLS"] || path.join(here, "..", "..", ".cache", "test-tools", "bin");
  return path.join(tools, "moto-s3");
}

async function answers(endpoint: string, server: ChildProcess): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (
    !(await fetch(endpoint).then(
      () => true,
      () => false,
    ))
  ) {
    if (server.exitCode !== null || Date.now() > deadline) throw new Error("the S3 server did not start");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
