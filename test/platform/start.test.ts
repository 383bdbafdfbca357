import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "@jest/globals";
import { createApi } from "../kit/api.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const running = new Set<ChildProcess>();
const folders: string[] = [];
afterEach(() => {
  for (const child of running) child.kill("SIGKILL");
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

interface Service {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<number | null>;
}

/** `npm start` without npm. */
function start(env: Record<string, string>): Service {
  const child = spawn(process.execPath, [path.join(ROOT, "scripts/start.mjs")], {
    // Not the project's folder: somebody may keep a .env there.
    cwd: tmpdir(),
    env: { PATH: process.env.PATH ?? "", HOST: "127.0.0.1", LOG_LEVEL: "warn", BCRYPT_ROUNDS: "4", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (text += String(chunk)));
  const ended = new Promise<number | null>((resolve) => {
    child.on("close", (code) => {
      running.delete(child);
      resolve(code);
    });
  });
  return { child, output: () => text, ended };
}

async function ready(service: Service): Promise<string> {
  for (;;) {
    const url = /API\s+(http:\/\/\S+)/.exec(service.output())?.[1];
    if (url !== undefined) return url;
    if (service.child.exitCode !== null) throw new Error(`it ended before it was ready: ${service.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The tokens of the links it prints after it is ready. */
async function demoTokens(service: Service): Promise<string[]> {
  for (;;) {
    const tokens = [...service.output().matchAll(/\/sign-in-link#token=(\S+)/g)].map(
      ([, token = ""]) => token,
    );
    if (tokens.length === 2) return tokens;
    if (service.child.exitCode !== null) throw new Error(`it ended: ${service.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

function folder(): string {
  const made = mkdtempSync(path.join(tmpdir(), "atelier-start-"));
  folders.push(made);
  return made;
}

const free = async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return { port: String(port), release: () => new Promise<void>((resolve) => server.close(() => resolve())) };
};

describe("npm start", () => {
  it("[APP11] serves on embedded stores, says where, and ends with 0 on SIGTERM", async () => {
    const service = start({ DATA_DIR: folder(), LOG_DIR: folder(), PORT: "0", WS_PORT: "0" });
    const api = createApi(await ready(service));
    expect((await api.person()).token).toMatch(/^eyJ/);
    service.child.kill("SIGTERM");
    const asked = performance.now();
    expect(await service.ended).toBe(0);
    expect(performance.now() - asked).toBeLessThan(20_000);
  }, 60_000);

  it("[APP15] on an empty embedded database it offers a demo: links that each sign in once, and make what they lead to", async () => {
    const env = { DATA_DIR: folder(), LOG_DIR: folder(), PORT: "0", WS_PORT: "0" };
    const first = start(env);
    const api = createApi(await ready(first));
    const [ada = "", bob = ""] = await demoTokens(first);
    const enter = (token: string) => api.post("/auth/link", { token });
    const [one, two] = await Promise.all([enter(ada), enter(bob)]);
    expect([one.status, two.status, one.body.user.name]).toEqual([200, 200, "Ada Lovelace"]);
    const token = two.body.tokens.accessToken;
    const { projects } = (await api.get("/projects", token)).body;
    expect(projects).toEqual([expect.objectContaining({ name: "Weather station", role: "collaborator" })]);
    const { workspaces } = (await api.get(`/projects/${projects[0].id}/workspaces`, token)).body;
    const { files } = (await api.get(`/workspaces/${workspaces[0].id}/files`, token)).body;
    expect(files.map(({ path }: { path: string }) => path)).toEqual(
      expect.arrayContaining(["README.md", "src/main.js", "data/readings.csv"]),
    );
    expect((await enter(ada)).body.code).toBe("link_expired");
    first.child.kill("SIGTERM");
    expect(await first.ended).toBe(0);

    // Its people have no passwords: they are let in by new links, to what is there.
    const second = start(env);
    const again = createApi(await ready(second));
    const [next = ""] = await demoTokens(second);
    const { body } = await again.post("/auth/link", { token: next });
    const seen = await again.get("/projects", body.tokens.accessToken);
    expect(seen.body.projects.map(({ id }: { id: string }) => id)).toEqual([projects[0].id]);
    second.child.kill("SIGTERM");
    expect(await second.ended).toBe(0);
  }, 90_000);

  it("[APP16] offers no demo when it is not wanted, nor once there is an account", async () => {
    const env = { DATA_DIR: folder(), LOG_DIR: folder(), PORT: "0", WS_PORT: "0" };
    const first = start({ ...env, DEMO: "false" });
    await createApi(await ready(first)).person();
    first.child.kill("SIGTERM");
    await first.ended;
    const second = start(env);
    await ready(second);
    second.child.kill("SIGTERM");
    await second.ended;
    expect(first.output() + second.output()).not.toContain("sign-in-link");
  }, 90_000);

  it("[APP12] killed with -9 in the middle of writing, it starts again on the same folder with everything it had answered for", async () => {
    const env = { DATA_DIR: folder(), LOG_DIR: folder(), PORT: "0", WS_PORT: "0" };
    const first = start(env);
    const api = createApi(await ready(first));
    const ada = await api.person();
    const acknowledged: string[] = [];
    const writers = Array.from({ length: 8 }, async () => {
      for (;;) acknowledged.push(await api.project(ada));
    });
    while (acknowledged.length < 20) await new Promise((resolve) => setTimeout(resolve, 5));
    first.child.kill("SIGKILL");
    await Promise.allSettled(writers);
    await first.ended;
    const second = start(env);
    const again = createApi(await ready(second));
    const { body } = await again.get("/projects?limit=100", ada.token);
    const kept = body.projects.map(({ id }: { id: string }) => id);
    expect(kept).toEqual(expect.arrayContaining(acknowledged));
    second.child.kill("SIGTERM");
    expect(await second.ended).toBe(0);
  }, 90_000);

  it("[APP13] a second one on the same folder, or a port that is taken, is said plainly", async () => {
    const env = { DATA_DIR: folder(), LOG_DIR: folder(), WS_PORT: "0" };
    const first = start({ ...env, PORT: "0" });
    await ready(first);
    const second = start({ ...env, PORT: "0" });
    expect(await second.ended).toBe(1);
    expect(second.output()).toMatch(/already|in use|another/i);
    expect(second.output()).not.toMatch(/^\s+at /m);
    const { port, release } = await free();
    const third = start({ ...env, DATA_DIR: folder(), PORT: port });
    expect(await third.ended).toBe(1);
    expect(third.output()).toContain(`port ${port} is in use`);
    await release();
  }, 90_000);

  it("[APP14] production without secrets or stores does not start, and names what is missing", async () => {
    const service = start({
      NODE_ENV: "production",
      DATA_DIR: folder(),
      LOG_DIR: folder(),
      JWT_SECRET: "short-and-sweet",
    });
    const asked = performance.now();
    expect(await service.ended).toBe(1);
    expect(performance.now() - asked).toBeLessThan(5_000);
    for (const name of ["JWT_SECRET", "JWT_REFRESH_SECRET", "POSTGRES_HOST", "REDIS_HOST", "MONGODB_URI"]) {
      expect(service.output()).toContain(name);
    }
    expect(service.output()).not.toContain("short-and-sweet");
  }, 30_000);
});
