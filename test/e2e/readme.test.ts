import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { startTestNode, type TestNode } from "../kit/app.js";

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node.stop());

/** The shell blocks of the tour, as they stand in the README, pointed at the node under test. */
function tour(): string {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const text = /<!-- tour:start -->([\s\S]*?)<!-- tour:end -->/.exec(readme)?.[1] ?? "";
  const blocks = [...text.matchAll(/```bash\n([\s\S]*?)```/g)].map(([, block]) => block ?? "");
  expect(blocks.length).toBeGreaterThanOrEqual(4);
  return blocks.join("\n").replace("http://localhost:3000", node.httpUrl);
}

function run(script: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const shell = spawn("sh", ["-eu"], { stdio: ["pipe", "pipe", "pipe"] });
    let output = "";
    for (const stream of [shell.stdout, shell.stderr])
      stream.on("data", (chunk) => (output += String(chunk)));
    shell.on("error", reject);
    shell.on("close", (code) => resolve({ code, output }));
    shell.stdin.end(script);
  });
}

describe("the README", () => {
  it("[APP10] its tour does what it says, copied as it stands", async () => {
    const { code, output } = await run(tour());
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).toContain("Hello World\n");
    const types = output.trim().split("\n").at(-1)?.split(" ") ?? [];
    expect(types).toEqual(
      expect.arrayContaining([
        "project_created",
        "member_added",
        "workspace_created",
        "job_created",
        "job_completed",
      ]),
    );
  });
});
