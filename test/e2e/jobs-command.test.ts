import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Person } from "../kit/api.js";
import { startTestNode, type TestNode } from "../kit/app.js";

const PROGRAM = fileURLToPath(new URL("../../scripts/jobs.mjs", import.meta.url));

let node: TestNode;
let ada: Person;
const folder = mkdtempSync(path.join(tmpdir(), "atelier-jobs-"));

beforeAll(async () => {
  node = await startTestNode();
  ada = await node.api.person();
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await node.stop();
});

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the command; `heard` is called with what it has printed so far. */
async function run(
  args: readonly string[],
  env: Record<string, string> = {},
  heard?: (out: string) => void,
): Promise<Ran> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { PATH: process.env["PATH"] ?? "", ATELIER_URL: node.httpUrl, ATELIER_TOKEN: ada.token, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    heard?.(out);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, out, err };
}

async function submit(code: string, options: object = {}): Promise<string> {
  const body = { type: "code_execution", payload: { language: "javascript", code }, options };
  return (await node.api.post("/jobs", body, ada.token)).body["job"].id as string;
}

describe("npm run jobs", () => {
  it("[CLI1] watch prints what the job prints and ends as the job does", async () => {
    const jobId = await submit("console.log('one'); console.error('two'); console.log('three');");
    const ran = await run(["watch", jobId]);
    expect([ran.code, ran.out]).toEqual([0, "one\nthree\n"]);
    expect(ran.err).toMatch(/^two\ncode_execution completed after [\d.]+ s, attempt 1: ok\n$/);
    expect(await run(["watch", jobId])).toMatchObject({ code: 0, out: "one\nthree\n" });
  });

  it("[CLI1] tells by its exit code what became of the job", async () => {
    const failed = await run(["watch", await submit("throw new Error('no')")]);
    expect([failed.code, failed.err]).toEqual([1, expect.stringContaining("no")]);
    const waiting = await submit("1", { delayMs: 600_000 });
    expect(await run(["cancel", waiting])).toEqual({ code: 0, out: `${waiting} cancelled\n`, err: "" });
    expect((await run(["watch", waiting])).code).toBe(3);
    expect(await run(["retry", waiting])).toEqual({ code: 0, out: `${waiting} pending\n`, err: "" });
    expect((await run(["watch", waiting])).code).toBe(0);
  });

  it("[CLI2] list shows one's jobs, as a table or as JSON, and narrows them down", async () => {
    const jobId = await submit("1", { delayMs: 600_000 });
    const table = await run(["list", "--limit", "1"]);
    expect([table.code, table.out]).toEqual([
      0,
      expect.stringMatching(new RegExp(`^${jobId}  .*code_execution +pending\\n$`)),
    ]);
    const jobs = JSON.parse((await run(["list", "--status", "pending", "--json"])).out) as { id: string }[];
    expect(jobs.map(({ id }) => id)).toEqual([jobId]);
  });

  it("[CLI3] refuses wrong usage with 2, and says with 4 that the service refused or is away", async () => {
    const someId = "00000000-0000-7000-8000-000000000000";
    for (const args of [
      [],
      ["dance"],
      ["watch"],
      ["watch", "x"],
      ["list", "x"],
      ["watch", someId, "x"],
      ["list", "--colour"],
    ])
      expect([args, (await run(args)).code]).toEqual([args, 2]);
    expect((await run(["list", "--url", "ftp://x"])).code).toBe(2);
    expect((await run(["list"], { ATELIER_TOKEN: "" })).code).toBe(2);
    expect((await run(["list", "--token-file", path.join(folder, "none")])).code).toBe(2);
    expect((await run(["--help"])).code).toBe(0);
    expect((await run(["watch", someId])).code).toBe(4);
    expect((await run(["list", "--limit", "0"])).code).toBe(4);
    expect((await run(["list"], { ATELIER_TOKEN: "wrong" })).code).toBe(4);
    expect((await run(["list", "--url", "http://127.0.0.1:9"])).code).toBe(4);
  });

  it("[CLI4] takes the token from a file, and never prints it", async () => {
    const file = path.join(folder, "token");
    writeFileSync(file, `${ada.token}\n`);
    const jobId = await submit("console.log(1)");
    const all = [
      await run(["watch", jobId, "--token-file", file], { ATELIER_TOKEN: "" }),
      await run(["list", "--token-file", file, "--url", "http://127.0.0.1:9"]),
      await run(["watch", "x"]),
    ];
    expect(all.map(({ code }) => code)).toEqual([0, 4, 2]);
    for (const { out, err } of all) expect(out + err).not.toContain(ada.token);
  });

  it("[CLI5] watch shows output while the job runs, and ends when it is cancelled meanwhile", async () => {
    const jobId = await submit(
      "console.log('begun'); await new Promise((resolve) => setTimeout(resolve, 20_000));",
      {},
    );
    let told = false;
    const ran = await run(["watch", jobId], {}, () => {
      if (told) return;
      told = true;
      void node.api.post(`/jobs/${jobId}/cancel`, undefined, ada.token);
    });
    expect([ran.code, ran.out]).toEqual([3, "begun\n"]);
  });
});
