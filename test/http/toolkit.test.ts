import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import { v7 } from "uuid";
import { createProjectRepository } from "../../src/projects/repository.js";
import { until } from "../kit/adapters.js";
import { type Person, type RequestOptions } from "../kit/api.js";
import { startTestNode, type TestNode } from "../kit/app.js";
import { expectProblem, expectSecurityHeaders } from "../kit/http-checks.js";
import { openRaw } from "../kit/raw-http.js";

const ORIGIN = "https://app.example.org";

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
async function waitingForLocks(): Promise<number> {
  const { rows } = await sql<{
    count: number;
  }>`select count(*) from pg_locks l join pg_database d on d.oid = l.database
    where not l.granted and d.datname = current_database()`.execute(node.app.stores.database.tables());
  return rows[0]?.count ?? 0;
}

describe("request ids", () => {
  it("[HTTP20] one of the right form is taken and given back, in problems too; any other is replaced", async () => {
    for (const id of ["12345678", "trace_ID-0001", "x".repeat(64)]) {
      const answer = await ask("GET", "/auth/me", { headers: { "X-Request-Id": id } });
      expect(answer.headers.get("x-request-id")).toBe(id);
      const problem = await ask("GET", "/projects/none", { headers: { "X-Request-Id": id } });
      expect(problem.body.requestId).toBe(id);
    }
    for (const id of ["short", "x".repeat(65), "with space in", "<script>alert(1)</script>", '"quoted-id"']) {
      const { headers } = await ask("GET", "/auth/me", { headers: { "X-Request-Id": id } });
      expect(headers.get("x-request-id")).toMatch(/^[\da-f-]{36}$/);
    }
  });

  it("[HTTP21] a job keeps the id of the request that submitted it", async () => {
    const { body } = await ask("POST", "/jobs", {
      body: { type: "code_execution", payload: { language: "javascript", code: "1" } },
      headers: { "X-Request-Id": "from-the-client" },
    });
    expect(body.job.requestId).toBe("from-the-client");
  });
});

describe("idempotency keys", () => {
  it("[HTTP22] a repeat gets the stored answer, once for every way to write the same request", async () => {
    const headers = { "Idempotency-Key": v7() };
    const first = await create({ name: "Once", description: "a" }, headers);
    const again = await create({ description: "a", name: " Once " }, headers);
    expect([first.status, first.headers.get("idempotency-replayed")]).toEqual([201, null]);
    expect([again.status, again.headers.get("idempotency-replayed")]).toEqual([201, "true"]);
    expect(again.body).toEqual(first.body);
    for (const name of ["location", "etag"]) expect(again.headers.get(name)).toBe(first.headers.get(name));
    const slash = await node.api.request("POST", "/projects/", {
      token: ada.token,
      body: { name: "Once", description: "a" },
      headers,
    });
    expect(slash.body).toEqual(first.body);
  });

  it("[HTTP23] another body with the key is 422; another user, and another route, has keys of its own", async () => {
    const headers = { "Idempotency-Key": "same-key" };
    await create({ name: "First" }, headers);
    expectProblem(await create({ name: "Second" }, headers), "idempotency_key_reused");
    const bob = await node.api.person();
    expect((await node.api.post("/projects", { name: "Second" }, bob.token, headers)).status).toBe(201);
    const workspaces = [projectId, await node.api.project(ada)].map((id) => `/projects/${id}/workspaces`);
    const [one, other] = [
      await ask("POST", workspaces[0] ?? "", { body: { name: "Same", settings: {} }, headers }),
      await ask("POST", workspaces[1] ?? "", { body: { name: "Same", settings: {} }, headers }),
    ];
    expect([one.status, other.body.code]).toEqual([201, "idempotency_key_reused"]);
  });

  it("[HTTP24] while the first request runs a second is 409 with Retry-After; after it, a replay", async () => {
    const headers = { "Idempotency-Key": v7() };
    const path = `/projects/${projectId}/workspaces`;
    const submit = () => ask("POST", path, { body: { name: "Slow", settings: {} }, headers });
    // Somebody who changes memberships holds the project; whoever writes in it waits in the middle of its transaction.
    const { database } = node.app.stores;
    const projects = createProjectRepository();
    const { first } = await database.transaction(async (tx) => {
      await projects.takeTurn(tx, projectId, "membership");
      const running = submit();
      await until(async () => (await waitingForLocks()) > 0);
      const second = await submit();
      expectProblem(second, "idempotency_in_progress");
      expect(second.headers.get("retry-after")).toBe("1");
      return { first: () => running };
    });
    const answer = await first();
    expect(answer.status).toBe(201);
    const replay = await submit();
    expect([replay.status, replay.headers.get("idempotency-replayed")]).toEqual([201, "true"]);
    expect(replay.body).toEqual(answer.body);
  });

  it("[HTTP25] a refused request leaves its key free, and a key of another form is 400", async () => {
    const headers = { "Idempotency-Key": v7() };
    const job = (language: string) =>
      ask("POST", "/jobs", { body: { type: "code_execution", payload: { language, code: "1" } }, headers });
    expect((await job("cobol")).status).toBe(422);
    expect((await job("javascript")).status).toBe(202);
    for (const key of ["with space", "é", "x".repeat(256)]) {
      const raw = await openRaw(node.httpUrl);
      const body = '{"name":"Key"}';
      raw.send(
        Buffer.from(
          `POST /api/v1/projects HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${ada.token}\r\nContent-Type: application/json\r\n` +
            `Idempotency-Key: ${key}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        ),
      );
      expect((await raw.answer()).status).toBe(400);
      raw.destroy();
    }
  });
});

describe("entity tags", () => {
  it("[HTTP26] If-Match refuses a lost update with the current tag, also for tags nobody gave out", async () => {
    const path = `/projects/${await node.api.project(ada)}`;
    const { headers } = await ask("GET", path);
    expect(headers.get("etag")).toBe('"v1"');
    const patch = (name: string, ifMatch?: string) =>
      ask("PATCH", path, {
        body: { name },
        ...(ifMatch === undefined ? {} : { headers: { "If-Match": ifMatch } }),
      });
    expect((await patch("Second", '"v1"')).headers.get("etag")).toBe('"v2"');
    for (const tag of ['"v1"', '"v3"', 'W/"v2"', '"v99999999999999999999"', "nonsense", '"v2", "v3"']) {
      const lost = await patch("Lost", tag);
      expectProblem(lost, "version_mismatch");
      expect(lost.headers.get("etag")).toBe('"v2"');
    }
    expect((await ask("DELETE", path, { headers: { "If-Match": '"v1"' } })).status).toBe(412);
    expect((await patch("Third", "*")).headers.get("etag")).toBe('"v3"');
    expect((await patch("Fourth")).headers.get("etag")).toBe('"v4"');
    expect((await ask("GET", path)).body.project.name).toBe("Fourth");
    const bob = await node.api.person();
    const foreign = await node.api.request("PATCH", path, {
      token: bob.token,
      body: { name: "Taken" },
      headers: { "If-Match": "nonsense" },
    });
    expect(foreign.status).toBe(404);
  });

  it("[HTTP27] If-None-Match is answered 304 without a body, with the tag", async () => {
    const path = `/projects/${projectId}`;
    const etag = (await ask("GET", path)).headers.get("etag") ?? "";
    for (const method of ["GET", "HEAD"]) {
      for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) {
        const answer = await ask(method, path, { headers: { "If-None-Match": tag } });
        expect([answer.status, answer.body, answer.headers.get("etag")]).toEqual([304, undefined, etag]);
        expectSecurityHeaders(answer.headers);
      }
    }
    expect((await ask("GET", path, { headers: { "If-None-Match": '"v999"' } })).status).toBe(200);
  });
});

describe("cursors", () => {
  it("[HTTP28] a cursor works for its list, filter and user alone; any other, and a forged one, is 400", async () => {
    const bob = await node.api.person();
    for (const person of [ada, bob]) for (let i = 0; i < 3; i++) await node.api.project(person);
    const first = await ask("GET", "/projects?limit=1");
    const cursor = encodeURIComponent(first.body.nextCursor);
    const next = await ask("GET", `/projects?limit=2&cursor=${cursor}`);
    expect(next.status).toBe(200);
    expect(next.body.projects).toHaveLength(2);
    const refused = [
      await node.api.get(`/projects?cursor=${cursor}`, bob.token),
      await ask("GET", `/jobs?cursor=${cursor}`),
      await ask("GET", `/auth/sessions?cursor=${cursor}`),
      await ask("GET", `/projects/${projectId}/activity?cursor=${cursor}`),
      await ask("GET", `/projects?cursor=${cursor.slice(0, -1)}A`),
      await ask(
        "GET",
        `/projects?cursor=${Buffer.from('{"id":"0"}').toString("base64url")}.${"A".repeat(16)}`,
      ),
      await ask("GET", "/projects?cursor=%00"),
    ];
    for (const answer of refused) {
      expectProblem(answer, "invalid_cursor");
      expect(answer.body.errors[0].pointer).toBe("?cursor");
    }
    const a = await node.api.project(ada);
    const members = await ask("GET", `/projects/${a}/activity?type=project_created&limit=1`);
    const filtered = members.body.nextCursor;
    if (filtered !== null)
      expectProblem(
        await ask("GET", `/projects/${a}/activity?cursor=${encodeURIComponent(filtered)}`),
        "invalid_cursor",
      );
  });
});

describe("CORS", () => {
  it("[HTTP29] an allowed origin is echoed exactly; no other gets leave, whatever it looks like", async () => {
    for (const origin of [ORIGIN, "http://localhost:5173"]) {
      const { headers } = await ask("GET", "/auth/me", { headers: { Origin: origin } });
      expect(headers.get("access-control-allow-origin")).toBe(origin);
      expect(headers.get("access-control-allow-credentials")).toBe("true");
      expect(headers.get("vary")).toContain("Origin");
    }
    const strangers = [
      "https://evil.example",
      "null",
      "http://app.example.org",
      "https://app.example.org:8443",
      "https://app.example.org.evil.example",
      "https://evilapp.example.org",
      "https://app.example.or",
      "https://APP.example.org",
      "*",
      "",
    ];
    for (const origin of strangers) {
      for (const [method, path] of [
        ["GET", "/auth/me"],
        ["OPTIONS", "/projects"],
        ["GET", "/nowhere"],
      ] as const) {
        const raw = await openRaw(node.httpUrl);
        raw.send(
          `${method} /api/v1${path} HTTP/1.1\r\nHost: a\r\nOrigin: ${origin}\r\nAccess-Control-Request-Method: PATCH\r\n\r\n`,
        );
        const { headers } = await raw.answer();
        raw.destroy();
        expect([origin, headers.get("access-control-allow-origin")]).toEqual([origin, null]);
      }
    }
  });

  it("[HTTP30] a preflight names the methods and headers there are; problems can be read across origins too", async () => {
    const preflight = await ask("OPTIONS", "/projects", {
      headers: {
        Origin: ORIGIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "if-match,x-evil",
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-methods")).toBe("GET,HEAD,POST,PUT,PATCH,DELETE");
    expect(preflight.headers.get("access-control-allow-headers")).toMatch(/Idempotency-Key/);
    expect(preflight.headers.get("access-control-allow-headers")).not.toMatch(/evil|\*/);
    expectSecurityHeaders(preflight.headers);
    const problem = await ask("GET", "/nowhere", { headers: { Origin: ORIGIN } });
    expect(problem.headers.get("access-control-allow-origin")).toBe(ORIGIN);
    expect(problem.headers.get("access-control-expose-headers")).toMatch(/Retry-After/);
  });
});

describe("what nobody expected", () => {
  it("[HTTP43] is a 500 problem that says nothing of it, on this request alone", async () => {
    const tables = node.app.stores.database.tables();
    await sql`alter table workspaces rename to elsewhere`.execute(tables);
    const path = `/projects/${projectId}/workspaces`;
    for (const answer of [
      await ask("GET", path),
      await ask("POST", path, { body: { name: "Lost", settings: {} } }),
    ]) {
      expectProblem(answer, "internal_error");
      expect(JSON.stringify(answer.body)).not.toMatch(/relation|does not exist|42P01/);
    }
    expect((await ask("GET", `/projects/${projectId}`)).status).toBe(200);
    await sql`alter table elsewhere rename to workspaces`.execute(tables);
    expect((await ask("GET", path)).body).toEqual({ workspaces: expect.any(Array), nextCursor: null });
  });
});
