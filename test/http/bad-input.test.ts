import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import { v7 } from "uuid";
import type { Answer } from "../kit/api.js";
import { connectionEnv, TEST_ENV } from "../kit/app.js";
import { type ChildNode, startChildNode } from "../kit/child-node.js";
import { BAD_IDS, BAD_LIMITS, BAD_QUERIES, BAD_QUERY_VALUES, hostileBodies } from "../kit/hostile.js";
import { expectProblem } from "../kit/http-checks.js";
import {
  type CheckAnswer,
  createAnswerCheck,
  type DocumentedOperation,
  fetchDocument,
  operationsOf,
} from "../kit/openapi-document.js";
import {
  CALLS,
  createWorld,
  type OperationCall,
  type OwnedIds,
  send,
  type World,
} from "../kit/operations.js";
import { createTestDatabase, type TestDatabase } from "../kit/postgres.js";

/** The node runs in a process of its own: what nobody catches there ends it, and with it this file. */
let node: ChildNode;
let store: TestDatabase;
let world: World;
let operations: Map<string, DocumentedOperation>;
let check: CheckAnswer;

beforeAll(async () => {
  store = await createTestDatabase();
  node = await startChildNode({ env: { ...TEST_ENV, ...connectionEnv(store.connection) } });
  const document = await fetchDocument(node.httpUrl);
  operations = new Map(operationsOf(document).map((operation) => [operation.operationId, operation]));
  check = createAnswerCheck(document);
  world = await createWorld(node.api, node.output);
}, 60_000);
afterAll(async () => {
  // The process is the one that was started, and never caught what it did not expect.
  process.kill(node.pid, 0);
  expect(node.output()).not.toMatch(/uncaught|unhandled/i);
  await node.close();
  await store.close();
});

function operationOf(operationId: string): DocumentedOperation {
  const operation = operations.get(operationId);
  if (!operation) throw new Error(`${operationId} is not documented`);
  return operation;
}

/** Tables that change on their own: leases, cursors, probes, the queue. */
const RESTLESS = ["authz_nodes", "outbox_cursors", "worker_languages", "idempotency_keys"];
/** Columns that change on their own: when a session was last used, what number an event got. */
const RESTLESS_COLUMNS = ["confirmed", "last_used_at", "position", "sent_at", "attempts", "next_attempt_at"];

/** Every row of every table of ours but for what changes on its own. */
async function dump(): Promise<Record<string, unknown>> {
  const tables = store.database.tables();
  const { rows } = await sql<{ name: string }>`select table_name as name from information_schema.tables
    where table_schema = 'public' and table_type = 'BASE TABLE' order by 1`.execute(tables);
  const entries = await Promise.all(
    rows
      .filter(({ name }) => !RESTLESS.includes(name) && !/migration/.test(name))
      .map(async ({ name }) => {
        const found = await sql<{ rows: number; hash: string | null }>`select count(*) as rows,
          md5(string_agg(row_text, ',' order by row_text)) as hash
          from (select (to_jsonb(t) - ${RESTLESS_COLUMNS}::text[])::text as row_text from ${sql.table(name)} t) r`.execute(
          tables,
        );
        return [name, found.rows[0]] as const;
      }),
  );
  return Object.fromEntries(entries);
}

/** Waits until what earlier requests have set going has come to rest. */
async function settled(): Promise<Record<string, unknown>> {
  for (let before = await dump(); ; ) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    const now = await dump();
    if (JSON.stringify(now) === JSON.stringify(before)) return now;
    before = now;
  }
}

async function expectUnchanged(work: () => Promise<void>): Promise<void> {
  const before = await settled();
  expect(Object.keys(before)).toEqual(
    expect.arrayContaining(["users", "projects", "jobs", "outbox", "auth_sessions"]),
  );
  await work();
  expect(await dump()).toEqual(before);
}

/** A refusal as it must be: a problem, documented, without our inside. */
function expectRefusal(operation: DocumentedOperation, answer: Answer): void {
  expectProblem(answer);
  expect(check(operation, answer)).toEqual([]);
}

const ids = Object.keys(CALLS);
const callOf = async (operationId: string): Promise<OperationCall> =>
  (await CALLS[operationId]?.(world)) ?? {};

describe("bodies", () => {
  it.each(ids)(
    "[HTTP80] %s refuses every hostile body with its place, and nothing changes",
    async (operationId) => {
      const operation = operationOf(operationId);
      if (!operation.spec["requestBody"]?.content["application/json"]) return;
      const call = await callOf(operationId);
      await expectUnchanged(async () => {
        for (const { name, raw, status, code, pointer } of hostileBodies(call.body, call.free)) {
          const answer = await send(node.httpUrl, operation, call, { raw });
          const first = answer.body.errors?.[0]?.pointer;
          expect([name, answer.status, answer.body.code, first]).toEqual([
            name,
            status,
            code,
            pointer ?? first,
          ]);
          expectRefusal(operation, answer);
        }
      });
      expect((await send(node.httpUrl, operation, call)).status).toBeLessThan(300);
    },
  );

  it("[HTTP81] ids of others in a body are answered like ids of nobody", async () => {
    const operation = operationOf("createJob");
    const { own, foreign, ada } = world;
    const job = { type: "code_execution", payload: { language: "javascript", code: "1" } };
    await expectUnchanged(async () => {
      for (const [theirs, nobodys] of [
        [{ projectId: foreign.projectId }, { projectId: v7() }],
        [
          { projectId: own.projectId, workspaceId: foreign.workspaceId },
          { projectId: own.projectId, workspaceId: v7() },
        ],
        [{ workspaceId: foreign.workspaceId }, { workspaceId: v7() }],
      ]) {
        const [foreignAnswer, missing] = [
          await send(node.httpUrl, operation, { as: ada, body: { ...job, ...theirs } }),
          await send(node.httpUrl, operation, { as: ada, body: { ...job, ...nobodys } }),
        ];
        expectRefusal(operation, foreignAnswer);
        expect({ ...foreignAnswer.body, requestId: "" }).toEqual({ ...missing.body, requestId: "" });
        expect([400, 404, 422]).toContain(foreignAnswer.status);
      }
    });
  });

  it("[HTTP82] SQL in every text is text: stored as it is, or refused, and never run", async () => {
    const injection = "x'); drop table projects; select pg_sleep(5)--";
    for (const operationId of ids) {
      const operation = operationOf(operationId);
      if (!operation.spec["requestBody"]?.content["application/json"]) continue;
      const call = await callOf(operationId);
      for (const member of Object.keys(call.body as object)) {
        const body = { ...(call.body as object), [member]: injection };
        const answer = await send(node.httpUrl, operation, { ...call, body });
        expect([operationId, member, answer.status < 500]).toEqual([operationId, member, true]);
        if (answer.status >= 300) expectRefusal(operation, answer);
        else expect(check(operation, answer)).toEqual([]);
      }
    }
    const { status } = await node.api.get(`/projects/${world.own.projectId}`, world.ada.token);
    expect(status).toBe(200);
  });
});

describe("ids in the path", () => {
  const encode = (id: string) => encodeURIComponent(id);

  it.each(ids)(
    "[HTTP83] %s refuses what is no id with its name, and nothing changes",
    async (operationId) => {
      const operation = operationOf(operationId);
      const names = parametersIn(operation).filter((name) => name !== "path");
      if (names.length === 0) return;
      const call = await callOf(operationId);
      await expectUnchanged(async () => {
        for (const name of names) {
          for (const id of BAD_IDS) {
            const answer = await send(node.httpUrl, operation, {
              ...call,
              params: { ...call.params, [name]: encode(id) },
            });
            expect([id, answer.status, answer.body.errors?.[0]?.pointer]).toEqual([id, 400, `:${name}`]);
            expectRefusal(operation, answer);
          }
          const undecodable = await send(node.httpUrl, operation, {
            ...call,
            params: { ...call.params, [name]: "%ff" },
          });
          expect(undecodable.status).toBe(400);
          expectRefusal(operation, undecodable);
        }
      });
    },
  );

  it.each(ids)(
    "[HTTP84] %s answers ids of others like ids of nobody, and nothing changes",
    async (operationId) => {
      const operation = operationOf(operationId);
      const names = parametersIn(operation).filter((name) => name !== "path") as (keyof OwnedIds)[];
      if (names.length === 0) return;
      const call = await callOf(operationId);
      const nobody = Object.fromEntries(names.map((name) => [name, v7()]));
      await expectUnchanged(async () => {
        const missing = await send(node.httpUrl, operation, {
          ...call,
          params: { ...call.params, ...nobody },
        });
        expect(missing.status).toBe(404);
        expectRefusal(operation, missing);
        const all = Object.fromEntries(names.map((name) => [name, world.foreign[name]]));
        // One id of another's at a time finds nothing either: a child is looked for below its own parent.
        for (const foreign of [all, ...names.map((name) => ({ [name]: world.foreign[name] }))]) {
          const answer = await send(node.httpUrl, operation, {
            ...call,
            params: { ...call.params, ...foreign },
          });
          expect([foreign, answer.status]).toEqual([foreign, 404]);
          expect({ ...answer.body, requestId: "", instance: "" }).toEqual({
            ...missing.body,
            requestId: "",
            instance: "",
          });
        }
      });
    },
  );
});

describe("queries", () => {
  it.each(ids)(
    "[HTTP85] %s refuses members it does not know and values that fit none, and nothing changes",
    async (operationId) => {
      const operation = operationOf(operationId);
      if (operation.base === "") return;
      const call = await callOf(operationId);
      const known = ((operation.spec["parameters"] ?? []) as { name: string; in: string }[]).filter(
        (parameter) => parameter.in === "query",
      );
      await expectUnchanged(async () => {
        const refuse = async (query: string) => {
          const answer = await send(node.httpUrl, operation, { ...call, query: `?${query}` });
          const pointer = answer.body.errors?.[0]?.pointer;
          expect([query, answer.status, pointer]).toEqual([query, 400, expect.stringMatching(/^\?/)]);
          expectRefusal(operation, answer);
        };
        for (const query of BAD_QUERIES) await refuse(query);
        for (const { name } of known) {
          for (const query of [`${name}=1&${name}=2`, `${name}[$gt]=`, `${name}[]=1`]) await refuse(query);
          for (const value of BAD_QUERY_VALUES) await refuse(`${name}=${value}`);
        }
        if (known.some(({ name }) => name === "limit"))
          for (const limit of BAD_LIMITS) await refuse(`limit=${limit}`);
      });
    },
  );
});

function parametersIn(operation: DocumentedOperation): string[] {
  return [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
}

describe("tokens", () => {
  const HEADERS = [
    "",
    " ",
    "Bearer",
    "Bearer ",
    "Bearer  ",
    "Bearer Bearer x",
    "bearer x",
    "Basic dXNlcjpwYXNz",
    "Token x",
    "Bearer null",
    "Bearer undefined",
    "Bearer [object Object]",
    `Bearer ${".".repeat(9)}`,
    `Bearer ${"a".repeat(12_000)}`,
    "Bearer eyJhbGciOiJub25lIn0.e30.",
    "Bearer \u00e9\u00e9",
    "Bearer x, Bearer y",
    'Bearer "x"',
    "Bearer x\ty",
    "%00",
    "{}",
  ];

  it.each(HEADERS)(
    "[HTTP86] the Authorization %j is a 401 problem on every route that wants a token",
    async (authorization) => {
      for (const operationId of ["getMe", "listProjects", "createProject", "deleteProject", "createJob"]) {
        const operation = operationOf(operationId);
        const { as: _as, ...call } = await callOf(operationId);
        const answer = await send(node.httpUrl, operation, call, {
          headers: { authorization, "content-type": "application/json" },
        });
        expect([400, 401]).toContain(answer.status);
        expectRefusal(operation, answer);
      }
    },
  );

  it("[HTTP87] a token in the query is none", async () => {
    const answer = await node.api.get(`/auth/me?access_token=${world.ada.token}`);
    expect(answer.status).toBe(401);
    expectProblem(answer);
  });
});

describe("afterwards", () => {
  it("[HTTP88] nothing is polluted: a new account and the health answer have the members they had", async () => {
    const person = await node.api.person();
    const { body } = await node.api.get("/auth/me", person.token);
    expect(Object.keys(body)).toEqual(["user"]);
    expect(Object.keys(body.user).sort()).toEqual(
      ["createdAt", "email", "emailVerified", "id", "name", "updatedAt", "version"].sort(),
    );
    const health = (await (await fetch(`${node.httpUrl}/health`)).json()) as object;
    expect(Object.keys(health)).toEqual(["status", "timestamp", "uptime"]);
  });
});
