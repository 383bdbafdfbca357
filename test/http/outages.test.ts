import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { PostgresConnection } from "../../src/platform/database/postgres-connection.js";
import { describeAdapter, until } from "../kit/adapters.js";
import type { Answer } from "../kit/api.js";
import { connectionEnv, startTestNode, type TestNode } from "../kit/app.js";
import { expectProblem } from "../kit/http-checks.js";
import { findTestMongo, type TestMongo, testDatabaseName } from "../kit/mongo.js";
import { type DocumentedOperation, fetchDocument, operationsOf } from "../kit/openapi-document.js";
import { CALLS, createWorld, type OperationCall, send, type World } from "../kit/operations.js";
import { createTestDatabase, type TestDatabase } from "../kit/postgres.js";
import { openRaw } from "../kit/raw-http.js";
import { missingRedisServer, startTestRedis, type TestRedis } from "../kit/redis.js";
import { startTcpProxy, type TcpProxy } from "../kit/tcp-proxy.js";

/** The promise is 2 s; the rest is room for a machine with other things to do. */
const SOON_MS = 2_800;

/** A valid request, and what came of it. */
interface Prepared {
  readonly operation: DocumentedOperation;
  readonly call: OperationCall;
}

interface Outcome extends Prepared {
  readonly answer: Answer;
  readonly ms: number;
}

/** A node on its stores with somebody's things in it. */
interface Scene {
  readonly node: TestNode;
  readonly world: World;
  readonly operations: readonly DocumentedOperation[];
}

async function openScene(env: Record<string, string>, database: TestDatabase): Promise<Scene> {
  let announced = "";
  const node = await startTestNode({ env, database, announce: (text) => (announced += `${text}\n`) });
  const operations = operationsOf(await fetchDocument(node.httpUrl));
  return {
    node,
    operations,
    world: await createWorld(
      node.api,
      () => announced,
      (id) => node.app.features.auth.trial.issue(async () => id),
    ),
  };
}

/** One valid request of every operation, made while everything works. */
async function prepare({ operations, world }: Scene): Promise<Prepared[]> {
  const prepared: Prepared[] = [];
  for (const operation of operations)
    prepared.push({ operation, call: (await CALLS[operation.operationId]?.(world)) ?? {} });
  return prepared;
}

/** Sends them all at once. */
function sendAll({ node }: Scene, prepared: readonly Prepared[]): Promise<Outcome[]> {
  return Promise.all(
    prepared.map(async ({ operation, call }) => {
      const begun = performance.now();
      const answer = await send(node.httpUrl, operation, call);
      return { operation, call, answer, ms: performance.now() - begun };
    }),
  );
}

const named = (outcomes: readonly Outcome[]) =>
  outcomes.map(({ operation, answer }) => `${operation.operationId} ${answer.status}`);

/** A refusal of something whose store is away. */
function expectAway({ operation, answer, ms }: Outcome): void {
  expect([operation.operationId, answer.status]).toEqual([operation.operationId, 503]);
  expectProblem(answer, "dependency_unavailable");
  expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
  expect([operation.operationId, ms < SOON_MS]).toEqual([operation.operationId, true]);
}

const at = async ({ node }: Scene, path: string) => {
  const response = await fetch(`${node.httpUrl}${path}`);
  return { status: response.status, headers: response.headers, body: (await response.json()) as any };
};

/** Status of an upgrade. */
async function upgrade({ node, world }: Scene): Promise<number> {
  const raw = await openRaw(node.wsUrl);
  raw.send(
    `GET /?projectId=${world.own.projectId}&token=${world.ada.token} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n` +
      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  const { status } = await raw.answer();
  raw.destroy();
  return status;
}

describe("without the database", () => {
  /** They need no store at all; a document, the state of the process. */
  const ALWAYS = ["getHealth", "getLiveness", "getMetrics", "getOpenApi", "getAsyncApi"];
  /** They need only what the node knows, as long as it may rely on that. */
  const WHILE_FRESH = ["listLimits", "createTicket"];

  let store: TestDatabase;
  let door: TcpProxy;
  let scene: Scene;

  beforeAll(async () => {
    store = await createTestDatabase();
    door = await startTcpProxy(addressOf(store.connection));
    const env = connectionEnv(through(door, store.connection));
    scene = await openScene(env, store);
  });
  afterAll(async () => {
    await door.restore();
    await scene.node.stop();
    await door.close();
    await store.close();
  });

  it.each([
    ["stopped", () => door.stop()],
    ["silent", async () => door.stall()],
  ])(
    "[OPS1] %s: every route answers 503 with Retry-After within 2 s, none 401, and all work again by themselves",
    async (_name, goAway) => {
      const prepared = await prepare(scene);
      await goAway();
      for (const outcome of await sendAll(scene, prepared)) {
        const { operationId } = outcome.operation;
        if (
          ALWAYS.includes(operationId) ||
          (WHILE_FRESH.includes(operationId) && outcome.answer.status !== 503)
        )
          expect([operationId, outcome.answer.status < 300]).toEqual([operationId, true]);
        else expectAway(outcome);
      }
      expect(await upgrade(scene)).toBe(503);

      // After 3 s the node does not know any more who was signed out, and says so even where it asks no store.
      await until(async () => (await at(scene, "/readyz")).body.reason === "the access log cannot be read");
      const blind = prepared.filter(({ operation }) => !ALWAYS.includes(operation.operationId));
      for (const outcome of await sendAll(scene, blind)) expectAway(outcome);
      const forged = await scene.node.api.get("/auth/me", "forged");
      expect(forged.status).toBe(503);
      expect(await upgrade(scene)).toBe(503);

      expect((await at(scene, "/livez")).status).toBe(200);
      const ready = await at(scene, "/readyz");
      expectProblem(ready);
      expect(ready).toMatchObject({ status: 503, body: { checks: { database: "unavailable" } } });
      expect(ready.body.degraded).toContain("database");

      await door.restore();
      await until(async () => (await at(scene, "/readyz")).status === 200);
      const back = await sendAll(scene, prepared);
      expect(named(back.filter(({ answer }) => answer.status >= 300))).toEqual([]);
      expect(await upgrade(scene)).toBe(101);
    },
    60_000,
  );
});

function addressOf({ url, host = "127.0.0.1", port = 5432 }: PostgresConnection) {
  const { hostname, port: urlPort } = new URL(url ?? "postgres://localhost");
  if (url !== undefined) return { host: hostname, port: Number(urlPort || 5432) };
  return host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
}

function through(door: TcpProxy, { url, ...fields }: PostgresConnection): PostgresConnection {
  if (url === undefined) return { ...fields, host: door.host, port: door.port };
  return { url: Object.assign(new URL(url), { hostname: door.host, port: String(door.port) }).href };
}

describeAdapter("without Redis", missingRedisServer(), () => {
  /** What is kept in Redis alone: who is connected, tickets, the way to the workers. */
  const MAY_WAIT = ["listPresence", "createTicket", "createJob", "retryJob", "cancelJob"];

  let store: TestDatabase;
  let redis: TestRedis;
  let scene: Scene;

  beforeAll(async () => {
    store = await createTestDatabase();
    redis = await startTestRedis();
    scene = await openScene({ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port) }, store);
  });
  afterAll(async () => {
    redis.thaw();
    await scene.node.stop();
    await redis.close();
    await store.close();
  });

  it.each([
    ["stopped", () => redis.stop("SIGKILL"), () => redis.restart()],
    ["silent", async () => redis.freeze(), async () => redis.thaw()],
  ])(
    "[OPS2] %s: reads, writes and sign-in go on, the rest is 503, nobody is signed out, and it heals by itself",
    async (_name, goAway, comeBack) => {
      const prepared = await prepare(scene);
      await goAway();
      const outcomes = await sendAll(scene, prepared);
      for (const outcome of outcomes) {
        const { operationId } = outcome.operation;
        if (outcome.answer.status === 503 && MAY_WAIT.includes(operationId)) expectAway(outcome);
        else expect([operationId, outcome.answer.status < 300]).toEqual([operationId, true]);
      }
      await until(async () => (await at(scene, "/readyz")).body.degraded.includes("redis"));
      expect(await at(scene, "/readyz")).toMatchObject({
        status: 200,
        body: { status: "degraded", checks: { database: "ok", redis: "unavailable" } },
      });
      expect((await at(scene, "/livez")).status).toBe(200);
      // Limits are counted in the process meanwhile, never switched off.
      expect((await scene.node.api.get("/auth/me", scene.world.ada.token)).headers.get("ratelimit")).toMatch(
        /"user"/,
      );

      await comeBack();
      await until(async () => (await at(scene, "/readyz")).body.status === "ready");
      for (const operationId of ["createTicket", "listPresence"]) {
        const again = prepared.filter(({ operation }) => operation.operationId === operationId);
        await until(async () => (await sendAll(scene, again)).every(({ answer }) => answer.status < 300));
      }
      const job = {
        type: "code_execution",
        payload: { language: "javascript", code: "console.log('back')" },
      };
      let jobId = "";
      await until(async () => {
        const { status, body } = await scene.node.api.post("/jobs", job, scene.world.ada.token);
        jobId = body.job?.id ?? "";
        return status === 202;
      });
      await until(async () => {
        const { body } = await scene.node.api.get(`/jobs/${jobId}`, scene.world.ada.token);
        return body.job.status === "completed";
      });
    },
    60_000,
  );
});

const mongoSource = findTestMongo();

describeAdapter("without MongoDB", mongoSource.available ? undefined : mongoSource.reason, () => {
  let store: TestDatabase;
  let mongo: TestMongo;
  let door: TcpProxy;
  let scene: Scene;

  beforeAll(async () => {
    if (!mongoSource.available) return;
    store = await createTestDatabase();
    mongo = await mongoSource.start();
    door = await startTcpProxy({ host: mongo.host, port: mongo.port });
    scene = await openScene({ MONGODB_URI: mongo.uri(testDatabaseName(), door) }, store);
  });
  afterAll(async () => {
    await door.restore();
    await scene.node.stop();
    await door.close();
    await mongo.close();
    await store.close();
  });

  it.each([
    ["stopped", () => door.stop()],
    ["silent", async () => door.stall()],
  ])(
    "[OPS3] %s: the activity log is 503, everything else works, and its entries arrive once, afterwards",
    async (_name, goAway) => {
      const { api, ada } = scene.world;
      const projectId = await api.project(ada);
      const prepared = await prepare(scene);
      await goAway();
      for (const outcome of await sendAll(scene, prepared)) {
        const { operationId } = outcome.operation;
        if (operationId === "listActivity") expectAway(outcome);
        else expect([operationId, outcome.answer.status < 300]).toEqual([operationId, true]);
      }
      for (let i = 0; i < 5; i++)
        await api.request("PATCH", `/projects/${projectId}`, {
          token: ada.token,
          body: { name: `Renamed ${i}` },
        });
      await until(async () => (await at(scene, "/readyz")).body.degraded.includes("mongodb"));
      expect(await at(scene, "/readyz")).toMatchObject({ status: 200, body: { status: "degraded" } });
      const socket = await scene.node.socket(ada.token, projectId);
      socket.terminate();

      await door.restore();
      const log = async () => {
        const { status, body } = await api.get(
          `/projects/${projectId}/activity?type=project_updated`,
          ada.token,
        );
        return status === 200
          ? (body.activity as { payload: { name: string } }[]).map(({ payload }) => payload.name)
          : [];
      };
      await until(async () => (await log()).length >= 5);
      await scene.node.app.dispatcher.drained(5_000);
      expect(await log()).toEqual([4, 3, 2, 1, 0].map((i) => `Renamed ${i}`));
      await until(async () => (await at(scene, "/readyz")).body.status === "ready");
    },
    60_000,
  );
});
