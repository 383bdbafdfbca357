import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { memoryStore, type SessionState, type TokenStore } from "atelier-client";
import { startTestNode, type TestNode } from "../kit/app.js";
import { until } from "../kit/editors.js";
import { createSdkKit, PASSWORD, refused, type SdkKit } from "../kit/sdk.js";

let node: TestNode;
let kit: SdkKit;

beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node.stop());
afterEach(() => kit.close());

/** A client whose requests to refresh go through `meddle` first; what it answers stands for the service's answer. */
function meddling(
  meddle: (nth: number) => Response | Error | undefined,
  storage: TokenStore = memoryStore(),
) {
  kit = createSdkKit(node);
  let refreshes = 0;
  const client = kit.client({
    storage,
    retries: 0,
    fetch: async (input, init) => {
      if ((input instanceof Request ? input.url : input.toString()).endsWith("/auth/refresh")) {
        refreshes += 1;
        const answer = meddle(refreshes);
        if (answer instanceof Error) throw answer;
        if (answer) return answer;
      }
      return fetch(input, init);
    },
  });
  const states: SessionState[] = [];
  client.auth.onChange((state) => states.push(state));
  return { client, storage, states, refreshes: () => refreshes };
}

/** Makes the kept access token look as if most of its life were over, or all of it. */
async function age(storage: TokenStore, share: number): Promise<void> {
  const kept = JSON.parse((await storage.get()) ?? "{}") as Record<string, unknown>;
  const life = 900_000;
  const issuedAt = Date.now() - life * share;
  await storage.set(JSON.stringify({ ...kept, issuedAt, expiresAt: issuedAt + life }));
}

const problem = (status: number, code: string) =>
  Response.json({ type: "about:blank", title: code, status, code, requestId: "r", errors: [] }, { status });

/** An account, and a store that holds its session. */
async function signedIn(): Promise<{ storage: TokenStore; email: string }> {
  kit = createSdkKit(node);
  const storage = memoryStore();
  const client = await kit.signUp("Ada", { storage });
  client.close();
  return { storage, email: client.auth.user?.email ?? "" };
}

describe("the session of the client", () => {
  it("[SDK20] calls that need a fresh token share one renewal", async () => {
    const { storage } = await signedIn();
    await age(storage, 1.1);
    const { client, refreshes } = meddling(() => undefined, storage);
    const answers = await Promise.all(Array.from({ length: 10 }, () => client.projects.list()));
    expect(answers).toHaveLength(10);
    expect(refreshes()).toBe(1);
    const kept = JSON.parse((await storage.get()) ?? "{}") as { expiresAt: number };
    expect(kept.expiresAt).toBeGreaterThan(Date.now());
  });

  it("[SDK20] a token the service refuses is renewed once and the call repeated", async () => {
    const { storage } = await signedIn();
    const kept = JSON.parse((await storage.get()) ?? "{}") as { accessToken: string };
    await storage.set(JSON.stringify({ ...kept, accessToken: `${kept.accessToken.slice(0, -4)}AAAA` }));
    const { client, refreshes } = meddling(() => undefined, storage);
    expect((await client.projects.list()).items).toEqual([]);
    expect(refreshes()).toBe(1);
  });

  it("[SDK21] no answer, 429 and 503 sign nobody out; the same token is tried again", async () => {
    const { storage } = await signedIn();
    await age(storage, 1.1);
    let answer: Response | Error | undefined;
    const { client, states } = meddling(
      () => (answer instanceof Response ? answer.clone() : answer),
      storage,
    );
    const answers = {
      network_error: new TypeError("fetch failed"),
      dependency_unavailable: problem(503, "dependency_unavailable"),
      rate_limited: problem(429, "rate_limited"),
    };
    for (const [code, each] of Object.entries(answers)) {
      answer = each;
      expect((await refused(client.projects.list())).code).toBe(code);
    }
    answer = undefined;
    expect(states.filter(({ status }) => status === "signed_out")).toEqual([]);
    expect((await client.projects.list()).items).toEqual([]);
    expect(client.auth.user).toBeDefined();
  });

  it("[SDK21] while the old token still lives, a failing renewal does not even fail the call", async () => {
    const { storage } = await signedIn();
    await age(storage, 0.95);
    const { client } = meddling(() => new TypeError("fetch failed"), storage);
    expect((await client.projects.list()).items).toEqual([]);
  });

  it("[SDK22] definite codes end the session in every tab, with the reason", async () => {
    for (const code of ["session_revoked", "session_expired", "refresh_reused", "invalid_token"]) {
      const { storage } = await signedIn();
      await age(storage, 1.1);
      const { client, states } = meddling(() => problem(401, code), storage);
      expect((await refused(client.projects.list())).code).toBe(code);
      expect(states.at(-1)).toMatchObject({ status: "signed_out", reason: { code } });
      expect(await storage.get()).toBeUndefined();
      expect((await refused(client.projects.list())).code).toBe("unauthenticated");
      kit.close();
    }
  });

  it("[SDK22] what another tab did is taken over: its tokens, and its signing out", async () => {
    const { storage, email } = await signedIn();
    const watchers = new Set<() => void>();
    const shared: TokenStore = {
      ...storage,
      watch(listener) {
        watchers.add(listener);
        return () => watchers.delete(listener);
      },
    };
    const { client, states, refreshes } = meddling(() => undefined, shared);
    const before = await client.auth.accessToken();
    const tab = kit.client({ storage: shared });
    await tab.auth.login({ email, password: PASSWORD });
    for (const changed of watchers) changed();
    let now = before;
    await until(() => {
      void client.auth.accessToken().then((token) => (now = token));
      return now !== before;
    }, "the other tab's token");
    expect(refreshes()).toBe(0);
    await tab.auth.logout();
    for (const changed of watchers) changed();
    await until(() => client.auth.user === undefined, "signed out");
    expect(states.at(-1)).toEqual({ status: "signed_out" });
  });

  it("[SDK23] a token is renewed by itself before it ends", async () => {
    const short = await startTestNode({ env: { JWT_EXPIRES_IN: "2s" } });
    kit = createSdkKit(short);
    try {
      const storage = memoryStore();
      const client = await kit.signUp("Ada", { storage });
      const token = () =>
        (JSON.parse((storage.get() as string | undefined) ?? "{}") as { accessToken: string }).accessToken;
      const first = token();
      const begun = Date.now();
      await until(() => token() !== first, "the renewal");
      expect(Date.now() - begun).toBeGreaterThan(1_200);
      expect((await client.projects.list()).items).toEqual([]);
    } finally {
      kit.close();
      await short.stop();
    }
  });

  it("[SDK24] signing out tells the service, and forgets the session even when it cannot be told", async () => {
    const { storage, email } = await signedIn();
    const kept = JSON.parse((await storage.get()) ?? "{}") as { refreshToken: string };
    const { client } = meddling(() => undefined, storage);
    await client.auth.logout();
    expect(await storage.get()).toBeUndefined();
    const answer = await node.api.post("/auth/refresh", { refreshToken: kept.refreshToken });
    expect(answer.body.code).toBe("session_revoked");
    await client.auth.login({ email, password: PASSWORD });
    const offline = kit.client({
      storage,
      retries: 0,
      fetch: () => Promise.reject(new TypeError("fetch failed")),
    });
    expect((await refused(offline.auth.logout())).code).toBe("network_error");
    expect(offline.auth.user).toBeUndefined();
    expect(await storage.get()).toBeUndefined();
  });
});
