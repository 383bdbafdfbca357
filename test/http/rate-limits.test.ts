import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { type Api, createApi, type Person } from "../kit/api.js";
import { startTestNode, type TestNode } from "../kit/app.js";
import { expectProblem } from "../kit/http-checks.js";

/** The limits as they are when nobody sets any; how many points that is stands in the tests. */
const DEFAULTS = {
  RATE_LIMIT_MAX: "",
  RATE_LIMIT_WINDOW_MS: "",
  RATE_LIMIT_USER_MAX: "",
  RATE_LIMIT_WRITE_MAX: "",
  AUTH_RATE_LIMIT_MAX: "",
  REFRESH_RATE_LIMIT_MAX: "",
} as const;
const QUARTER_S = 900;

let node: TestNode;
let addresses = 0;

/** One node for the tests of a block; each of its clients comes from an address of its own, by way of a proxy. */
function onNode(env: Record<string, string>): void {
  beforeAll(async () => {
    node = await startTestNode({ env: { ...DEFAULTS, TRUST_PROXY: "1", ...env } });
  });
  afterAll(() => node.stop());
}

function newClient(): Api {
  addresses += 1;
  return createApi(`${node.httpUrl}/api/v1`, { "x-forwarded-for": `10.9.8.${addresses}` });
}

const failedLogin = (api: Api, email: string, headers: Record<string, string> = {}) =>
  api.request("POST", "/auth/login", { body: { email, password: "not the password" }, headers });

/** `"a";r=1;t=2, "b";r=3;t=4` by name. */
function policiesIn(header: string | null): Record<string, Record<string, number>> {
  return Object.fromEntries(
    (header ?? "").split(", ").map((item) => {
      const [name = "", ...parameters] = item.split(";");
      return [
        name.replaceAll('"', ""),
        Object.fromEntries(parameters.map((p) => [p[0], Number(p.slice(2))])),
      ];
    }),
  );
}

async function statuses(count: number, call: () => Promise<{ status: number }>): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) all.push((await call()).status);
  return all;
}

const times = (count: number, status: number) => Array.from({ length: count }, () => status);

describe("the first README's numbers", () => {
  onNode({});

  it("[HTTP50] anonymous: 100 requests in 15 minutes per address, counted over every route, then 429 that says when", async () => {
    const api = newClient();
    const first = await api.get("/projects");
    expect(first.status).toBe(401);
    expect(policiesIn(first.headers.get("ratelimit-policy"))).toEqual({
      anonymous: { q: 100, w: QUARTER_S },
    });
    expect(policiesIn(first.headers.get("ratelimit")).anonymous).toMatchObject({ r: 99 });
    const others = ["/auth/me", "/nowhere", "/projects/x?y=1", "/auth/login"];
    const rest = await statuses(99, () => api.get(others[Math.floor(Math.random() * others.length)] ?? ""));
    expect(rest).not.toContain(429);
    const refused = await api.get("/projects");
    expectProblem(refused, "rate_limited");
    expect(refused.body).toMatchObject({ policy: "anonymous", limit: 100 });
    const wait = Number(refused.headers.get("retry-after"));
    expect(wait).toBeGreaterThan(QUARTER_S - 60);
    expect(wait).toBeLessThanOrEqual(QUARTER_S);
    expect(policiesIn(refused.headers.get("ratelimit"))).toEqual({ anonymous: { r: 0, t: wait } });
    for (const [method, path] of [
      ["POST", "/auth/login"],
      ["GET", "/nowhere"],
      ["PUT", "/auth/login"],
      ["HEAD", "/auth/me"],
    ] as const)
      expect([path, (await api.request(method, path)).status]).toEqual([path, 429]);
  });

  it("[HTTP51] exempt: health, metrics and documents answer after the limit is used up", async () => {
    const api = newClient();
    expect((await statuses(101, () => api.get("/auth/me"))).at(-1)).toBe(429);
    for (const path of ["/health", "/livez", "/readyz", "/metrics", "/api/docs", "/api/openapi.json"])
      expect([path, (await api.request("GET", `/../..${path}`)).status]).toEqual([path, 200]);
  });

  it("[HTTP52] five failed logins in 15 minutes per account and address; a success costs nothing", async () => {
    const api = newClient();
    const [ada, bob] = [await api.person(), await api.person()];
    const login = (person: Person) =>
      api.post("/auth/login", { email: person.email, password: person.password });
    expect(await statuses(7, () => login(ada))).toEqual(times(7, 200));
    expect(await statuses(5, () => failedLogin(api, ada.email))).toEqual(times(5, 401));
    const sixth = await failedLogin(api, ada.email);
    expectProblem(sixth, "rate_limited");
    expect(sixth.body).toMatchObject({ policy: "login", limit: 5 });
    expect(policiesIn(sixth.headers.get("ratelimit-policy"))).toMatchObject({
      anonymous: { q: 100, w: QUARTER_S },
      login: { q: 5, w: QUARTER_S },
    });
    expect(policiesIn(sixth.headers.get("ratelimit")).login).toMatchObject({ r: 0 });
    expect(Number(sixth.headers.get("retry-after"))).toBeGreaterThan(QUARTER_S - 60);
    // The account from there is closed even with the right password; another account is not, and tokens go on working.
    expect((await login(ada)).status).toBe(429);
    expect((await login(bob)).status).toBe(200);
    expect((await api.get("/auth/me", ada.token)).status).toBe(200);
    expect((await api.post("/auth/refresh", { refreshToken: ada.refreshToken })).status).toBe(200);
  });

  it("[HTTP55] fifty users behind one address, at the pace of a screen that opens, see no 429", async () => {
    const api = newClient();
    // They signed up elsewhere: registrations from one address have a limit of their own.
    const people = await Promise.all(Array.from({ length: 50 }, () => newClient().person()));
    const answers = await Promise.all(
      people.map(async ({ token }) => {
        const made = await api.post("/projects", { name: "Engine" }, token);
        const paths = ["/auth/me", "/projects", "/jobs", "/limits", `/projects/${made.body.project.id}`];
        const read = await Promise.all([...paths, ...paths].map((path) => api.get(path, token)));
        return [made, ...read].map(({ status }) => status);
      }),
    );
    expect(answers.flat().filter((status) => status >= 300)).toEqual([]);
  });

  it("[HTTP61] other ways to write a path count for the same policies", async () => {
    const api = newClient();
    const { email } = await api.person();
    const paths = ["/auth/login", "/AUTH/Login/", "/auth/login?", "/auth/login/"];
    const found: number[] = [];
    for (let i = 0; i < 8; i++) {
      const { status } = await api.request("POST", paths[i % paths.length] ?? "", {
        body: { email: i % 2 ? email.toUpperCase() : email, password: "not the password" },
      });
      found.push(status);
    }
    expect(found).toEqual([...times(5, 401), ...times(3, 429)]);
    for (const path of ["//auth/login", "/auth/%6cogin", "/auth//login"])
      expect((await api.request("POST", path, { body: { email, password: "x" } })).status).toBe(404);
  });
});

describe("tiers", () => {
  onNode({ RATE_LIMIT_MAX: "3", RATE_LIMIT_USER_MAX: "8", RATE_LIMIT_WRITE_MAX: "2" });

  it("[HTTP53] a user has limits of their own for requests and for writes, whatever the address has used up", async () => {
    const api = newClient();
    const ada = await api.person();
    const read = await api.get("/projects", ada.token);
    expect(policiesIn(read.headers.get("ratelimit-policy"))).toEqual({ user: { q: 8, w: QUARTER_S } });
    const written = await api.post("/projects", { name: "Engine" }, ada.token);
    expect(policiesIn(written.headers.get("ratelimit-policy"))).toEqual({
      user: { q: 8, w: QUARTER_S },
      write: { q: 2, w: QUARTER_S },
    });
    expect(policiesIn(written.headers.get("ratelimit"))).toMatchObject({
      user: { r: 6 },
      write: { r: 1 },
    });
    expect(await statuses(4, () => api.get("/auth/me"))).toEqual([401, 401, 429, 429]);
    expect((await api.get("/nowhere", ada.token)).status).toBe(404);
    expect((await api.get("/auth/me", ada.token)).status).toBe(200);
    // A token that is none counts for the address.
    expect((await api.get("/auth/me", "none")).status).toBe(429);
    const { body } = await api.get("/limits", ada.token);
    expect(body.limits).toEqual(
      expect.arrayContaining([
        { name: "anonymous", limit: 3, windowSeconds: QUARTER_S },
        { name: "user", limit: 8, windowSeconds: QUARTER_S },
        { name: "write", limit: 2, windowSeconds: QUARTER_S },
        { name: "login", limit: 5, windowSeconds: QUARTER_S },
      ]),
    );
  });

  it("[HTTP54] what one user uses up is not another's, and writes stop before reads", async () => {
    const api = newClient();
    const [ada, bob] = [await api.person(), await api.person()];
    const write = (person: Person) => api.post("/projects", { name: "Engine" }, person.token);
    expect(await statuses(4, () => write(ada))).toEqual([201, 201, 429, 429]);
    expect((await write(ada)).body.policy).toBe("write");
    expect(await statuses(4, () => api.get("/auth/me", ada.token))).toEqual([200, 200, 200, 429]);
    expect((await write(bob)).status).toBe(201);
    expect((await api.get("/projects", ada.token)).body.code).toBe("rate_limited");
  });
});

describe("0", () => {
  onNode({ RATE_LIMIT_MAX: "0", AUTH_RATE_LIMIT_MAX: "0" });

  it("[HTTP56] 0 switches a policy off, and takes its name out of the headers", async () => {
    const api = newClient();
    expect(await statuses(120, () => api.get("/auth/me"))).not.toContain(429);
    expect((await api.get("/auth/me")).headers.get("ratelimit")).toBeNull();
    expect(await statuses(12, () => failedLogin(api, "nobody@example.com"))).toEqual(times(12, 401));
  });
});

describe("RATE_LIMIT_MODE=strict", () => {
  onNode({ RATE_LIMIT_MODE: "strict" });

  it("[HTTP57] 100 in 15 minutes for everybody, signed in or not", async () => {
    const api = newClient();
    const ada = await api.person();
    const after = await api.get("/auth/me", ada.token);
    expect(policiesIn(after.headers.get("ratelimit-policy"))).toEqual({
      anonymous: { q: 100, w: QUARTER_S },
    });
    expect(policiesIn(after.headers.get("ratelimit")).anonymous).toMatchObject({ r: 98 });
    expect(await statuses(99, () => api.get("/projects", ada.token))).toEqual([...times(98, 200), 429]);
    expect((await api.get("/auth/me")).status).toBe(429);
  });

  it("[HTTP58] five requests in 15 minutes to the routes one signs in by, right or wrong", async () => {
    const api = newClient();
    const ada = await api.person();
    const login = () => api.post("/auth/login", { email: ada.email, password: ada.password });
    expect(await statuses(5, login)).toEqual([...times(4, 200), 429]);
    const refused = await login();
    expect(refused.body).toMatchObject({ code: "rate_limited", policy: "sign-in", limit: 5 });
    expect((await api.post("/auth/refresh", { refreshToken: ada.refreshToken })).status).toBe(429);
    const { body } = await api.get("/limits", ada.token);
    expect(body.mode).toBe("strict");
    expect(body.limits).toContainEqual({ name: "sign-in", limit: 5, windowSeconds: QUARTER_S });
  });
});

describe("without TRUST_PROXY", () => {
  onNode({ TRUST_PROXY: "", RATE_LIMIT_MAX: "40" });

  it("[HTTP59] no header makes another address of a client", async () => {
    const { api } = node;
    const { email } = await api.person();
    const names = [
      "X-Forwarded-For",
      "X-Real-IP",
      "Forwarded",
      "CF-Connecting-IP",
      "True-Client-IP",
      "X-Client-IP",
    ];
    const spoofed = (i: number) =>
      Object.fromEntries(
        names.map((name) => [name, name === "Forwarded" ? `for=10.0.0.${i}` : `10.0.0.${i}`]),
      );
    let i = 0;
    expect(await statuses(8, () => failedLogin(api, email, spoofed(i++)))).toEqual([
      ...times(5, 401),
      ...times(3, 429),
    ]);
    const rest = await statuses(40, () => api.request("GET", "/auth/me", { headers: spoofed(i++) }));
    expect(rest.slice(-8)).toEqual(times(8, 429));
  });
});

describe("with TRUST_PROXY=1", () => {
  onNode({ RATE_LIMIT_MAX: "2" });

  it("[HTTP60] the right-most address counts, an IPv6 client by its /64, a mapped one as IPv4", async () => {
    const { api } = node;
    const from = async (forwarded: string) =>
      (await api.request("GET", "/auth/me", { headers: { "X-Forwarded-For": forwarded } })).status;
    // The client writes what it likes; the proxy appends the address it sees.
    expect(await from("1.1.1.1, 10.0.0.1")).toBe(401);
    expect(await from("2.2.2.2, 10.0.0.1")).toBe(401);
    expect(await from("3.3.3.3, 10.0.0.1")).toBe(429);
    expect(await from("10.0.0.1, 10.0.0.2")).toBe(401);
    expect(await from("::ffff:10.0.0.1")).toBe(429);
    const sixtyFour = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:DB8:0:1:0:0:0:3", "2001:db8:0:2::1"];
    const answers: number[] = [];
    for (const address of sixtyFour) answers.push(await from(address));
    expect(answers).toEqual([401, 401, 429, 401]);
    for (const header of ["X-Real-IP", "Forwarded", "CF-Connecting-IP"]) {
      const { status } = await api.request("GET", "/auth/me", {
        headers: { "X-Forwarded-For": "10.0.0.1", [header]: "9.9.9.9" },
      });
      expect([header, status]).toEqual([header, 429]);
    }
  });
});
