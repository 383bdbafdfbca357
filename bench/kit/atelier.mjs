import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { freePort, removeAtExit, sleep, startServer } from "./process.mjs";

export const ROOT = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));

/** The build under test; `BENCH_DIST` names another one, to compare two. */
export const DIST = path.resolve(process.env.BENCH_DIST ?? path.join(ROOT, "dist"));

const PASSWORD = "correct horse battery staple";
/** Most sockets one account may be given (`WS_SOCKETS_PER_USER`). */
export const SOCKETS_PER_USER = 10_000;

/** Every limiter runs, with bounds that the load does not reach; hashes are quick, except where logins are measured. */
const SETTINGS = {
  HOST: "127.0.0.1",
  LOG_LEVEL: "warn",
  BCRYPT_ROUNDS: "4",
  JWT_SECRET: "bench-access-secret-of-enough-bytes-0001",
  JWT_REFRESH_SECRET: "bench-refresh-secret-of-enough-bytes-002",
  WS_MESSAGES_PER_SECOND: "1000000",
  WS_BYTES_PER_SECOND: "1000000000",
  WS_CONNECTS_PER_MINUTE: "1000000",
  WS_SOCKETS_PER_USER: String(SOCKETS_PER_USER),
  RATE_LIMIT_MAX: "100000000",
  RATE_LIMIT_USER_MAX: "100000000",
  RATE_LIMIT_WRITE_MAX: "100000000",
  AUTH_RATE_LIMIT_MAX: "100000000",
  REGISTER_RATE_LIMIT_MAX: "100000000",
  INVITE_RATE_LIMIT_MAX: "100000000",
};

let postgres;
let databases = 0;

/** One PostgreSQL for the whole run, of the binary the service embeds, on the core of the load. */
async function startPostgres() {
  const { startEmbeddedPostgres } = await import(
    pathToFileURL(path.join(DIST, "platform/database/embedded.js")).href
  );
  return startEmbeddedPostgres({ dataDir: temporaryFolder(), settings: { max_connections: "200" } });
}

/** A new database, as the variables that name it to the service and to `pg`. */
export async function createDatabase() {
  postgres ??= startPostgres();
  const { connection } = await postgres;
  databases += 1;
  const name = `bench_${databases}`;
  const { connectClient } = await import(
    pathToFileURL(path.join(DIST, "platform/database/postgres-connection.js")).href
  );
  const client = await connectClient({ ...connection, user: "postgres", database: "postgres" });
  try {
    await client.query(`create database ${name} owner ${connection.user}`);
  } finally {
    await client.end();
  }
  return {
    POSTGRES_HOST: connection.host,
    POSTGRES_PORT: String(connection.port),
    POSTGRES_USER: connection.user,
    POSTGRES_DB: name,
    ...(connection.password === undefined ? {} : { POSTGRES_PASSWORD: connection.password }),
  };
}

/** Stops the PostgreSQL of the run. */
export async function closePostgres() {
  await (await postgres)?.close();
  postgres = undefined;
}

export function temporaryFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), "atelier-bench-"));
  removeAtExit(folder);
  return folder;
}

/**
 * Starts the service as a user would, all roles and limits on, on the server's core.
 *
 * @param {{env?: Record<string, string>, database?: Record<string, string>, nodeArgs?: string[]}} options
 */
export async function startAtelier({ env = {}, database, nodeArgs = [] } = {}) {
  const folder = temporaryFolder();
  const [httpPort, wsPort] = [await freePort(), await freePort()];
  const server = await startServer({
    args: [...nodeArgs, path.join(DIST, "main.js")],
    cwd: folder,
    env: {
      ...SETTINGS,
      PORT: String(httpPort),
      WS_PORT: String(wsPort),
      DATA_DIR: folder,
      LOG_DIR: path.join(folder, "logs"),
      ...(database ?? (await createDatabase())),
      ...env,
    },
    ready: /Sockets\s+ws:/,
  });
  const api = createApi(httpPort);
  // Sockets the load has just dropped are noticed first; a drain would close them one by one, spread over seconds.
  const stop = () => sleep(300).then(server.stop);
  return { name: "Atelier", ...server, httpPort, wsPort, api, stop };
}

/** Calls the API with JSON; throws on every answer that is not 2xx. */
function createApi(port) {
  return async (method, route, { token, body } = {}) => {
    const headers = {
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    };
    const content = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(`http://127.0.0.1:${port}/api/v1${route}`, { method, headers, ...content });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${text.slice(0, 300)}`);
    return text === "" ? undefined : JSON.parse(text);
  };
}

/** The credentials of the bench's nth account. */
export function credentials(index) {
  return { email: `user${index}@bench.example`, password: PASSWORD };
}

/**
 * Registers accounts and makes projects with all of them in it, over HTTP as a user does; the first account owns them.
 *
 * @returns {Promise<{tokens: string[], projectIds: string[]}>}
 */
export async function register(api, { users = 20, projects = 1 } = {}) {
  const tokens = [];
  for (let i = 0; i < users; i += 1) {
    const { tokens: issued } = await api("POST", "/auth/register", {
      body: { ...credentials(i), name: `Bench ${i}` },
    });
    tokens.push(issued.accessToken);
  }
  const projectIds = [];
  for (let i = 0; i < projects; i += 1) {
    const { project } = await api("POST", "/projects", { token: tokens[0], body: { name: `Project ${i}` } });
    projectIds.push(project.id);
    for (let user = 1; user < users; user += 1) {
      await api("POST", `/projects/${project.id}/members`, {
        token: tokens[0],
        body: { email: credentials(user).email, role: "collaborator" },
      });
    }
  }
  return { tokens, projectIds };
}

/** One metric of `GET /metrics`, summed over its labels; the name may come with the service's prefix. */
export async function readMetric(httpPort, name) {
  const response = await fetch(`http://127.0.0.1:${httpPort}/metrics`);
  const lines = (await response.text()).split("\n");
  const values = lines.filter((line) => line.replace(/^atelier_/, "").replace(/[{ ].*$/, "") === name);
  if (values.length === 0) throw new Error(`GET /metrics has no ${name}`);
  return values.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}
