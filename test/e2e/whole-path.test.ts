import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { startTestNode, type TestNode } from "../kit/app.js";

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node.stop());

const jobEnds = async (id: string, token: string) => {
  for (;;) {
    const { body } = await node.api.get(`/jobs/${id}`, token);
    if (["completed", "failed", "cancelled"].includes(body.job.status)) return body.job;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

describe("one node on embedded stores", () => {
  it("[APP1] two people share a project, see each other's events, run code, and read it all in the log", async () => {
    const [ada, bob] = [await node.api.person("Ada Lovelace"), await node.api.person("Bob Kahn")];
    const projectId = await node.api.project(ada, [[bob, "collaborator"]]);
    const [a, b] = [await node.socket(ada.token, projectId), await node.socket(bob.token, projectId)];
    expect((await a.next((m) => m.type === "user_joined" && m.userId === bob.id)).payload).toEqual({
      name: "Bob Kahn",
    });

    a.send({ type: "file_changed", payload: { fileName: "index.js", changes: "…" } });
    expect(await b.next((m) => m.type === "file_changed")).toMatchObject({
      projectId,
      userId: ada.id,
      payload: { fileName: "index.js" },
    });

    const submitted = await node.api.post(
      "/jobs",
      {
        type: "code_execution",
        projectId,
        payload: { language: "javascript", code: "console.log('Hello World')" },
      },
      ada.token,
    );
    expect(submitted.status).toBe(202);
    expect(submitted.headers.get("location")).toBe(`/api/v1/jobs/${submitted.body.job.id}`);
    expect(await jobEnds(submitted.body.job.id, ada.token)).toMatchObject({
      status: "completed",
      result: { status: "ok", stdout: "Hello World\n", exitCode: 0 },
    });
    await b.next((m) => m.type === "job_completed");

    const workspace = await node.api.post(
      `/projects/${projectId}/workspaces`,
      { name: "Development Workspace", settings: {} },
      bob.token,
    );
    expect(workspace.status).toBe(201);
    await a.next((m) => m.type === "workspace_created");

    await node.app.dispatcher.drained(5_000);
    const wanted = [
      "project_created",
      "member_added",
      "user_joined",
      "file_changed",
      "job_created",
      "job_started",
      "job_completed",
      "workspace_created",
    ];
    for (let i = 0; i < 40; i++) {
      const { body } = await node.api.get(`/projects/${projectId}/activity`, bob.token);
      const types = new Set(body.activity.map((entry: { type: string }) => entry.type));
      if (wanted.every((type) => types.has(type))) break;
      expect(i).toBeLessThan(39);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect((await node.api.get(`/projects/${projectId}/presence`, bob.token)).body.presence).toHaveLength(2);
  });

  it("[APP2] health, liveness, readiness and metrics answer", async () => {
    const at = (path: string) => fetch(`${node.httpUrl}${path}`);
    const health = (await (await at("/health")).json()) as Record<string, unknown>;
    expect(Object.keys(health)).toEqual(["status", "timestamp", "uptime"]);
    expect(health.status).toBe("ok");
    expect((await at("/livez")).status).toBe(200);
    expect(await (await at("/readyz")).json()).toMatchObject({ status: "ready", checks: { database: "ok" } });
    const metrics = await (await at("/metrics")).text();
    for (const name of [
      "atelier_http_requests_total",
      "atelier_socket_deliveries_total",
      "atelier_outbox_lag_events",
      "nodejs_eventloop_lag_seconds",
    ])
      expect(metrics).toContain(name);
  });

  it("[APP3] the documents and the page that tries them out are served from here", async () => {
    const openapi = (await (await fetch(`${node.httpUrl}/api/openapi.json`)).json()) as {
      openapi: string;
      paths: Record<string, unknown>;
    };
    expect(openapi.openapi).toBe("3.1.0");
    expect(Object.keys(openapi.paths)).toContain("/projects/{projectId}/members");
    expect(
      ((await (await fetch(`${node.httpUrl}/api/asyncapi.json`)).json()) as { asyncapi: string }).asyncapi,
    ).toBe("3.0.0");
    const page = await fetch(`${node.httpUrl}/api/docs`);
    expect(page.headers.get("content-security-policy")).toContain("script-src 'self'");
    for (const asset of ["swagger-ui.css", "swagger-ui-bundle.js"])
      expect((await fetch(`${node.httpUrl}/api/docs/assets/${asset}`)).status).toBe(200);
  });

  it("[APP4] access taken away reaches open sockets: demotion, removal, logout, deletion", async () => {
    const [ada, bob, cy] = [await node.api.person(), await node.api.person(), await node.api.person()];
    const projectId = await node.api.project(ada, [
      [bob, "collaborator"],
      [cy, "viewer"],
    ]);
    const [b, c] = [await node.socket(bob.token, projectId), await node.socket(cy.token, projectId)];
    const demoted = await node.api.request("PATCH", `/projects/${projectId}/members/${bob.id}`, {
      token: ada.token,
      body: { role: "viewer" },
    });
    expect(demoted).toMatchObject({ status: 200 });
    expect(demoted.headers.get("x-access-applied")).toBe("true");
    b.send({ type: "chat_message", payload: {}, id: "late" });
    expect(await b.next((m) => m.type === "nack")).toMatchObject({ code: "forbidden" });
    await node.api.request("DELETE", `/projects/${projectId}/members/${cy.id}`, { token: ada.token });
    expect((await c.closed()).code).toBe(4403);
    expect((await node.api.request("POST", "/auth/logout", { token: bob.token, body: {} })).status).toBe(204);
    expect((await b.closed()).code).toBe(4401);
    const a = await node.socket(ada.token, projectId);
    expect((await node.api.request("DELETE", `/projects/${projectId}`, { token: ada.token })).status).toBe(
      204,
    );
    expect((await a.closed()).code).toBe(4404);
  });
});

describe("sign-out and refresh", () => {
  it("[APP8] signing out twice is 204 twice, and nothing else is done with the ended session", async () => {
    const ada = await node.api.person();
    const signOut = () => node.api.request("POST", "/auth/logout", { token: ada.token });
    expect((await signOut()).status).toBe(204);
    expect((await signOut()).status).toBe(204);
    expect((await node.api.request("POST", "/auth/logout-all", { token: ada.token })).status).toBe(204);
    expect(await node.api.get("/auth/me", ada.token)).toMatchObject({
      status: 401,
      body: { code: "session_revoked" },
    });
    const named = { token: ada.token, body: { refreshToken: ada.refreshToken } };
    expect((await node.api.request("POST", "/auth/logout", named)).status).toBe(401);
  });

  it("[APP9] refreshing is counted by its own limits, not by the one of the address", async () => {
    const small = await startTestNode({ env: { RATE_LIMIT_MAX: "3" } });
    try {
      let { refreshToken } = await small.api.person();
      for (let i = 0; i < 6; i++) {
        const { status, body } = await small.api.post("/auth/refresh", { refreshToken });
        expect(status).toBe(200);
        refreshToken = body.tokens.refreshToken;
      }
      const login = () =>
        small.api.post("/auth/login", { email: "nobody@example.com", password: "wrong password" });
      expect([await login(), await login(), await login()].map(({ status }) => status)).toEqual([
        401, 401, 429,
      ]);
    } finally {
      await small.stop();
    }
  });
});

describe("listeners and flags", () => {
  it("[APP5] WS_PORT equal to PORT shares one listener", async () => {
    const port = String(20_000 + Math.floor(Math.random() * 20_000));
    const shared = await startTestNode({ env: { PORT: port, WS_PORT: port } });
    try {
      const ada = await shared.api.person();
      const projectId = await shared.api.project(ada);
      expect(new URL(shared.wsUrl).port).toBe(new URL(shared.httpUrl).port);
      (await shared.socket(ada.token, projectId)).terminate();
    } finally {
      await shared.stop();
    }
  });

  it("[APP6] FEATURE_REAL_TIME_COLLABORATION=false: no socket port, presence says so, the rest works", async () => {
    const plain = await startTestNode({ env: { FEATURE_REAL_TIME_COLLABORATION: "false" } });
    try {
      expect(plain.app.wsUrl).toBeUndefined();
      const ada = await plain.api.person();
      const projectId = await plain.api.project(ada);
      expect(await plain.api.get(`/projects/${projectId}/presence`, ada.token)).toMatchObject({
        status: 503,
        body: { code: "feature_disabled" },
      });
      await plain.app.dispatcher.drained(5_000);
    } finally {
      await plain.stop();
    }
  });

  it("[APP7] a plain request to the sockets' port is a 426 problem", async () => {
    const answer = await fetch(node.wsUrl.replace("ws", "http"));
    expect(answer.status).toBe(426);
    expect(answer.headers.get("content-type")).toContain("application/problem+json");
  });
});
