import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { ClientOptions } from "atelier-client";
import { startTestNode, type TestNode } from "../kit/app.js";
import { createSdkKit, refused, type SdkKit } from "../kit/sdk.js";

let node: TestNode;
let kit: SdkKit;

beforeAll(async () => {
  node = await startTestNode();
  kit = createSdkKit(node);
});
afterAll(async () => {
  kit.close();
  await node.stop();
});

const problem = (status: number, code: string, headers: Record<string, string> = {}) =>
  Response.json({ title: code, status, code, requestId: "r", errors: [] }, { status, headers });

/** Somebody signed in whose later requests meet `answers` in turn: `lost` reaches the service, but not its answer back. */
async function meeting(answers: (Response | Error | "lost" | "pass")[], options: ClientOptions = {}) {
  const requests: { method: string; key: string | null }[] = [];
  let on = false;
  const client = await kit.signUp("Ada", {
    ...options,
    fetch: async (input, init) => {
      if (!on) return fetch(input, init);
      const headers = new Headers(init?.headers);
      requests.push({ method: init?.method ?? "GET", key: headers.get("idempotency-key") });
      const answer = answers.shift() ?? "pass";
      if (answer instanceof Response) return answer;
      if (answer instanceof Error) throw answer;
      const real = await fetch(input, init);
      if (answer === "pass") return real;
      await real.arrayBuffer();
      throw new TypeError("fetch failed");
    },
  });
  on = true;
  return { client, requests };
}

describe("requests of the client", () => {
  it("[SDK30] what is safe to repeat is repeated, and makes one thing", async () => {
    const away = problem(503, "dependency_unavailable", { "retry-after": "0" });
    const { client, requests } = await meeting([away, new TypeError("fetch failed"), "pass", "lost", "pass"]);
    expect((await client.projects.list()).items).toEqual([]);
    expect(requests).toHaveLength(3);
    await client.projects.create({ name: "Engine" });
    const keys = requests.filter(({ method }) => method === "POST").map(({ key }) => key);
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
    const { items } = await client.projects.list();
    expect(items).toHaveLength(1);
    const again = await meeting(["lost", "pass"]);
    const { id } = await again.client.projects.create({ name: "Engine" });
    const gone = await meeting([]);
    expect((await refused(gone.client.projects.delete(id))).code).toBe("not_found");
    const lostDelete = await meeting(["pass", "lost"]);
    const { id: mine } = await lostDelete.client.projects.create({ name: "Engine" });
    await lostDelete.client.projects.delete(mine);
    expect((await lostDelete.client.projects.list()).items).toEqual([]);
  });

  it("[SDK31] what may have been done is not repeated; 429 is, within patience", async () => {
    const { client, requests } = await meeting([
      "lost",
      problem(429, "rate_limited", { "retry-after": "0" }),
    ]);
    const password = { currentPassword: "correct horse battery", newPassword: "another horse battery" };
    expect((await refused(client.auth.changePassword(password))).code).toBe("network_error");
    expect(requests).toHaveLength(1);
    await client.auth.updateMe({ name: "Augusta" });
    expect(requests).toHaveLength(3);
    const long = await meeting([problem(429, "rate_limited", { "retry-after": "900" })]);
    const error = await refused(long.client.projects.list());
    expect(error).toMatchObject({ code: "rate_limited", status: 429, retryAfter: 900 });
    expect(long.requests).toHaveLength(1);
    const gone = await meeting(Array.from({ length: 4 }, () => new TypeError("fetch failed")));
    expect((await refused(gone.client.projects.list())).code).toBe("network_error");
    expect(gone.requests).toHaveLength(4);
  });

  it("[SDK32] time-out, dead network, unreadable answers and abort are told apart", async () => {
    const slow = await kit.signUp("Ada");
    const stuck = kit.client({
      fetch: (_input, init) =>
        new Promise((_resolve, reject) => {
          init?.signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
        }),
      timeoutMs: 20,
      retries: 0,
    });
    expect((await refused(stuck.auth.forgotPassword("ada@example.com"))).code).toBe("timeout");
    const nowhere = kit.client({ url: "http://127.0.0.1:9", retries: 0 });
    expect((await refused(nowhere.auth.forgotPassword("ada@example.com"))).code).toBe("network_error");
    const page = new Response("<h1>502</h1>", { status: 502, headers: { "content-type": "text/html" } });
    const proxied = await meeting([page, new Response("not json")], { retries: 0 });
    expect(await refused(proxied.client.projects.list())).toMatchObject({
      code: "unreadable_answer",
      status: 502,
    });
    expect((await refused(proxied.client.projects.list())).code).toBe("unreadable_answer");
    const controller = new AbortController();
    const aborted = slow.projects.list({}, { signal: controller.signal });
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ name: "AbortError" });
    const waiting = await meeting([problem(503, "overloaded", { "retry-after": "5" })]);
    const second = new AbortController();
    const call = waiting.client.projects.list({}, { signal: second.signal });
    setTimeout(() => second.abort(new Error("no longer wanted")), 30);
    await expect(call).rejects.toThrow("no longer wanted");
  });

  it("[SDK33] too large a file is refused by name and nothing changes", async () => {
    const ada = await kit.signUp();
    const { id } = await ada.projects.create({ name: "Engine" });
    const workspace = await ada.workspaces.create(id, { name: "Main", settings: {} });
    await ada.files.write(workspace.id, "big.txt", "small");
    const error = await refused(ada.files.write(workspace.id, "big.txt", "x".repeat(5 * 1024 * 1024)));
    expect(error).toMatchObject({ code: "payload_too_large", status: 413 });
    expect(await ada.files.read(workspace.id, "big.txt")).toBe("small");
  });
});
