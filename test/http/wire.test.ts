import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { v7 } from "uuid";
import { type Answer, type Person, type RequestOptions } from "../kit/api.js";
import { startTestNode, type TestNode } from "../kit/app.js";
import { expectProblem, expectSecurityHeaders } from "../kit/http-checks.js";
import { openRaw } from "../kit/raw-http.js";

const ORIGIN = "https://app.example.org";
const MIB = 1024 * 1024;

let node: TestNode;
let ada: Person;
let projectId: string;

beforeAll(async () => {
  node = await startTestNode({ env: { CORS_ORIGIN: `${ORIGIN},http://localhost:5173` } });
  ada = await node.api.person();
  projectId = await node.api.project(ada);
});
afterAll(() => node.stop());

const ask = (method: string, path: string, options: RequestOptions = {}) =>
  node.api.request(method, path, { token: ada.token, ...options });
const create = (body: unknown, headers: Record<string, string> = {}) =>
  ask("POST", "/projects", { body, headers });

/** How many statements of this database wait for somebody's lock. */
describe("headers of every answer", () => {
  it("[HTTP31] protect the browser and name the request: 200, 201, 204, 304, 4xx", async () => {
    const path = `/projects/${projectId}`;
    const made = await create({ name: "Headers" });
    const answers: (readonly [number, Answer])[] = [
      [200, await ask("GET", path)],
      [201, made],
      [204, await ask("DELETE", `/projects/${made.body.project.id}`)],
      [304, await ask("GET", path, { headers: { "If-None-Match": "*" } })],
    ];
    for (const [status, answer] of answers) {
      expect(answer.status).toBe(status);
      expectSecurityHeaders(answer.headers);
      if (status < 300 && status !== 204)
        expect(answer.headers.get("content-type")).toBe("application/json; charset=utf-8");
    }
    expectProblem(await ask("GET", path, { token: undefined }), "unauthenticated");
    expectProblem(await ask("GET", `/projects/${v7()}`), "not_found");
    expectProblem(await ask("GET", "/nowhere"), "not_found");
    expectProblem(await ask("POST", path), "method_not_allowed");
    expectProblem(await ask("POST", "/projects", { raw: "a".repeat(MIB + 1) }), "payload_too_large");
    expectProblem(
      await ask("POST", "/projects", { raw: "{}", headers: { "content-type": "text/plain" } }),
      "unsupported_media_type",
    );
  });

  it.each([
    "/health",
    "/livez",
    "/readyz",
    "/metrics",
    "/",
    "/nowhere",
    "/.env",
    "/.git/config",
    "/api",
    "/api/v2/projects",
  ])("[HTTP31] outside the base path too: %s", async (path) => {
    const answer = await fetch(`${node.httpUrl}${path}`, { redirect: "manual" });
    expectSecurityHeaders(answer.headers);
    expect(answer.status).not.toBe(500);
  });

  it("[HTTP32] a refused upgrade, and a plain request to the sockets' port, are problems with the same headers", async () => {
    const upgrade =
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
      `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n`;
    const requests: (readonly [string, string, number])[] = [
      [`/?projectId=${projectId}`, upgrade, 401],
      [`/?projectId=${projectId}&token=none`, upgrade, 401],
      [`/?projectId=${v7()}&token=${ada.token}`, upgrade, 404],
      ["/?projectId=x", upgrade, 400],
      ["/elsewhere", upgrade, 404],
      [`/?projectId=${projectId}&token=${ada.token}`, `${upgrade}Origin: https://evil.example\r\n`, 403],
      ["/", "", 426],
    ];
    for (const [path, headers, status] of requests) {
      const raw = await openRaw(node.wsUrl);
      raw.send(`GET ${path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: upgrade-0001\r\n${headers}\r\n`);
      const answer = await raw.answer();
      expect([path, answer.status]).toEqual([path, status]);
      const body = JSON.parse(answer.text);
      expectProblem({ ...answer, body });
      expect(body.requestId).toBe("upgrade-0001");
      expect(body.instance).not.toContain("token");
      raw.destroy();
    }
  });
});

describe("paths and methods", () => {
  it("[HTTP33] an unknown path is 404, a method a path does not know 405 with Allow, HEAD is GET without a body", async () => {
    const path = `/projects/${projectId}`;
    const refused = await ask("POST", path);
    expectProblem(refused, "method_not_allowed");
    expect(refused.headers.get("allow")).toBe("DELETE, GET, HEAD, PATCH, PUT");
    expect((await ask("DELETE", "/projects")).headers.get("allow")).toBe("GET, HEAD, POST");
    expect((await ask("PROPFIND", path)).status).toBe(405);
    expect((await ask("GET", "/auth/login")).headers.get("allow")).toBe("POST");
    const [get, head] = [await ask("GET", path), await ask("HEAD", path)];
    expect([head.status, head.body]).toEqual([get.status, undefined]);
    for (const name of ["content-type", "content-length", "etag"])
      expect(head.headers.get(name)).toBe(get.headers.get(name));
    expect((await ask("HEAD", "/nowhere")).status).toBe(404);
    expect((await ask("HEAD", path, { token: undefined })).status).toBe(401);
    for (const header of ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
      expect((await ask("POST", path, { headers: { [header]: "DELETE" } })).status).toBe(405);
  });

  it("[HTTP34] other ways to write a path change nothing about who may do what", async () => {
    const bob = await node.api.person();
    const variants = (id: string) => [
      `/projects/${id}/`,
      `/PROJECTS/${id}`,
      `/projects/${id.toUpperCase()}`,
      `/pr%6Fjects/${id}`,
      `//projects/${id}`,
      `/projects//${id}`,
      `/projects/${id}/%2e`,
      `/./projects/${id}`,
      `/x/../projects/${id}`,
      `/projects/${id}%2f`,
      `/projects/${id};a=b`,
      `/projects/${id}?`,
    ];
    for (const path of variants(projectId)) {
      for (const method of ["GET", "HEAD", "PATCH", "DELETE"]) {
        const exchange = async (token?: string) => {
          const raw = await openRaw(node.httpUrl);
          const body = method === "PATCH" ? '{"name":"Taken"}' : "";
          raw.send(
            `${method} /api/v1${path} HTTP/1.1\r\nHost: a\r\n${token ? `Authorization: Bearer ${token}\r\n` : ""}` +
              `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
          );
          const { status } = await raw.answer({ toHead: method === "HEAD" });
          raw.destroy();
          return status;
        };
        // 400: an id that is none. 404: no route, or not theirs.
        expect([path, method, [400, 404]]).toEqual([path, method, expect.arrayContaining([400, 404])]);
        expect([400, 404]).toContain(await exchange(bob.token));
        expect([400, 401, 404]).toContain(await exchange());
      }
    }
    expect((await ask("GET", `/projects/${projectId}`)).body.project.name).toBe("Engine");
  });
});

describe("bodies", () => {
  const login = (options: RequestOptions) => node.api.request("POST", "/auth/login", options);

  it("[HTTP35] a MiB is read and a byte more is not, however it is sent", async () => {
    const padded = (bytes: number) => {
      const body = '{"name":"Padded"}';
      return body + " ".repeat(bytes - body.length);
    };
    expect((await ask("POST", "/projects", { raw: padded(MIB) })).status).toBe(201);
    const over = await ask("POST", "/projects", { raw: padded(MIB + 1) });
    expectProblem(over, "payload_too_large");
    expect(over.body).toMatchObject({ limit: MIB, errors: [{ pointer: "" }] });
    const zipped = { "content-encoding": "gzip" };
    const zip = (text: string | Buffer) => new Uint8Array(gzipSync(text));
    expect((await ask("POST", "/projects", { raw: zip(padded(MIB)), headers: zipped })).status).toBe(201);
    expectProblem(
      await ask("POST", "/projects", { raw: zip(padded(MIB + 1)), headers: zipped }),
      "payload_too_large",
    );
    const bomb = zip(Buffer.alloc(80 * MIB, " "));
    expect(bomb.length).toBeLessThan(100_000);
    expectProblem(await ask("POST", "/projects", { raw: bomb, headers: zipped }), "payload_too_large");
    expectProblem(await login({ raw: bomb, headers: zipped }), "payload_too_large");
    expectProblem(
      await ask("POST", "/projects", { raw: bomb.slice(0, 500), headers: zipped }),
      "bad_request",
    );
    expectProblem(await ask("POST", "/projects", { raw: padded(30), headers: zipped }), "bad_request");
    for (const encoding of ["compress", "gzip, gzip", "zip", "__proto__"])
      expectProblem(
        await ask("POST", "/projects", { raw: padded(30), headers: { "content-encoding": encoding } }),
        "unsupported_media_type",
      );
  });

  it("[HTTP36] too large a body is refused when that is known, not when its sender is done", async () => {
    const head = `POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n`;
    const [lying, endless] = [await openRaw(node.httpUrl), await openRaw(node.httpUrl)];
    lying.send(`${head}Content-Length: ${80 * MIB}\r\n\r\n{"email":`);
    endless.send(`${head}Transfer-Encoding: chunked\r\n\r\n`);
    for (let sent = 0; sent <= MIB; sent += 64 * 1024) endless.send(`10000\r\n${" ".repeat(64 * 1024)}\r\n`);
    for (const raw of [lying, endless]) {
      const answer = await raw.answer();
      expectProblem({ ...answer, body: JSON.parse(answer.text) }, "payload_too_large");
    }
    // Whoever goes on sending is cut off.
    await Promise.all([lying.closed(), endless.closed()]);
  });

  it("[HTTP37] less than Content-Length, and an end in the middle, hurt nobody", async () => {
    const raw = await openRaw(node.httpUrl);
    raw.send(
      `POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"email":`,
    );
    raw.destroy();
    const chunked = await openRaw(node.httpUrl);
    const body = `{"name":"Chunked"}`;
    chunked.send(
      `POST /api/v1/projects HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${ada.token}\r\n` +
        `Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n${body.slice(0, 9)}\r\n`,
    );
    chunked.send(`${(body.length - 9).toString(16)}\r\n${body.slice(9)}\r\n0\r\n\r\n`);
    expect((await chunked.answer()).status).toBe(201);
    chunked.destroy();
  });

  it.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "application/json; charset=iso-8859-1",
    "application/jsonp",
    "text/json",
    "json",
    "",
    "application/json, text/plain",
  ])("[HTTP38] the content type %j is 415", async (type) => {
    const raw = '{"name":"Plain"}';
    const send = async (path: string, token = "") => {
      const connection = await openRaw(node.httpUrl);
      connection.send(
        `POST /api/v1${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n` +
          `${type === "" ? "" : `Content-Type: ${type}\r\n`}Content-Length: ${raw.length}\r\n\r\n${raw}`,
      );
      const answer = await connection.answer();
      connection.destroy();
      return { ...answer, body: JSON.parse(answer.text) };
    };
    expectProblem(await send("/projects", ada.token), "unsupported_media_type");
    expectProblem(await send("/auth/login"), "unsupported_media_type");
  });

  it("[HTTP39] JSON in UTF-8 is read under its other names, and a body where none belongs is 400", async () => {
    for (const type of [
      "application/json;charset=UTF-8",
      'application/json; charset="utf-8"',
      "application/merge-patch+json",
    ])
      expect(
        (await ask("POST", "/projects", { raw: '{"name":"Typed"}', headers: { "content-type": type } }))
          .status,
      ).toBe(201);
    const surplus = await ask("POST", "/ws-ticket", { raw: "{}" });
    expectProblem(surplus, "bad_request");
    expect(surplus.body.errors[0].pointer).toBe("");
    expect((await ask("DELETE", `/projects/${projectId}`, { raw: "{}" })).status).toBe(400);
    expect((await ask("GET", `/projects/${projectId}`)).status).toBe(200);
  });
});

describe("requests that are not HTTP", () => {
  const CASES: (readonly [string, string])[] = [
    [
      "Content-Length and Transfer-Encoding",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    ],
    [
      "two Content-Length",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nHELLO",
    ],
    ["a Content-Length list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nHELLO"],
    ["a signed Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nHELLO"],
    ["an obsolete fold", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n"],
    ["a space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nHELLO"],
    ["a bare line feed", "GET / HTTP/1.1\nHost: a\n\n"],
    ["a bad chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"],
    [
      "an unknown transfer coding",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ],
    [
      "chunked not last",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ],
    ["no Host", "GET /health HTTP/1.1\r\n\r\n"],
    ["two Hosts", "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
    ["a NUL in a header", "GET /health HTTP/1.1\r\nHost: a\r\nX-A: b\u0000c\r\n\r\n"],
    ["no HTTP at all", "HELO example.org\r\n\r\n"],
    ["another protocol's start", "\u0016\u0003\u0001\u0002\u0000"],
  ];

  it.each(CASES)(
    "[HTTP40] %s: a 400 problem, then the end of the connection, nothing behind it is run",
    async (_what, bytes) => {
      for (const url of [node.httpUrl, node.wsUrl]) {
        const raw = await openRaw(url);
        raw.send(`${bytes}GET /api/v1/projects HTTP/1.1\r\nHost: a\r\n\r\n`);
        const answer = await raw.answer();
        // The sockets' port has its answer before it looks at a body.
        expect(url === node.wsUrl ? [400, 426] : [400]).toContain(answer.status);
        expectProblem({ ...answer, body: JSON.parse(answer.text) });
        expect(answer.headers.get("connection")).toMatch(/close$/);
        expect(await raw.closed()).not.toMatch(/^HTTP\/1\.1 (?!400)/m);
      }
    },
  );

  it("[HTTP41] headers that are too large are 431, and very many of them change nothing", async () => {
    const raw = await openRaw(node.httpUrl);
    raw.send(`GET /health HTTP/1.1\r\nHost: a\r\nX-A: ${"a".repeat(17_000)}\r\n\r\n`);
    const answer = await raw.answer();
    expectProblem({ ...answer, body: JSON.parse(answer.text) }, "headers_too_large");
    await raw.closed();
    const many = await openRaw(node.httpUrl);
    many.send(`GET /health HTTP/1.1\r\nHost: a\r\n${"A:b\r\n".repeat(2_500)}\r\n`);
    expect([200, 431]).toContain((await many.answer()).status);
    many.destroy();
    expect((await fetch(`${node.httpUrl}/health`)).status).toBe(200);
  });

  it("[HTTP42] a path that cannot be decoded, an absolute target and a very long path are answered in order", async () => {
    for (const [target, status] of [
      ["/api/v1/projects/%ff", 400],
      ["/api/v1/projects/%", 400],
      ["/%00", 404],
      [`/${"a".repeat(8_000)}`, 404],
      ["http://evil.example/api/v1/nowhere", 404],
      ["*", 404],
    ] as const) {
      const raw = await openRaw(node.httpUrl);
      raw.send(`GET ${target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${ada.token}\r\n\r\n`);
      const answer = await raw.answer();
      expect([target, answer.status]).toEqual([target, status]);
      const body = JSON.parse(answer.text);
      expectProblem({ ...answer, body });
      expect(body.instance.length).toBeLessThanOrEqual(300);
      raw.destroy();
    }
  });
});
