import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { brotliCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { WebSocket } from "ws";
import { startTestNode, type TestNode } from "../kit/app.js";

const BROWSER = { accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" };
const SCRIPT = `console.log("${"atelier ".repeat(300)}");`;
const PAGE = `<!doctype html><meta property="csp-nonce" nonce="__NONCE__"><meta name="atelier-sockets" content="__SOCKETS__"><script src="/assets/index-1.js" nonce="__NONCE__"></script>`;

let folder: string;
let node: TestNode;
let bare: TestNode;
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "atelier-console-"));
  mkdirSync(path.join(folder, "assets"));
  writeFileSync(path.join(folder, "index.html"), PAGE);
  writeFileSync(path.join(folder, "theme.js"), "document");
  writeFileSync(path.join(folder, ".built"), "secret");
  writeFileSync(path.join(folder, "assets", "index-1.js"), SCRIPT);
  writeFileSync(path.join(folder, "assets", "index-1.js.br"), brotliCompressSync(SCRIPT));
  node = await startTestNode({ consoleFolder: folder });
  bare = await startTestNode({ consoleFolder: path.join(folder, "not-built") });
});
afterAll(async () => {
  await Promise.all([node.stop(), bare.stop()]);
  rmSync(folder, { recursive: true });
});

const get = (target: string, headers: Record<string, string> = BROWSER, method = "GET") =>
  fetch(`${node.httpUrl}${target}`, { method, headers, redirect: "manual" });

describe("the console's files", () => {
  it("[CON1] its page answers a browser at every address of its own, and with 404 at addresses nobody knows", async () => {
    for (const target of [
      "/",
      "/projects",
      "/projects/1/members",
      "/workspaces/1?file=a%2Fb.js",
      "/sign-in",
    ]) {
      const answer = await get(target);
      expect([target, answer.status, answer.headers.get("content-type")]).toEqual([
        target,
        200,
        "text/html; charset=utf-8",
      ]);
      expect(await answer.text()).toContain("<!doctype html>");
    }
    const unknown = await get("/no-such-page");
    expect([unknown.status, unknown.headers.get("content-type")]).toEqual([404, "text/html; charset=utf-8"]);
    const head = await get("/projects", BROWSER, "HEAD");
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });

  it("[CON2] never answers for the API: unknown addresses below it, and programs anywhere, get a problem", async () => {
    const problems = [
      get("/api/v1/nothing"),
      get("/api/nothing"),
      get("/assets/index-2.js"),
      get("/livez/deeper"),
      get("/projects", { accept: "*/*" }),
      get("/projects", { accept: "application/json" }),
      get("/projects", BROWSER, "POST"),
      get("/.built", { accept: "*/*" }),
      get("/assets/../../package.json", { accept: "*/*" }),
      get("/assets/%2e%2e/index.html", { accept: "*/*" }),
    ];
    for (const answer of await Promise.all(problems)) {
      expect([answer.url, answer.status]).toEqual([answer.url, 404]);
      expect(answer.headers.get("content-type")).toContain("application/problem+json");
    }
    expect((await get("/health")).headers.get("content-type")).toContain("application/json");
  });

  it("[CON3] its policy lets in scripts of this origin alone, styles with the page's own nonce, and the sockets", async () => {
    const [one, two] = [await get("/"), await get("/")];
    const policy = one.headers.get("content-security-policy") ?? "";
    const nonce = /'nonce-([^']+)'/.exec(policy)?.[1] ?? "";
    const socket = new URL(node.wsUrl).port;
    expect(policy).not.toMatch(/unsafe|\*/);
    expect(policy).toContain("default-src 'none'; script-src 'self';");
    expect(policy).toContain(`connect-src 'self' ws://127.0.0.1:${socket};`);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(nonce.length).toBeGreaterThan(20);
    const html = await one.text();
    expect(html.split(`nonce="${nonce}"`)).toHaveLength(3);
    expect(html).toContain(`content="ws://127.0.0.1:${socket}"`);
    expect(html).not.toContain("__");
    expect(two.headers.get("content-security-policy")).not.toBe(policy);
    expect(one.headers.get("cache-control")).toBe("no-store");
  });

  it("[CON4] hashed files are kept for a year and come packed; others are asked for again", async () => {
    const packed = await get("/assets/index-1.js", { "accept-encoding": "br" });
    expect(packed.headers.get("content-encoding")).toBe("br");
    expect(packed.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect(packed.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    expect(Number(packed.headers.get("content-length"))).toBeLessThan(SCRIPT.length / 2);
    expect(await packed.text()).toBe(SCRIPT);
    const plain = await get("/assets/index-1.js", { "accept-encoding": "identity" });
    expect([plain.headers.get("content-encoding"), await plain.text()]).toEqual([null, SCRIPT]);
    expect((await get("/theme.js")).headers.get("cache-control")).toBe("public, max-age=3600");
  });

  it("[CON5] a server without a built console leads to the documentation, and misses nothing else", async () => {
    const home = await fetch(`${bare.httpUrl}/`, { headers: BROWSER, redirect: "manual" });
    expect([home.status, home.headers.get("location")]).toEqual([302, "/api/docs"]);
    expect((await fetch(`${bare.httpUrl}/projects`, { headers: BROWSER })).status).toBe(404);
  });

  it("[CON7] its own page opens sockets also where CORS_ORIGIN names other pages; strangers are refused", async () => {
    const env = { CORS_ORIGIN: "https://app.example", PUBLIC_URL: "https://atelier.example" };
    const strict = await startTestNode({ consoleFolder: folder, env });
    try {
      const ada = await strict.api.person();
      const address = `${strict.wsUrl}/?token=${ada.token}&projectId=${await strict.api.project(ada)}`;
      const outcome = (origin: string) =>
        new Promise((resolve) => {
          const socket = new WebSocket(address, { origin });
          socket.on("message", () => socket.close());
          socket.on("close", () => resolve("opened"));
          socket.on("error", () => undefined);
          socket.on("unexpected-response", (_request, { statusCode }) => resolve(statusCode));
        });
      expect(await outcome("https://atelier.example")).toBe("opened");
      expect(await outcome("https://app.example")).toBe("opened");
      expect(await outcome("https://evil.example")).toBe(403);
    } finally {
      await strict.stop();
    }
  });

  it("[CON6] tells browsers the sockets' public address when there is one", async () => {
    const behind = await startTestNode({
      consoleFolder: folder,
      env: { PUBLIC_WS_URL: "wss://ws.example.org/live/" },
    });
    try {
      const answer = await fetch(`${behind.httpUrl}/`, { headers: BROWSER });
      expect(answer.headers.get("content-security-policy")).toContain(
        "connect-src 'self' wss://ws.example.org;",
      );
      expect(await answer.text()).toContain('content="wss://ws.example.org/live"');
    } finally {
      await behind.stop();
    }
  });
});
