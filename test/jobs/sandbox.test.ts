import { afterAll, expect, it } from "@jest/globals";
import { createSandbox } from "../../src/jobs/sandbox/wasm-sandbox.js";
const events: unknown[] = [];
const sandbox = createSandbox({ onEvent: (e) => events.push(e), slots: 1 });
afterAll(() => sandbox.close());
it("x", async () => {
  console.log(JSON.stringify(await sandbox.capabilities(), null, 1), JSON.stringify(events, null, 1));
  for (let i = 0; i < 3; i++)
    for await (const e of sandbox.run({ language: "js", files: { "main.js": "console.log('hi'); for(let i=0;i<3;i++){ await new Promise(r=>setTimeout(r,50)); console.log(i)}" }, entry: "main.js" }))
      console.log(JSON.stringify(e));
});
